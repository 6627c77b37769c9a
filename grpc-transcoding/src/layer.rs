//! The tower layer: it turns calls in every protocol into gRPC calls, and the answers back.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::grpc_call::GrpcService;
use super::grpc_call::decompression::Decompression;
use super::grpc_web::{self, WebFuture};
use super::host::{CallHost, DefaultHost};
use super::protocol::{Protocol, Protocols};

/// Serves a gRPC service in all protocols, under a [`DefaultHost`]: it recognises the protocol of each request, and
/// answers requests that are no calls. A server with a host of its own uses [`Transcode`] instead.
#[derive(Debug, Clone)]
pub struct TranscodeLayer {
    protocols: Arc<Protocols>,
}

impl TranscodeLayer {
    /// A layer for these protocols.
    pub fn new(protocols: Protocols) -> Self {
        Self { protocols: Arc::new(protocols) }
    }
}

impl<S> Layer<S> for TranscodeLayer {
    type Service = TranscodeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TranscodeService { protocols: Arc::clone(&self.protocols), inner: Transcode::new(inner) }
    }
}

/// The service of a [`TranscodeLayer`].
#[derive(Debug, Clone)]
pub struct TranscodeService<S> {
    protocols: Arc<Protocols>,
    inner: Transcode<S, DefaultHost>,
}

impl<S, B> Service<Request<B>> for TranscodeService<S>
where
    S: GrpcService + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + 'static,
{
    type Response = Response<TranscodedBody<S::Body>>;
    type Error = Infallible;
    type Future = TranscodeFuture<S, DefaultHost>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.protocols.recognise(&request) {
            Ok(protocol) => self.inner.call(RecognisedCall { protocol, request: request.map(Body::new) }),
            Err(error) => {
                let status = error.status();
                let response = self.protocols.answer_no_call(&error, &status, request.method());
                TranscodeFuture { state: State::NoCall { response: Some(response) } }
            }
        }
    }
}

/// A request and its protocol.
#[derive(Debug)]
pub struct RecognisedCall {
    /// What [`Protocols::recognise`] has found.
    pub protocol: Protocol,
    /// The request, as the client sent it.
    pub request: Request<Body>,
}

/// Serves a gRPC service in all protocols, for calls whose protocol is known. It decompresses messages, too.
#[derive(Debug)]
pub struct Transcode<S, H> {
    inner: Decompression<S, H>,
}

impl<S, H> Transcode<S, H> {
    /// Puts the transcoder in front of a gRPC service.
    pub fn new(inner: S) -> Self {
        Self { inner: Decompression::new(inner) }
    }
}

impl<S: Clone, H> Clone for Transcode<S, H> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S: GrpcService + Clone, H: CallHost> Service<RecognisedCall> for Transcode<S, H> {
    type Response = Response<TranscodedBody<S::Body>>;
    type Error = Infallible;
    type Future = TranscodeFuture<S, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: RecognisedCall) -> Self::Future {
        let RecognisedCall { protocol, request } = call;
        if matches!(protocol, Protocol::Grpc) {
            return TranscodeFuture { state: State::Grpc { future: self.inner.call(request) } };
        }
        // The inner service that is ready takes this call; its clone waits for the next one.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        let state = match protocol {
            Protocol::Connect(call) => {
                let host = H::of(request.extensions());
                State::Json { future: Box::pin(call.answer(inner, request, host)) }
            }
            Protocol::Rest(call) => {
                let host = H::of(request.extensions());
                State::Json { future: Box::pin(call.answer(inner, request, host)) }
            }
            web => State::GrpcWeb { future: grpc_web::call(inner, request, &web) },
        };
        TranscodeFuture { state }
    }
}

pin_project! {
    /// The answer to a call, under way.
    pub struct TranscodeFuture<S: GrpcService, H: CallHost> {
        #[pin]
        state: State<S, H>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<S: GrpcService, H: CallHost> {
        Grpc { #[pin] future: S::Future },
        GrpcWeb { #[pin] future: WebFuture<Decompression<S, H>> },
        Json { future: Pin<Box<dyn Future<Output = Response<Body>> + Send>> },
        NoCall { response: Option<Response<Body>> },
    }
}

impl<S: GrpcService, H: CallHost> Future for TranscodeFuture<S, H> {
    type Output = Result<Response<TranscodedBody<S::Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let translated = match self.project().state.project() {
            StateProjected::Grpc { future } => {
                return Poll::Ready(ready!(future.poll(cx)).map(|response| response.map(TranscodedBody::Grpc)));
            }
            StateProjected::GrpcWeb { future } => ready!(future.poll(cx))?,
            StateProjected::Json { future } => ready!(future.as_mut().poll(cx)),
            StateProjected::NoCall { response } => response.take().expect("a future is not polled after it was ready"),
        };
        Poll::Ready(Ok(translated.map(TranscodedBody::Translated)))
    }
}

/// The body of an answer: that of the gRPC service as it is, or a translated one.
#[derive(Debug)]
pub enum TranscodedBody<B> {
    /// The answer to a plain gRPC call.
    Grpc(B),
    /// The answer in another protocol.
    Translated(Body),
}

impl<B> Default for TranscodedBody<B> {
    /// An empty body.
    fn default() -> Self {
        TranscodedBody::Translated(Body::empty())
    }
}

impl<B> http_body::Body for TranscodedBody<B>
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            TranscodedBody::Grpc(body) => Pin::new(body).poll_frame(cx),
            TranscodedBody::Translated(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            TranscodedBody::Grpc(body) => body.is_end_stream(),
            TranscodedBody::Translated(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            TranscodedBody::Grpc(body) => body.size_hint(),
            TranscodedBody::Translated(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
