//! Limits the body of a request: its bytes, and the time that its client takes to send it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::permit::Permit;

/// Limits the body of a call.
///
/// * `permit`: of the call. It records why the body was not received to its end.
/// * `timeout`: how long a service may have to wait for the body; `None` for a body that lasts as long as the call.
pub(crate) fn bounded(body: Body, permit: Permit, context: CallContext, timeout: Option<Duration>) -> Body {
    if body.is_end_stream() { body } else { Body::new(Arriving { body, permit, context, timeout, wait: None }) }
}

struct Arriving {
    body: Body,
    permit: Permit,
    context: CallContext,
    timeout: Option<Duration>,
    /// Starts when the service first has to wait, so that a client is not blamed for a service that reads late.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(timeout) = self.timeout else { return Poll::Pending };
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(timeout)));
        wait.as_mut().poll(cx).map(|()| Failure::RequestTooSlow { timeout })
    }

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
            Poll::Pending => match this.poll_too_slow(cx) {
                Poll::Ready(failure) => this.refuse(failure),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
