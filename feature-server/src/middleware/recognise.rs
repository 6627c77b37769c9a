//! The layer that tells calls from requests for pages and from all others. Only calls for a host of this server go on,
//! with their protocol and their method.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use grpc_transcoding::protocol::json_answer;
use grpc_transcoding::rest::RouteError;
use grpc_transcoding::{Error, Protocol, Protocols, TranscodedBody};
use http::{Method, Request, Response};
use http_body_util::Full;
use pin_project_lite::pin_project;
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tower::Service;

use self::allowed_hosts::Hosts;
pub use self::methods::MessageBytes;
use self::methods::{Methods, ServedMethod};
use self::prepared::Prepared;
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::pages::{self, Pages};

pub mod allowed_hosts;
pub(crate) mod methods;
pub(crate) mod prepared;
#[cfg(test)]
mod tests;

/// Recognises the calls, pages and hosts of this server.
#[derive(Debug)]
pub struct Recogniser {
    protocols: Protocols,
    methods: Methods,
    pages: Pages,
    hosts: Hosts,
    path_unknown: Prepared,
}

/// A call, with the results of this layer.
#[derive(Debug)]
pub(crate) struct Recognised {
    pub(crate) request: Request<Body>,
    pub(crate) protocol: Protocol,
    /// None if there is no such method: its service says so.
    pub(crate) method: Option<ServedMethod>,
}

impl Recogniser {
    /// Recognises calls of the services in `pool`, and requests for `pages`, under the names in `hosts`.
    ///
    /// # Errors
    /// [`RouteError`] for an HTTP rule that cannot be served.
    pub fn new(
        pool: DescriptorPool,
        message_bytes: MessageBytes<'_>,
        pages: Pages,
        hosts: Hosts,
    ) -> Result<Self, RouteError> {
        let methods = Methods::new(&pool, message_bytes);
        let path_unknown = Prepared::new(&pool, &Failure::PathUnknown);
        Ok(Self { protocols: Protocols::new(pool)?, methods, pages, hosts, path_unknown })
    }

    /// The protocol of a request.
    ///
    /// # Errors
    /// [`Error`] says why the request is no call.
    pub fn protocol<B>(&self, request: &Request<B>) -> Result<Protocol, Error> {
        self.protocols.recognise(request).map_err(|error| match error {
            Error::PathUnknown if pages::is_page(request.uri().path()) => {
                Error::VerbNotAllowed(vec![Method::GET, Method::HEAD])
            }
            error => error,
        })
    }

    /// The protocol of a call; the answer to any other request.
    fn recognise<B>(&self, request: &Request<B>) -> Result<Protocol, Box<Response<Body>>> {
        let recognised = self.protocol(request);
        let is_grpc = matches!(recognised, Ok(Protocol::Grpc));
        if let Err(failure) = self.hosts.check(request, is_grpc) {
            let context = CallContext::of(request.extensions());
            return Err(Box::new(self.answer_misdirected(&recognised, &failure, &context)));
        }
        recognised.map_err(|error| Box::new(self.answer_no_call(error, request)))
    }

    /// The answer to a request for another host: in the protocol of the call, if it is one.
    fn answer_misdirected(
        &self,
        recognised: &Result<Protocol, Error>,
        failure: &Failure,
        context: &CallContext,
    ) -> Response<Body> {
        let status = failure.status(context.request_id());
        match recognised {
            Ok(protocol) => {
                context.set_code(status.code());
                protocol.refuse(&status)
            }
            Err(_) => self.protocols.answer(grpc_transcoding::json::http_status(status.code()), &status),
        }
    }

    /// The answer to a request that is no call: a page, or the error as JSON.
    fn answer_no_call<B>(&self, error: Error, request: &Request<B>) -> Response<Body> {
        if let Some(page) = self.pages.answer(request) {
            return page.map(|page| Body::new(Full::new(page)));
        }
        let context = CallContext::of(request.extensions());
        if matches!(error, Error::PathUnknown) {
            return json_answer(error.http_status(), self.path_unknown.json(context.request_id()));
        }
        let status = Failure::from(error.clone()).status(context.request_id());
        self.protocols.answer_no_call(&error, &status, request.method())
    }
}

/// Recognises the calls of a service, and answers all other requests.
#[derive(Debug, Clone)]
pub(crate) struct Recognition<S> {
    inner: S,
    recogniser: Arc<Recogniser>,
}

impl<S> Recognition<S> {
    pub(crate) fn new(inner: S, recogniser: Recogniser) -> Self {
        Self { inner, recogniser: Arc::new(recogniser) }
    }
}

impl<S> Service<Request<Body>> for Recognition<S>
where
    S: Service<Recognised, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = RecognitionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.recogniser.recognise(&request) {
            Ok(protocol) => {
                let method = self.recogniser.methods.get(protocol.grpc_path(request.uri().path()));
                RecognitionFuture::Call { inner: self.inner.call(Recognised { request, protocol, method }) }
            }
            Err(answer) => {
                let answer = answer.map(|body| CallBody::new(TranscodedBody::Translated(body)).refused());
                RecognitionFuture::NoCall { answer: Some(answer) }
            }
        }
    }
}

pin_project! {
    /// The answer to a request, under way.
    #[project = RecognitionProjected]
    pub(crate) enum RecognitionFuture<F> {
        Call { #[pin] inner: F },
        NoCall { answer: Option<Response<CallBody>> },
    }
}

impl<F> Future for RecognitionFuture<F>
where
    F: Future<Output = Result<Response<CallBody>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            RecognitionProjected::Call { inner } => inner.poll(cx),
            RecognitionProjected::NoCall { answer } => {
                Poll::Ready(Ok(answer.take().expect("a future is not polled after it was ready")))
            }
        }
    }
}
