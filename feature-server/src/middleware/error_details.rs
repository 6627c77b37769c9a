//! Ends every answer with a complete status: turns panics into failures, adds the error details, and ends streams at
//! their deadline and at the end of the server. `crate::error` makes the statuses.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_transcoding::headers::{GRPC_STATUS, GRPC_STATUS_DETAILS};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::call_context::CallContext;
use crate::call_context::deadline::Deadline;
use crate::error::{self, Failure};
use crate::net::shutdown::{Drain, Phase};

/// Answers for a service that panics, and completes its failed answers.
#[derive(Debug, Clone)]
pub(crate) struct Errors<S> {
    inner: S,
    drain: Drain,
}

impl<S> Errors<S> {
    pub(crate) fn new(inner: S, drain: Drain) -> Self {
        Self { inner, drain }
    }
}

impl<S> Service<Request<Body>> for Errors<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<StreamEnd>;
    type Error = Infallible;
    type Future = ErrorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = CallContext::of(request.extensions());
        let stream_deadline = request.extensions().get::<Deadline>().and_then(|deadline| deadline.stream);
        let inner = catch(&context, || self.inner.call(request));
        ErrorsFuture { inner, context, stream_deadline, drain: self.drain.clone() }
    }
}

pin_project! {
    /// The future of an answer.
    pub(crate) struct ErrorsFuture<F> {
        // `None` if the service panicked before it returned a future.
        #[pin]
        inner: Option<F>,
        context: CallContext,
        stream_deadline: Option<Instant>,
        drain: Drain,
    }
}

impl<F> Future for ErrorsFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<StreamEnd>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.inner.as_pin_mut().and_then(|inner| catch(this.context, || inner.poll(cx))) {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(response))) => response,
            None => Failure::Internal.status(this.context.request_id()).into_http(),
        };
        complete(response.headers_mut(), this.context);
        Poll::Ready(Ok(response.map(|inner| StreamEnd {
            inner,
            context: this.context.clone(),
            deadline: *this.stream_deadline,
            drain: this.drain.clone(),
            ending: Ending::default(),
            messages: 0,
        })))
    }
}

/// Records the code in the headers or trailers of an answer, if there is one, and adds the details that a failed answer
/// lacks.
fn complete(headers: &mut HeaderMap, context: &CallContext) {
    let Some(code) = headers.get(GRPC_STATUS) else { return };
    let code = Code::from_bytes(code.as_bytes());
    context.set_code(code);
    if code == Code::Ok || headers.contains_key(GRPC_STATUS_DETAILS) {
        return;
    }
    if let Some(status) = Status::from_header_map(headers) {
        let status = error::complete(status, context.request_id());
        context.set_code(status.code());
        write(&status, headers);
    }
}

/// Writes a status into the headers or trailers of an answer.
fn write(status: &Status, headers: &mut HeaderMap) {
    // The message is percent-encoded and the details are base64, so that both fit into a header.
    status.add_header(headers).expect("a status can be written as headers");
}

/// Runs a part of a call; `None` if it panics. The panic hook logs the location of the panic.
fn catch<T>(context: &CallContext, part: impl FnOnce() -> T) -> Option<T> {
    let log = |panic: &Box<dyn Any + Send>| {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)");
        context.in_span(|| tracing::error!(message, "a service panicked"));
    };
    catch_unwind(AssertUnwindSafe(part)).inspect_err(log).ok()
}

/// The body of an answer that ends with a status in its trailers, also if the client's deadline passes, the server
/// stops, or the service panics.
///
/// A unary answer is complete at once, so none of this happens to it.
pub(crate) struct StreamEnd {
    /// Empty after the end has been sent.
    inner: Body,
    context: CallContext,
    deadline: Option<Instant>,
    drain: Drain,
    ending: Ending,
    messages: usize,
}

impl StreamEnd {
    /// Checks the deadline of a stream that always has something to send, and so never waits.
    ///
    /// A unary answer has only one message and is not checked.
    fn overdue(&self) -> Option<Failure> {
        if self.messages < 2 {
            None
        } else if self.drain.has_reached(Phase::Ended) {
            Some(Failure::ShuttingDown)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Failure::DeadlineExceeded)
        } else {
            None
        }
    }

    fn end_with(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        drop(mem::take(&mut self.inner));
        let mut trailers = HeaderMap::with_capacity(3);
        write(status, &mut trailers);
        self.context.set_code(status.code());
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn fail(&mut self, failure: &Failure) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.end_with(&failure.status(self.context.request_id()))
    }
}

impl http_body::Body for StreamEnd {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(polled) = catch(&this.context, || Pin::new(&mut this.inner).poll_frame(cx)) else {
            return this.fail(&Failure::Internal);
        };
        match polled {
            Poll::Pending if this.deadline.is_none() && this.context.ends_with_connection() => Poll::Pending,
            Poll::Pending => match this.ending.poll(cx, this.deadline, &this.drain) {
                Poll::Ready(failure) => this.fail(&failure),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    complete(trailers, &this.context);
                } else if let Some(failure) = this.overdue() {
                    return this.fail(&failure);
                } else {
                    this.messages += 1;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => this.end_with(&error::complete(status, this.context.request_id())),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A stream may end early, so its size is unknown. An empty body has an exact size: the status is in the
        // headers.
        if self.inner.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

/// What ends a call from outside: its deadline, or the end of the drain period.
///
/// The timer is created at the first poll. A call that never waits is not polled here, so it costs nothing.
#[derive(Default)]
pub(crate) struct Ending(Option<Pin<Box<dyn Future<Output = Failure> + Send>>>);

impl Ending {
    /// Ready when the deadline has passed or the drain period has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>, drain: &Drain) -> Poll<Failure> {
        let wait = self.0.get_or_insert_with(|| {
            let drain = drain.clone();
            // Runs outside of the task's budget: a call that has used up the budget would starve the timer.
            Box::pin(unconstrained(async move {
                // Made in here, so that the box has it once.
                let ended = drain.reached(Phase::Ended);
                let Some(deadline) = deadline else {
                    ended.await;
                    return Failure::ShuttingDown;
                };
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => Failure::DeadlineExceeded,
                    () = ended => Failure::ShuttingDown,
                }
            }))
        });
        wait.as_mut().poll(cx)
    }
}
