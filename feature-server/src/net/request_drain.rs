//! Reads and drops the part of a request's body that the service has not read.
//!
//! A service may answer before the body has arrived: a caller without the right is refused before the body is read.
//! Dropping the body resets the stream over HTTP/2, which some clients report instead of the answer (curl 7.88 does),
//! and closes the connection over HTTP/1.1. So the rest is read and dropped after the answer, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::body::Body;

/// The most bytes of one body that are drained: the largest message that is allowed by default.
const DRAINED_BYTES_MAX: usize = 1024 * 1024;

/// How long one body is drained at most.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bodies are drained at the same time. Beyond that, streams are reset and connections closed, which costs no
/// memory.
static DRAINS: Semaphore = Semaphore::const_new(100);

/// A request whose body is drained when the service drops it.
pub(crate) fn drained(request: Request<Incoming>) -> Request<Body> {
    // A client that expects `100 Continue` sends its body only if the service reads it.
    let nothing_comes = request.body().is_end_stream() || request.headers().contains_key(EXPECT);
    request.map(|body| if nothing_comes { Body::new(body) } else { Body::new(Drained(Some(body))) })
}

/// A body, present until it is dropped.
struct Drained(Option<Incoming>);

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint())
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime), Ok(permit)) = (rest, Handle::try_current(), DRAINS.try_acquire()) {
            runtime.spawn(async move {
                let mut rest = Limited::new(rest, DRAINED_BYTES_MAX);
                let drained = async { while let Some(Ok(_)) = rest.frame().await {} };
                let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
                drop(permit);
            });
        }
    }
}
