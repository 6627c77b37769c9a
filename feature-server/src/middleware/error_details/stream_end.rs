//! Ends every stream of answers with a status, for every reason of its end.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;
use crate::error::{self, Failure};
use crate::middleware::deadline::Ending;
use crate::middleware::error_details;
use crate::net::shutdown::{Drain, Phase};

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
    pub(crate) fn new(inner: Body, context: CallContext, deadline: Option<Instant>, drain: Drain) -> Self {
        Self { inner, context, deadline, drain, ending: Ending::default(), messages: 0 }
    }

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
        error_details::write(status, &mut trailers);
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
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.inner).poll_frame(cx)));
        let Ok(polled) = polled.inspect_err(|panic| error_details::log_panic(panic.as_ref(), &this.context)) else {
            return this.fail(&Failure::Internal);
        };
        match polled {
            Poll::Pending => match this.ending.poll(cx, this.deadline, &this.drain) {
                Poll::Ready(failure) => this.fail(&failure),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    error_details::complete(trailers, &this.context);
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
