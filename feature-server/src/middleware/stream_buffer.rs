//! Reads the request of a client-streaming call as it arrives, whether the service polls it or not.
//!
//! HTTP/2 limits the unread bytes of a client but not the number of its frames, and each unread frame costs hundreds of
//! bytes of memory even if it is almost empty. So frames never stay unread in hyper; a client that sends more than the
//! service can take is refused.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;
use crate::error::Failure;

/// The bytes that may wait for the service: two of the largest messages of a service that needs no token.
const ROOM: usize = 32 * 1024;

/// The bytes that a frame counts in addition to its content.
const FRAME: usize = 256;

/// The task that reads a body. Dropping this at the end of the call ends the body: otherwise a task of the service
/// could wait for more of it as long as the client likes.
#[derive(Debug)]
pub(crate) struct ReadTask {
    _ends: oneshot::Sender<()>,
}

/// A body that a task reads as it arrives. The task starts when the service first polls the body, so a call that is
/// refused before costs no task. The body ends with [`Failure::Overloaded`] if too much of it waits for the service.
pub(crate) fn read(body: Body, context: CallContext) -> (Body, ReadTask) {
    let (_ends, ended) = oneshot::channel();
    let frames = future::lazy(|_| {
        let (sender, mut frames) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            tokio::select! {
                () = forward(body, sender, context) => {}
                _ = ended => {}
            }
        });
        // The frame's bytes are free as soon as the service has the frame.
        stream::poll_fn(move |cx| frames.poll_recv(cx)).map(|(frame, _permit)| frame)
    });
    (Body::new(StreamBody::new(frames.flatten_stream())), ReadTask { _ends })
}

type Item = (Result<Frame<Bytes>, Status>, Option<OwnedSemaphorePermit>);

async fn forward(mut body: Body, sender: UnboundedSender<Item>, context: CallContext) {
    let room = Arc::new(Semaphore::new(ROOM));
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = sender.closed() => return,
        };
        let Some(frame) = frame else { return };
        let bytes = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        let item = match room.clone().try_acquire_many_owned((bytes + FRAME).min(ROOM) as u32) {
            Ok(permit) => (frame, Some(permit)),
            Err(_) => (Err(Failure::Overloaded.status(context.request_id())), None),
        };
        let ends = item.0.is_err();
        // If the receiver is gone, the loop ends here.
        if sender.send(item).is_err() || ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::task::yield_now;
    use tonic::Code;

    use super::*;

    /// A client that sends this many frames of one byte, one at every second poll.
    struct Client {
        left: usize,
        is_ready: bool,
    }

    impl http_body::Body for Client {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.is_ready = !self.is_ready;
            if self.left == 0 {
                return Poll::Ready(None);
            } else if !self.is_ready {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
        }
    }

    fn body(frames: usize) -> (Body, ReadTask) {
        let client = Client { left: frames, is_ready: false };
        read(Body::new(client), CallContext::for_tests())
    }

    #[tokio::test]
    async fn a_body_ends_with_its_call() {
        let (mut body, read_task) = read(Body::new(Silent), CallContext::for_tests());
        drop(read_task);
        assert!(body.frame().await.is_none());
    }

    /// A client that sends nothing and does not end its body.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_more_than_the_service_takes_is_refused() {
        let (mut body, _read_task) = body(2 * ROOM / FRAME);
        body.frame().await.unwrap().expect("it is read from when the service first asks for it");
        for _ in 0..10 * ROOM / FRAME {
            yield_now().await;
        }
        let mut taken = 0;
        let end = loop {
            match body.frame().await.unwrap() {
                Ok(_) => taken += 1,
                Err(status) => break status,
            }
        };
        assert_eq!(end.code(), Code::ResourceExhausted);
        assert_eq!(taken, ROOM / (FRAME + 1));
    }

    #[tokio::test]
    async fn a_body_that_the_service_reads_in_time_arrives_whole() {
        let (body, _read_task) = body(10 * ROOM / FRAME);
        let all = body.collect().await.unwrap().to_bytes();
        assert_eq!(all.len(), 10 * ROOM / FRAME);
    }
}
