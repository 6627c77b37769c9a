//! gRPC-Web calls: tonic-web translates them, for every spelling of their content types that clients use.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Version};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use super::grpc_call::GrpcService;
use super::protocol::Protocol;

/// The answer to a call, under way.
pub(crate) type WebFuture<S> = <GrpcWebService<S> as Service<Request<Body>>>::Future;

/// Translates a call.
///
/// * `inner`: the service for the gRPC call.
/// * `sent`: the protocol of the request, which says binary or text.
pub(crate) fn call<S: GrpcService>(inner: S, mut request: Request<Body>, sent: &Protocol) -> WebFuture<S> {
    let sent = Form::of(sent);
    let answer_in = answer_form(request.headers(), sent);
    // tonic-web knows one spelling of each content type, and services expect HTTP/2.
    request.headers_mut().insert(CONTENT_TYPE, sent.content_type());
    request.headers_mut().insert(ACCEPT, answer_in.content_type());
    *request.version_mut() = Version::HTTP_2;
    GrpcWebLayer::new().layer(inner).call(request)
}

/// How messages are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Text,
}

impl Form {
    fn of(protocol: &Protocol) -> Self {
        if matches!(protocol, Protocol::GrpcWebText) { Form::Text } else { Form::Binary }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Binary => "application/grpc-web+proto",
            Form::Text => "application/grpc-web-text+proto",
        })
    }
}

/// Binary or text: the one that the client accepts, else the one that it sends.
fn answer_form(headers: &HeaderMap, sent: Form) -> Form {
    let accepted = headers.get(ACCEPT).map_or(&[][..], |value| value.as_bytes());
    let accepts = |name: &[u8]| accepted.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    if accepts(b"application/grpc-web-text") {
        Form::Text
    } else if accepts(b"application/grpc-web") {
        Form::Binary
    } else {
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_what_the_client_accepts() {
        use Form::*;
        let table = [
            // accept, sent in, answered in
            (None, Binary, Binary),
            (None, Text, Text),
            (Some("*/*"), Text, Text),
            (Some("application/grpc-web-text"), Binary, Text),
            (Some("application/grpc-web-text+proto, */*"), Text, Text),
            (Some("application/grpc-web+proto"), Text, Binary),
        ];
        for (accept, sent, answered) in table {
            let headers = accept.map(|value| (ACCEPT, value.parse().unwrap())).into_iter().collect();
            assert_eq!(answer_form(&headers, sent), answered, "{accept:?} {sent:?}");
        }
    }
}
