//! The body of every answer. It holds what has to live as long as the answer.

use std::mem;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_transcoding::TranscodedBody;
use http_body::{Frame, SizeHint};
use tonic::Status;

use crate::middleware::call_log::CallLog;
use crate::middleware::error_details::StreamEnd;
use crate::net::activity::{Busy, Unsent};
use crate::permit::PermitGuard;

/// Data of this size is cut into pieces of [`PIECE_BYTES`]. Larger data is worth a system call of its own.
const CUT_BYTES: RangeInclusive<usize> = PIECE_BYTES + 1..=4 * 1024;

/// The most that h2 puts into the buffer that all answers which are ready leave in, with one system call, where several
/// pieces cannot be written at once ([`Listening`](crate::net::activity::Listening) says so).
const PIECE_BYTES: usize = 1023;

/// The body of an answer. All layers use this one type, so that none has to box it again.
#[derive(Default)]
pub(crate) struct CallBody {
    body: TranscodedBody<StreamEnd>,
    /// The rest of data that was cut.
    rest: Bytes,
    /// Whether the call was refused before it came to a service.
    refused: bool,
    log: Option<CallLog>,
    // Dropped at the end of the answer.
    _guard: Option<PermitGuard>,
    busy: Option<Busy>,
    /// Held while the client has not taken all data.
    unsent: Option<Unsent>,
}

impl CallBody {
    pub(crate) fn new(body: TranscodedBody<StreamEnd>) -> Self {
        Self { body, ..Self::default() }
    }

    /// Logs the call at the end of the answer.
    pub(crate) fn with_log(self, log: CallLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// Keeps the permit of the call until the end of the answer.
    pub(crate) fn with_guard(self, guard: Option<PermitGuard>) -> Self {
        Self { _guard: guard, ..self }
    }

    /// Marks the answer to a call that was refused before it came to a service.
    pub(crate) fn refused(self) -> Self {
        Self { refused: true, ..self }
    }

    /// Whether the call was refused before it came to a service.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The answer ends with its headers.
    pub(crate) fn without_content(self) -> Self {
        Self { body: TranscodedBody::default(), ..self }
    }

    /// Keeps the connection from being idle until the end of the answer, and counts the data that the client has not
    /// taken.
    pub(crate) fn with_busy(self, busy: Busy) -> Self {
        Self { unsent: Some(busy.unsent()), busy: Some(busy), ..self }
    }
}

/// Data on its way to the client. It is dropped when the socket has taken it.
struct Data {
    bytes: Bytes,
    _unsent: Unsent,
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Cuts data into one piece, and leaves the rest in `rest`.
fn cut(frame: Frame<Bytes>, rest: &mut Bytes) -> Frame<Bytes> {
    match frame.into_data() {
        Ok(mut data) => {
            if CUT_BYTES.contains(&data.len()) {
                *rest = data.split_off(PIECE_BYTES);
            }
            Frame::data(data)
        }
        Err(trailers) => trailers,
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let _entered = this.log.as_ref().map(CallLog::enter);
        let polled = match this.rest.is_empty() {
            true => Pin::new(&mut this.body).poll_frame(cx),
            false => Poll::Ready(Some(Ok(Frame::data(mem::take(&mut this.rest))))),
        };
        let polled = polled.map_ok(|frame| cut(frame, &mut this.rest));
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
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use tonic::body::Body;

    use super::*;

    #[tokio::test]
    async fn what_fits_into_a_few_pieces_is_cut_and_the_rest_is_left_whole() {
        let table: [(usize, &[usize]); 7] = [
            (0, &[]),
            (1, &[1]),
            (1023, &[1023]),
            (1024, &[1023, 1]),
            (4096, &[1023, 1023, 1023, 1023, 4]),
            (4097, &[4097]),
            (100_000, &[100_000]),
        ];
        for (bytes, pieces) in table {
            let content: Bytes = (0..bytes).map(|index| index as u8).collect();
            let mut body = CallBody::new(TranscodedBody::Translated(Body::new(Full::new(content.clone()))));
            let (mut read, mut sizes) = (Vec::new(), Vec::new());
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(bytes as u64));
            while !http_body::Body::is_end_stream(&body) {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                read.extend_from_slice(&data);
                sizes.push(data.len());
                assert_eq!(http_body::Body::size_hint(&body).exact(), Some((bytes - read.len()) as u64));
            }
            assert!(body.frame().await.is_none());
            assert_eq!((sizes.as_slice(), read), (pieces, content.to_vec()), "{bytes}");
        }
    }
}
