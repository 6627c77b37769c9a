//! The layer that makes gRPC of every call, whatever protocol it is in, and brings the answers back into that protocol.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::Service;

use super::grpc_web::{self, WebFuture};
use super::protocol::Protocol;
use crate::middleware::response_body::CallBody;
use crate::transcoding::grpc_call::InnerService;

/// Translates calls. The protocol of a call is in its extensions; without one it is plain gRPC.
#[derive(Debug, Clone)]
pub(crate) struct Translation<S> {
    inner: S,
}

impl<S> Translation<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: InnerService + Clone> Service<Request<Body>> for Translation<S> {
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = TranslationFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(protocol) = request.extensions_mut().remove::<Protocol>() else {
            return TranslationFuture::Grpc { future: self.inner.call(request) };
        };
        // The inner service that is ready is the one to call; its clone waits for the next call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        match protocol {
            Protocol::Grpc => TranslationFuture::Grpc { future: inner.call(request) },
            Protocol::GrpcWeb | Protocol::GrpcWebText => {
                TranslationFuture::GrpcWeb { future: grpc_web::call(inner, request, &protocol) }
            }
            Protocol::Connect(call) => TranslationFuture::Translated { future: Box::pin(call.answer(inner, request)) },
            Protocol::Rest(call) => TranslationFuture::Translated { future: Box::pin(call.answer(inner, request)) },
        }
    }
}

pin_project! {
    /// The answer to a call, under way.
    #[project = TranslationProjected]
    pub(crate) enum TranslationFuture<S: InnerService> {
        Grpc { #[pin] future: S::Future },
        GrpcWeb { #[pin] future: WebFuture<S> },
        Translated { future: Pin<Box<dyn Future<Output = Response<CallBody>> + Send>> },
    }
}

impl<S: InnerService> Future for TranslationFuture<S> {
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            TranslationProjected::Grpc { future } => ready!(future.poll(cx)).map(|answer| answer.map(CallBody::grpc)),
            TranslationProjected::GrpcWeb { future } => {
                ready!(future.poll(cx)).map(|answer| answer.map(CallBody::translated))
            }
            TranslationProjected::Translated { future } => Ok(ready!(future.as_mut().poll(cx))),
        })
    }
}
