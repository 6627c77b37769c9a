//! gRPC-Web, translated into gRPC and back by tonic-web, for all that its clients send.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Version};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use super::protocol::Protocol;
use crate::transcoding::grpc_call::InnerService;

/// The answer to a call, under way.
pub(crate) type WebFuture<S> = <GrpcWebService<S> as Service<Request<Body>>>::Future;

/// Makes a call that a client has made in gRPC-Web.
///
/// * `inner`: what the translated call is made to.
/// * `sent`: binary or text.
pub(crate) fn call<S: InnerService>(inner: S, mut request: Request<Body>, sent: &Protocol) -> WebFuture<S> {
    let sent = Form::of(sent);
    let answer_in = answer_form(request.headers(), sent);
    // tonic-web knows each content type in one spelling only, and the services expect HTTP/2.
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

/// Binary or text: what the client accepts, otherwise what it sent.
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
