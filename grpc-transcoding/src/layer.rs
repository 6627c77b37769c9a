//! The tower layer: it turns calls in every protocol into gRPC calls, and the answers back.

use std::convert::Infallible;
use std::future::ready;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Map};
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};

use super::compression::Encoding;
use super::grpc_call::GrpcService;
use super::grpc_call::request_messages::decoded;
use super::grpc_web;
use super::headers::GRPC_ENCODING;
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
    type Future = TranscodeFuture<S, S::Body>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.protocols.recognise(&request) {
            Ok(protocol) => self.inner.call((protocol, request.map(Body::new))),
            Err(error) => {
                let response = self.protocols.answer_no_call(&error, &error.status(), request.method());
                Either::Right(ready(translated(response)).boxed())
            }
        }
    }
}

/// Serves a gRPC service in all protocols, for calls whose protocol [`Protocols::recognise`] has found. It decompresses
/// messages, too.
#[derive(Debug, Clone)]
pub struct Transcode<S, H> {
    inner: S,
    host: PhantomData<fn() -> H>,
}

impl<S, H> Transcode<S, H> {
    /// Puts the transcoder in front of a gRPC service.
    pub fn new(inner: S) -> Self {
        Self { inner, host: PhantomData }
    }
}

impl<S: GrpcService + Clone, H: CallHost> Service<(Protocol, Request<Body>)> for Transcode<S, H> {
    type Response = Response<TranscodedBody<S::Body>>;
    type Error = Infallible;
    type Future = TranscodeFuture<S, S::Body>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, (protocol, request): (Protocol, Request<Body>)) -> Self::Future {
        if matches!(protocol, Protocol::Grpc) {
            return Either::Left(self.inner.call(decompressed::<H>(request)).map(unchanged as fn(_) -> _));
        }
        // The inner service that is ready takes this call; its clone waits for the next one.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        Either::Right(match protocol {
            Protocol::Connect(call) => call.answer::<H>(inner, request).map(translated).boxed(),
            Protocol::Rest(call) => call.answer::<H>(inner, request).map(translated).boxed(),
            web => {
                let sent = if matches!(web, Protocol::GrpcWebText) { grpc_web::TEXT } else { grpc_web::BINARY };
                let inner = inner.map_request(decompressed::<H>);
                grpc_web::answer(inner, request, sent).map(translated).boxed()
            }
        })
    }
}

/// Decompresses the messages of a gRPC request. The service itself refuses an unsupported encoding, since a gRPC server
/// has to name the encodings that it supports.
fn decompressed<H: CallHost>(mut request: Request<Body>) -> Request<Body> {
    let is_gzip = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"gzip");
    if !request.headers().get(GRPC_ENCODING).is_some_and(is_gzip) {
        return request;
    }
    request.headers_mut().remove(GRPC_ENCODING);
    let host = H::of(request.extensions());
    request.map(|body| decoded(body, Encoding::Gzip, host, None, false).0)
}

type Answered<B> = Result<Response<B>, Infallible>;

/// The answer to a call, under way. That to a plain gRPC call needs no allocation.
type TranscodeFuture<S, B> = Either<
    Map<<S as Service<Request<Body>>>::Future, fn(Answered<B>) -> Answered<TranscodedBody<B>>>,
    BoxFuture<'static, Answered<TranscodedBody<B>>>,
>;

fn unchanged<B>(answer: Answered<B>) -> Answered<TranscodedBody<B>> {
    answer.map(|response| response.map(TranscodedBody::Grpc))
}

fn translated<B>(response: Response<Body>) -> Answered<TranscodedBody<B>> {
    Ok(response.map(TranscodedBody::Translated))
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
