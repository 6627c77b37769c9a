//! The request of a call in which the client streams: it is read as it comes, whether the service asks for it or not.
//!
//! HTTP/2 bounds the bytes that a client sends and nobody reads. It does not bound their number of frames, and each frame
//! that waits costs hundreds of bytes, however little is in it. So nothing is left to wait there: who sends more than the
//! service can take is refused.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;
use crate::error::Failure;

/// What may wait for the service, in bytes: the largest message of a service that anybody may call, and one more.
const ROOM: usize = 32 * 1024;

/// What a frame takes of it, beside its bytes.
const FRAME: usize = 256;

/// That a body is read. When it is dropped, because the call is over, the body ends: a service may have a task that waits
/// for more of it, and would otherwise wait for as long as the client likes.
#[derive(Debug)]
pub(crate) struct ReadTask {
    _ends: oneshot::Sender<()>,
}

/// A body that is read as it comes, from when the service first asks for it: a call that is refused before costs no task.
/// It ends with [`Failure::Overloaded`] when too much of it waits for the service.
pub(crate) fn read(body: Body, context: CallContext) -> (Body, ReadTask) {
    let (_ends, ended) = oneshot::channel();
    (Body::new(StreamBuffer::Unread(Some(Unread { body, context, ended }))), ReadTask { _ends })
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
        // When nobody wants it, that is told at the next turn.
        if sender.send(item).is_err() || ends {
            return;
        }
    }
}

enum StreamBuffer {
    /// `None` only while it changes.
    Unread(Option<Unread>),
    Read(UnboundedReceiver<Item>),
}

struct Unread {
    body: Body,
    context: CallContext,
    ended: oneshot::Receiver<()>,
}

impl Unread {
    fn begin(self) -> UnboundedReceiver<Item> {
        let (sender, frames) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            tokio::select! {
                () = forward(self.body, sender, self.context) => {}
                _ = self.ended => {}
            }
        });
        frames
    }
}

impl http_body::Body for StreamBuffer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let StreamBuffer::Unread(unread) = &mut *self {
            let unread = unread.take().expect("it is read from then on");
            *self = StreamBuffer::Read(unread.begin());
        }
        let StreamBuffer::Read(frames) = &mut *self else { return Poll::Ready(None) };
        // The room of a frame is free as soon as the service has it.
        frames.poll_recv(cx).map(|item| item.map(|(frame, _permit)| frame))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::task::yield_now;
    use tonic::Code;

    use super::*;

    /// So many frames of a byte each, one at each turn of the client.
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
    async fn ends_with_its_call() {
        let (mut body, read_task) = read(Body::new(Silent), CallContext::for_tests());
        drop(read_task);
        assert!(body.frame().await.is_none());
    }

    /// A client that sends nothing, and does not end either.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_sends_more_than_the_service_takes_is_refused() {
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
    async fn what_the_service_takes_in_time_goes_through_whole() {
        let (body, _read_task) = body(10 * ROOM / FRAME);
        let all = body.collect().await.unwrap().to_bytes();
        assert_eq!(all.len(), 10 * ROOM / FRAME);
    }
}
