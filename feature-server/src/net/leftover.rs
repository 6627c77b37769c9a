//! What a service leaves unread of a request's body over HTTP/1.1.
//!
//! An answer may be ready before the body is here, since who may not call is refused without a look at it. On HTTP/1.1
//! the connection would then have to be closed, just when a client takes it for its next request. So what is left is
//! read and dropped first, within bounds.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::body::Body;

use super::unread;
use crate::middleware::deadline::Deadline;

/// What is dropped at most. Of a larger rest the connection is not worth it.
const MOST_BYTES: usize = 64 * 1024;

/// How long an answer waits for what is left at most: it is on its way already, or not worth the wait.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// A body that the service and [`Leftover`] both read, one after the other.
type Shared = Arc<Mutex<Incoming>>;

/// The rest of a request's body.
pub(crate) struct Leftover {
    body: Shared,
    dropped: usize,
    /// Begins with the first wait.
    wait: Option<Pin<Box<Sleep>>>,
}

/// The body as the service reads it.
struct Read(Shared);

/// Gives the service its request, and what it leaves unread where that matters.
pub(crate) fn split(request: Request<Incoming>) -> (Request<Body>, Option<Leftover>) {
    if request.version() == Version::HTTP_2 {
        return (request.map(unread::keep), None);
    }
    // Whoever expects to be told to go on sends nothing unless the service reads.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return (request.map(Body::new), None);
    }
    let (head, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let leftover = Leftover { body: Arc::clone(&body), dropped: 0, wait: None };
    (Request::from_parts(head, Body::new(Read(body))), Some(leftover))
}

fn poll_shared(body: &Shared, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let mut body = body.lock().expect("reading a body does not panic");
    Pin::new(&mut *body).poll_frame(cx)
}

impl Leftover {
    /// Ready when nothing is left, or when it is not worth to wait for it.
    ///
    /// `deadline`: of the call, if it has one.
    pub(crate) fn poll_dropped(&mut self, cx: &mut Context<'_>, deadline: Option<&Deadline>) -> Poll<()> {
        // A service that streams has answered and reads on.
        if Arc::strong_count(&self.body) > 1 {
            return Poll::Ready(());
        }
        while self.dropped <= MOST_BYTES {
            match poll_shared(&self.body, cx) {
                Poll::Ready(Some(Ok(frame))) => self.dropped += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => {
                    let wait = self.wait.get_or_insert_with(|| {
                        let longest = Instant::now() + LONGEST_WAIT;
                        Box::pin(sleep_until(deadline.map_or(longest, |deadline| longest.min(deadline.answer))))
                    });
                    ready!(wait.as_mut().poll(cx));
                    return Poll::Ready(());
                }
            }
        }
        Poll::Ready(())
    }
}

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        poll_shared(&self.0, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().expect("reading a body does not panic").is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().expect("reading a body does not panic").size_hint()
    }
}
