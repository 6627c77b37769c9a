//! The body of every answer, and what lives exactly as long as the answer does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::activity::{Busy, Unsent};
use super::context::CallLog;
use super::share::Release;
use super::stream_end::StreamEnd;

/// The body of an answer. One type for all layers, so that none of them has to box it again.
#[derive(Default)]
pub(super) struct CallBody {
    kind: Kind,
    log: Option<CallLog>,
    // Only has to be dropped when the answer is over.
    _release: Option<Release>,
    busy: Option<Busy>,
    /// As long as it is the client's turn: it has to take what was sent before anything more is asked for.
    unsent: Option<Unsent>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    /// An answer in plain gRPC.
    Grpc(StreamEnd),
    /// An answer that was translated into another protocol.
    Translated(Body),
}

impl CallBody {
    pub(super) fn grpc(body: StreamEnd) -> Self {
        Self { kind: Kind::Grpc(body), ..Self::default() }
    }

    pub(super) fn translated(body: Body) -> Self {
        Self { kind: Kind::Translated(body), ..Self::default() }
    }

    /// Logs the call when the answer is over.
    pub(super) fn with_log(self, log: CallLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// Lets the call keep what it holds until the answer is over.
    pub(super) fn with_release(self, release: Option<Release>) -> Self {
        Self { _release: release, ..self }
    }

    /// The answer ends with its headers.
    pub(super) fn without_content(self) -> Self {
        Self { kind: Kind::Empty, ..self }
    }

    /// Keeps the connection from counting as idle until the answer is over, and tells it what the client has not taken.
    pub(super) fn with_busy(self, busy: Busy) -> Self {
        Self { unsent: Some(busy.unsent()), busy: Some(busy), ..self }
    }
}

/// Data on its way to the client. It is dropped when the connection's socket has taken it.
struct Data {
    bytes: Bytes,
    _unsent: Unsent,
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let _entered = this.log.as_ref().map(CallLog::enter);
        let polled = match &mut this.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Grpc(body) => Pin::new(body).poll_frame(cx),
            Kind::Translated(body) => Pin::new(body).poll_frame(cx),
        };
        let Some(busy) = &this.busy else {
            return polled;
        };
        if polled.is_pending() {
            this.unsent = None;
            return Poll::Pending;
        }
        this.unsent = Some(busy.unsent());
        let sent = |bytes| Bytes::from_owner(Data { bytes, _unsent: busy.unsent() });
        polled.map_ok(|frame| frame.map_data(sent))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Grpc(body) => body.is_end_stream(),
            Kind::Translated(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Grpc(body) => body.size_hint(),
            Kind::Translated(body) => body.size_hint(),
        }
    }
}
