//! What a service leaves unread of a request's body over HTTP/2.
//!
//! A body that is dropped before its end resets its stream. A server may do that once its answer is complete (RFC 9113,
//! section 8.1), and clients must not lose the answer by it. Some do all the same: curl 7.88 reports a stream error
//! instead of a 401. So what is left is read and dropped after the answer, within bounds. Nothing waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tonic::body::Body;

/// What is dropped at most: as much as the largest message that is allowed by default.
const MOST_BYTES: usize = 1024 * 1024;

/// How long what is left is read at most.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How many bodies are read for that at once. Who makes more of them has its streams reset, which costs no memory.
static AT_ONCE: Semaphore = Semaphore::const_new(100);

/// The body of a request as one that is read to its end even if the service drops it.
pub(crate) fn keep(body: Incoming) -> Body {
    if body.is_end_stream() { Body::new(body) } else { Body::new(Kept(Some(body))) }
}

/// A body that is there until it is dropped.
struct Kept(Option<Incoming>);

impl http_body::Body for Kept {
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

impl Drop for Kept {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime), Ok(permit)) = (rest, Handle::try_current(), AT_ONCE.try_acquire()) {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LONGEST_WAIT, throw_away(rest)).await;
                drop(permit);
            });
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = MOST_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
