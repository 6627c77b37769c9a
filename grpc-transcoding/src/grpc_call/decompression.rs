//! Compressed gRPC requests: their messages are decompressed before a service sees them, and what they take is counted.

use std::task::{Context, Poll};

use http::{HeaderName, Request};
use tonic::body::Body;
use tower::Service;

use super::request_messages::RequestMessages;
use crate::call_context::CallContext;
use crate::permit::Share;
use crate::transcoding::compression::Encoding;
use crate::transcoding::grpc_call::InnerService;

/// The header that tells how the messages of a gRPC request are compressed.
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Decompresses the messages of requests. An encoding that is not supported is left to the service to refuse, since gRPC
/// wants it to tell what it supports.
#[derive(Debug, Clone)]
pub(crate) struct Decompression<S> {
    inner: S,
}

impl<S> Decompression<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: InnerService> Service<Request<Body>> for Decompression<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let encoding = Encoding::of(request.headers(), GRPC_ENCODING);
        let request = if matches!(encoding, Ok(Encoding::Gzip)) { decompressed(request) } else { request };
        self.inner.call(request)
    }
}

fn decompressed(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(GRPC_ENCODING);
    let (share, context) = (Share::of_call(request.extensions()), CallContext::of(request.extensions()));
    request.map(|body| {
        // Its messages need no decoding.
        let decode: Option<fn(_) -> _> = None;
        Body::new(RequestMessages::new(body, Encoding::Gzip, share, context, decode))
    })
}
