//! gRPC-Web calls: tonic-web translates them, for every spelling of their content types that clients use.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use super::grpc_call::GrpcService;

/// The content type of binary messages.
pub(crate) const BINARY: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");

/// The content type of messages in base64.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("application/grpc-web-text+proto");

/// Calls the service, and translates its answer. The request is `sent` as [`BINARY`] or [`TEXT`].
pub(crate) async fn answer(inner: impl GrpcService, mut request: Request<Body>, sent: HeaderValue) -> Response<Body> {
    let answered = answer_type(request.headers(), &sent);
    // tonic-web knows one spelling of each content type, and services expect HTTP/2.
    request.headers_mut().insert(CONTENT_TYPE, sent);
    request.headers_mut().insert(ACCEPT, answered);
    *request.version_mut() = Version::HTTP_2;
    let Ok(response) = GrpcWebLayer::new().layer(inner).call(request).await;
    response
}

/// The content type of the answer: the one that the client accepts, else the one that it sends.
fn answer_type(headers: &HeaderMap, sent: &HeaderValue) -> HeaderValue {
    let accepted = headers.get(ACCEPT).map_or(&[][..], |value| value.as_bytes());
    let accepts = |name: &[u8]| accepted.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    if accepts(b"application/grpc-web-text") {
        TEXT
    } else if accepts(b"application/grpc-web") {
        BINARY
    } else {
        sent.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_what_the_client_accepts() {
        let table = [
            // accept, sent in, answered in
            (None, BINARY, BINARY),
            (None, TEXT, TEXT),
            (Some("*/*"), TEXT, TEXT),
            (Some("application/grpc-web-text"), BINARY, TEXT),
            (Some("application/grpc-web-text+proto, */*"), TEXT, TEXT),
            (Some("application/grpc-web+proto"), TEXT, BINARY),
        ];
        for (accept, sent, answered) in table {
            let headers = accept.map(|value| (ACCEPT, value.parse().unwrap())).into_iter().collect();
            assert_eq!(answer_type(&headers, &sent), answered, "{accept:?} {sent:?}");
        }
    }
}
