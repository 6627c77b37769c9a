//! Limits the number of calls, the size of their requests and their duration. A call over a limit is refused at once,
//! in the caller's protocol.

use std::convert::Infallible;
use std::future::{self, Future, Ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use grpc_transcoding::{Protocol, TranscodedBody};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::call_context::deadline::Deadline;
use crate::call_context::{CallContext, Client};
use crate::config::settings::Limits;
use crate::error::Failure;
use crate::middleware::error_details::{Ending, StreamEnd};
use crate::middleware::recognise::Recognised;
use crate::middleware::response_body::CallBody;
use crate::middleware::stream_buffer;
use crate::net::shutdown::Drain;
use crate::permit::{Permit, PermitGuard, Permits};

/// How long a call without a token may run without a slot.
const BRIEF_CALL: Duration = Duration::from_millis(250);

/// Limits the calls of a service.
#[derive(Debug, Clone)]
pub(crate) struct AdmissionService<S> {
    inner: S,
    bounds: Arc<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    permits: Arc<Permits>,
    limits: Limits,
    drain: Drain,
}

impl<S> AdmissionService<S> {
    pub(crate) fn new(inner: S, limits: &Limits, drain: Drain) -> Self {
        let bounds = Bounds { permits: Permits::new(limits), limits: limits.clone(), drain };
        Self { inner, bounds: Arc::new(bounds) }
    }
}

impl<S> Service<Recognised> for AdmissionService<S>
where
    S: Service<(Protocol, Request<Body>), Response = Response<TranscodedBody<StreamEnd>>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Either<AdmittedFuture<S::Future>, Ready<Result<Self::Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, recognised: Recognised) -> Self::Future {
        let Recognised { mut request, protocol, method } = recognised;
        let context = CallContext::of(request.extensions());
        if let Some(trace) = context.trace() {
            trace.set_method(method.map(|_| protocol.grpc_path(request.uri().path())));
        }
        let limits = &self.bounds.limits;
        let asked = protocol.timeout(request.headers()).map_err(Failure::from);
        let deadline = match asked.and_then(|asked| Deadline::new(asked, limits)) {
            Ok(deadline) => deadline,
            Err(failure) => return Either::Right(future::ready(Ok(refuse(&protocol, &failure, &context)))),
        };
        let (sends_stream, gets_stream) =
            method.map_or((false, false), |method| (method.sends_stream, method.gets_stream));
        // For a method that does not exist, no message is read.
        let message_bytes = method.map_or(0, |method| method.message_bytes);
        let Client { address, certificate, .. } = context.client();
        let (permit, mut guard) = self.bounds.permits.permit(*address, sends_stream, message_bytes);
        // A stream needs a slot for its whole life. Without a credential it can only get an unauthenticated one, so
        // take it now. An invalid credential counts, too.
        if sends_stream
            && certificate.is_none()
            && !request.headers().contains_key(AUTHORIZATION)
            && let Err(overloaded) = permit.acquire_long_running()
        {
            return Either::Right(future::ready(Ok(refuse(&protocol, &overloaded, &context))));
        }
        request.extensions_mut().insert(deadline);
        request.extensions_mut().insert(permit.clone());
        if !request.body().is_end_stream() {
            let timeout = (!sends_stream).then_some(Duration::from_millis(limits.receive_timeout_ms));
            let (permit, context) = (permit.clone(), context.clone());
            request = request.map(|body| Body::new(Arriving { body, permit, context, timeout, wait: None }));
        }
        if sends_stream {
            request = request.map(|body| {
                let (body, read_task) = stream_buffer::read(body, context.clone());
                guard.read_task = Some(read_task);
                body
            });
        }
        Either::Left(AdmittedFuture {
            inner: self.inner.call((protocol.clone(), request)),
            call: Call {
                permit,
                guard: Some(guard),
                is_stream: sends_stream || gets_stream,
                brief: None,
                deadline,
                ending: Ending::default(),
                bounds: self.bounds.clone(),
                protocol,
                context,
            },
        })
    }
}

pin_project! {
    /// The future of the answer to an admitted call.
    #[project = AdmittedFutureProjected]
    pub(crate) struct AdmittedFuture<F> {
        #[pin]
        inner: F,
        call: Call,
    }
}

/// The state of a running call.
struct Call {
    permit: Permit,
    /// Dropped when the answer is complete, or at the end of a stream.
    guard: Option<PermitGuard>,
    is_stream: bool,
    brief: Option<Pin<Box<Sleep>>>,
    deadline: Deadline,
    ending: Ending,
    bounds: Arc<Bounds>,
    protocol: Protocol,
    context: CallContext,
}

impl Call {
    /// Handles an answer. A complete answer is in memory, so its call is over; a stream lasts.
    fn answer(&mut self, response: Response<CallBody>) -> Result<Response<CallBody>, Failure> {
        if !self.is_stream || response.body().is_end_stream() {
            return Ok(response);
        }
        self.permit.acquire_long_running()?;
        Ok(response.map(|body| body.with_guard(self.guard.take())))
    }

    /// The failure that ends a waiting call, if there is one.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if let Err(overloaded) = self.permit.acquire_long_running() {
            // A slow last packet is normal: give the call 250 ms before refusing it.
            if self.permit.acquire_brief().is_err() {
                return Poll::Ready(overloaded);
            }
            let wait = self.brief.get_or_insert_with(|| Box::pin(sleep(BRIEF_CALL)));
            if wait.as_mut().poll(cx).is_ready() {
                return Poll::Ready(overloaded);
            }
        }
        self.ending.poll(cx, Some(self.deadline.answer), &self.bounds.drain)
    }

    /// Ends the call. The future that polls it then drops the service's future, and with it all that still runs inside.
    fn finish(&mut self, answered: Result<Response<CallBody>, Failure>) -> Response<CallBody> {
        self.guard = None;
        answered.unwrap_or_else(|failure| refuse(&self.protocol, &failure, &self.context))
    }
}

/// The answer to a call that has failed, in its protocol.
fn refuse(protocol: &Protocol, failure: &Failure, context: &CallContext) -> Response<CallBody> {
    let status = failure.status(context.request_id());
    context.set_code(status.code());
    protocol.refuse(&status).map(|body| CallBody::new(TranscodedBody::Translated(body)).refused())
}

impl<F> Future for AdmittedFuture<F>
where
    F: Future<Output = Result<Response<TranscodedBody<StreamEnd>>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let AdmittedFutureProjected { inner, call } = self.project();
        let polled = inner.poll(cx);
        let answered = match (call.permit.refused(), polled) {
            (Some(failure), _) => Err(failure),
            (None, Poll::Ready(Ok(response))) => call.answer(response.map(CallBody::new)),
            (None, Poll::Pending) => Err(ready!(call.poll_end(cx))),
        };
        Poll::Ready(Ok(call.finish(answered)))
    }
}

/// The body of a request, within its permit.
struct Arriving {
    body: Body,
    /// Records why the body was not received to its end.
    permit: Permit,
    context: CallContext,
    /// How long the service may have to wait for the body; `None` for a body that lasts as long as the call.
    timeout: Option<Duration>,
    /// Starts when the service first has to wait, so that a client is not blamed for a service that reads late.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    fn refuse(&self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let status = failure.status(self.context.request_id());
        self.permit.refuse(failure);
        Poll::Ready(Some(Err(status)))
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match this.permit.reserve_bytes(frame.data_ref().map_or(0, Bytes::len)) {
                Ok(()) => Poll::Ready(Some(Ok(frame))),
                Err(failure) => this.refuse(failure),
            },
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => {
                let Some(timeout) = this.timeout else { return Poll::Pending };
                ready!(this.wait.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx));
                this.refuse(Failure::RequestTooSlow { timeout })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
