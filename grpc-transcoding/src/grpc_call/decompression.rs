//! Compressed gRPC requests: their messages are decompressed, and counted, before the service reads them.

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use http::Request;
use tonic::body::Body;
use tower::Service;

use super::GrpcService;
use super::request_messages::RequestMessages;
use crate::compression::Encoding;
use crate::headers::GRPC_ENCODING;
use crate::host::CallHost;

/// Decompresses the messages of requests. The service itself refuses an unsupported encoding, since a gRPC server has
/// to name the encodings that it supports.
pub struct Decompression<S, H> {
    inner: S,
    host: PhantomData<fn() -> H>,
}

impl<S, H> Decompression<S, H> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, host: PhantomData }
    }
}

impl<S: Clone, H> Clone for Decompression<S, H> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S: fmt::Debug, H> fmt::Debug for Decompression<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompression").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: GrpcService, H: CallHost> Service<Request<Body>> for Decompression<S, H> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let encoding = Encoding::of(request.headers(), GRPC_ENCODING);
        let request = if matches!(encoding, Ok(Encoding::Gzip)) { decompressed::<H>(request) } else { request };
        self.inner.call(request)
    }
}

fn decompressed<H: CallHost>(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(GRPC_ENCODING);
    let host = H::of(request.extensions());
    // The messages are gRPC already, so there is nothing to decode.
    let decode: Option<fn(_) -> _> = None;
    request.map(|body| Body::new(RequestMessages::new(body, Encoding::Gzip, host, decode)))
}
