//! Writes one log line for each call, when the call is over, and ends the trace of a sampled one. Headers and bodies
//! are never logged, so tokens and values cannot leak.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use grpc_transcoding::headers::GRPC_STATUS;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tonic::Code;
use tonic::body::Body;
use tower::Service;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::Entered;

use super::response_body::CallBody;
use crate::call_context::{CallContext, REQUEST_ID};
use crate::telemetry::traces::Tracer;

/// Gives each call its span, and logs how the call ended.
#[derive(Debug, Clone)]
pub(crate) struct CallLogService<S> {
    inner: S,
    tracer: Option<Arc<Tracer>>,
}

impl<S> CallLogService<S> {
    /// `tracer`: begins the traces of sampled calls; `None` if traces are off.
    pub(crate) fn new(inner: S, tracer: Option<Arc<Tracer>>) -> Self {
        Self { inner, tracer }
    }
}

impl<S> Service<Request<Body>> for CallLogService<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = CallLogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (context, started) = (CallContext::of(request.extensions()), Instant::now());
        if let Some(tracer) = &self.tracer
            && let Some(trace) = tracer.begin(request.headers(), started)
        {
            context.set_trace(trace);
        }
        let span = if LevelFilter::current() > LevelFilter::INFO { context.span() } else { Span::none() };
        let log = CallLog { context, span, started, answered: None };
        let inner = log.span.in_scope(|| self.inner.call(request));
        CallLogFuture { inner, log: Some(log) }
    }
}

pin_project! {
    /// The future of an answer.
    pub(crate) struct CallLogFuture<F> {
        // Declared first, so that a cancelled call is dropped before it is logged.
        #[pin]
        inner: F,
        log: Option<CallLog>,
    }
}

impl<F> Future for CallLogFuture<F>
where
    F: Future<Output = Result<Response<CallBody>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.log {
            Some(log) => log.span.in_scope(|| this.inner.poll(cx)),
            None => this.inner.poll(cx),
        };
        let Ok(mut response) = ready!(polled);
        let Some(mut log) = this.log.take() else {
            return Poll::Ready(Ok(response));
        };
        let mut value = log.context.request_id_header();
        // Each answer has another id, so it would only fill HPACK's table and evict useful entries. A sensitive value
        // stays out of the table.
        value.set_sensitive(true);
        response.headers_mut().insert(REQUEST_ID, value);
        log.answered = Some(response.status());
        if let Some(code) = response.headers().get(GRPC_STATUS) {
            log.context.set_code(Code::from_bytes(code.as_bytes()));
        }
        Poll::Ready(Ok(response.map(|body| body.with_log(log))))
    }
}

/// Logs a call when it is dropped, that is, when the call is over.
pub(crate) struct CallLog {
    context: CallContext,
    span: Span,
    started: Instant,
    /// The HTTP status, once there is an answer.
    answered: Option<StatusCode>,
}

impl CallLog {
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        if let Some(trace) = self.context.trace() {
            trace.end(self.context.code().unwrap_or(Code::Cancelled));
        }
        let took = self.started.elapsed();
        let is_call = self.context.ended(took);
        let duration_us = took.as_micros() as u64;
        match (self.context.code(), self.answered) {
            (Some(code @ (Code::Internal | Code::Unknown | Code::DataLoss)), _) => {
                self.context.in_span(|| tracing::warn!(?code, duration_us, "call failed inside the server"));
            }
            (Some(code), _) => tracing::debug!(?code, duration_us, "call finished"),
            (None, Some(status)) if !is_call => {
                tracing::debug!(http_status = status.as_u16(), duration_us, "request answered, which calls no method");
            }
            // The call has no outcome, so it was cancelled: the client or the connection is gone.
            (None, _) => tracing::debug!(code = ?Code::Cancelled, duration_us, "call given up"),
        }
    }
}
