//! Counts the gRPC messages in a body while they pass.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_transcoding::framing::PREFIX;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;

/// Counts messages.
type Count = fn(&CallContext, u64);

/// A body whose messages count for a call.
pub(super) struct CountedBody {
    body: Body,
    context: CallContext,
    count: Count,
    position: Position,
}

/// Where in the sequence of messages a body is.
#[derive(Debug, Default)]
struct Position {
    /// The bytes of the current prefix that have passed.
    prefix: Vec<u8>,
    /// The bytes of the current message that have not passed.
    left: usize,
}

impl Position {
    /// How many messages begin in these bytes, which come next.
    fn advance(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            let skipped = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - skipped, &bytes[skipped..]);
            let taken = (PREFIX - self.prefix.len()).min(bytes.len());
            if taken == 0 {
                return messages;
            }
            self.prefix.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [_, length @ ..] = &self.prefix[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = u32::from_be_bytes(length) as usize;
                self.prefix.clear();
                messages += 1;
            }
        }
    }
}

impl CountedBody {
    /// Counts the messages of a body for a call.
    pub(super) fn wrap(body: Body, context: CallContext, count: Count) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Self { body, context, count, position: Position::default() })
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            (this.count)(&this.context, this.position.advance(data));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_count_wherever_the_data_is_cut() {
        let body = [0, 0, 0, 0, 3, 7, 7, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7];
        for size in 1..=body.len() {
            let mut position = Position::default();
            let messages: u64 = body.chunks(size).map(|chunk| position.advance(chunk)).sum();
            assert_eq!(messages, 3, "pieces of {size} bytes");
        }
    }
}
