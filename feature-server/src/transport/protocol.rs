//! The protocols that clients speak: how a request's protocol is recognised, and how a call that no service has seen is refused in it.
//!
//! Translating requests and answers is not done here.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use tonic::body::Body;

use super::body::CallBody;
use super::context::RequestId;
use crate::error::Failure;

/// The header or trailer with the code of a gRPC answer.
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The header or trailer with the message of a failed gRPC answer.
pub(super) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The header or trailer with the details of a failed gRPC answer.
pub(super) const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What a client that speaks something else is told.
const ACCEPTED: &str = "send application/grpc (HTTP/2 only), application/grpc-web+proto or application/grpc-web-text\n";

/// A protocol that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web with binary messages.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
}

/// Why a request is no call at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCall {
    #[error("this content type is not served here: {ACCEPTED}")]
    ContentType,
    #[error("a call is made with POST\n")]
    Method,
}

impl Protocol {
    /// The protocol that a request is in.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, NoCall> {
        let content_type = request.headers().get(CONTENT_TYPE).ok_or(NoCall::ContentType)?;
        let protocol = Self::of_content_type(content_type.as_bytes()).ok_or(NoCall::ContentType)?;
        if protocol == Protocol::Grpc && request.version() != Version::HTTP_2 {
            return Err(NoCall::ContentType);
        }
        if request.method() != Method::POST {
            return Err(NoCall::Method);
        }
        Ok(protocol)
    }

    fn of_content_type(value: &[u8]) -> Option<Self> {
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        let essence = value[..end].trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        if is("application/grpc") || is("application/grpc+proto") {
            Some(Protocol::Grpc)
        } else if is("application/grpc-web") || is("application/grpc-web+proto") {
            Some(Protocol::GrpcWeb)
        } else if is("application/grpc-web-text") || is("application/grpc-web-text+proto") {
            Some(Protocol::GrpcWebText)
        } else {
            None
        }
    }

    /// The content type of this protocol, without parameters.
    pub(super) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Protocol::Grpc => "application/grpc",
            Protocol::GrpcWeb => "application/grpc-web+proto",
            Protocol::GrpcWebText => "application/grpc-web-text+proto",
        })
    }

    /// The answer to a call that failed before it came to a service.
    pub(super) fn refuse(self, failure: &Failure, id: &RequestId) -> Response<CallBody> {
        // All three take an answer that consists of headers alone, so there is nothing to translate.
        let mut response = failure.status(id.as_str()).into_http::<CallBody>();
        response.headers_mut().insert(CONTENT_TYPE, self.content_type());
        response
    }
}

impl NoCall {
    /// The answer to a request that is no call.
    pub(super) fn answer(self) -> Response<CallBody> {
        let text = Body::new(Full::from(self.to_string()));
        let mut response = Response::new(CallBody::translated(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        *response.status_mut() = match self {
            NoCall::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            NoCall::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                StatusCode::METHOD_NOT_ALLOWED
            }
        };
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_protocols() {
        use NoCall::*;
        use Protocol::*;
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        let table = [
            // version, method, content type, protocol
            (h2, "POST", "application/grpc", Ok(Grpc)),
            (h2, "POST", "application/grpc+proto", Ok(Grpc)),
            (h2, "POST", "Application/GRPC ; x=y", Ok(Grpc)),
            (h1, "POST", "application/grpc", Err(ContentType)),
            (h2, "POST", "application/grpc+json", Err(ContentType)),
            (h2, "POST", "application/grpcx", Err(ContentType)),
            (h1, "POST", "application/grpc-web", Ok(GrpcWeb)),
            (h2, "POST", "application/grpc-web+proto", Ok(GrpcWeb)),
            (h1, "POST", "application/grpc-web+proto; charset=utf-8", Ok(GrpcWeb)),
            (h1, "POST", "application/grpc-web-text", Ok(GrpcWebText)),
            (h1, "POST", "application/grpc-web-text+proto;charset=utf-8", Ok(GrpcWebText)),
            (h1, "POST", "application/grpc-web+json", Err(ContentType)),
            (h1, "POST", "application/json", Err(ContentType)),
            (h1, "POST", "", Err(ContentType)),
            (h2, "GET", "application/grpc", Err(Method)),
            (h1, "PUT", "application/grpc-web", Err(Method)),
        ];
        for (version, method, content_type, protocol) in table {
            let request = Request::builder().version(version).method(method).header(CONTENT_TYPE, content_type);
            let found = Protocol::of(&request.body(()).unwrap());
            assert_eq!(found, protocol, "{version:?} {method} {content_type:?}");
        }
        assert_eq!(Protocol::of(&Request::new(())), Err(ContentType));
    }
}
