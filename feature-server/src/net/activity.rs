//! Records the activity of one connection: whether the client has sent anything, how many calls run, and whether the
//! client reads what it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

/// The length of the HTTP/2 preface.
const PREFACE: usize = 24;

/// In a turn, one poll of its task, a connection reads at most about this many bytes, or this many calls. Then the
/// calls run, and the other connections of the worker have their turns. A token may take up to 1 KiB of a call if the
/// client does not compress it.
const TURN_BYTES: usize = 128 * 1024;
const TURN_CALLS: usize = 128;

/// The bytes of a turn if the last call was refused, and before the first call is admitted. A refusal costs more than
/// an answer, and clients that open connections in masses get many refusals.
const SHORT_TURN_BYTES: usize = 512;

/// The activity of a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// The bytes that the client has sent; a call counts as a whole preface, however short it was.
    bytes_heard: AtomicUsize,
    under_way: AtomicUsize,
    /// When the last call ended, in milliseconds after `opened`.
    quiet_since_ms: AtomicU64,
    /// How often [`Activity::stalled`] was called.
    round: AtomicUsize,
    /// The number of parts that wait for the client, by the parity of the round in which they began to wait.
    unsent: [AtomicUsize; 2],
    /// Whether the last call was admitted.
    admitted: AtomicBool,
    /// How many bytes may still be read in this turn, and how many calls may begin.
    turn_bytes_left: AtomicUsize,
    turn_calls_left: AtomicUsize,
    /// How often the connection was asked to close for others.
    goaway_requests: AtomicUsize,
    /// Notified by each [`Activity::request_goaway`].
    pub(super) goaway_requested: Notify,
}

impl Activity {
    /// For a connection that has just been opened.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            bytes_heard: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            quiet_since_ms: AtomicU64::new(0),
            round: AtomicUsize::new(0),
            unsent: [AtomicUsize::new(0), AtomicUsize::new(0)],
            admitted: AtomicBool::new(false),
            turn_bytes_left: AtomicUsize::new(SHORT_TURN_BYTES),
            turn_calls_left: AtomicUsize::new(TURN_CALLS),
            goaway_requests: AtomicUsize::new(0),
            goaway_requested: Notify::new(),
        })
    }

    /// Whether the client has sent a whole preface or a call; before that, the protocol may be undecided.
    pub(crate) fn protocol_is_decided(&self) -> bool {
        self.bytes_heard.load(Ordering::Relaxed) >= PREFACE
    }

    /// Since when no call runs; `None` while one does.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let quiet = self.under_way.load(Ordering::Acquire) == 0;
        quiet.then(|| self.opened + Duration::from_millis(self.quiet_since_ms.load(Ordering::Relaxed)))
    }

    /// Asks the connection to close for others if it is idle.
    pub(crate) fn request_goaway(&self) {
        self.goaway_requests.fetch_add(1, Ordering::Relaxed);
        self.goaway_requested.notify_one();
    }

    /// How often [`Activity::request_goaway`] was called.
    pub(crate) fn goaway_requests(&self) -> usize {
        self.goaway_requests.load(Ordering::Relaxed)
    }

    /// Counts a call as running until the returned guard is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        // Only the connection's own task changes these counters, so plain loads and stores are enough.
        let heard = self.bytes_heard.load(Ordering::Relaxed);
        self.bytes_heard.store(heard.max(PREFACE), Ordering::Relaxed);
        let left = self.turn_calls_left.load(Ordering::Relaxed);
        self.turn_calls_left.store(left.saturating_sub(1), Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Wraps the connection's stream, to record what the client sends.
    pub(crate) fn listen<Io>(self: &Arc<Self>, io: Io) -> Listening<Io> {
        Listening { io, first: None, unsent: None, activity: self.clone() }
    }

    /// Begins a turn of the connection. hyper reads again for each call that it accepts, so the stream itself
    /// cannot see where a turn begins.
    pub(crate) fn begin_turn(&self) {
        let bytes = if self.admitted.load(Ordering::Relaxed) { TURN_BYTES } else { SHORT_TURN_BYTES };
        self.turn_bytes_left.store(bytes, Ordering::Relaxed);
        self.turn_calls_left.store(TURN_CALLS, Ordering::Relaxed);
    }

    /// Counts a part as waiting for the client until the returned guard is dropped.
    fn unsent(self: &Arc<Self>) -> Unsent {
        let parity = self.round.load(Ordering::Relaxed) % 2;
        self.unsent[parity].fetch_add(1, Ordering::Relaxed);
        Unsent { activity: self.clone(), parity }
    }

    /// Whether a part has been waiting for the client since before the previous call of this function.
    pub(crate) fn stalled(&self) -> bool {
        let next = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.unsent[next % 2].load(Ordering::Relaxed) > 0
    }
}

/// A running call of a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    /// Records whether the call was admitted, now that it has its answer.
    pub(crate) fn answered(&self, admitted: bool) {
        self.0.admitted.store(admitted, Ordering::Relaxed);
    }

    /// Counts a part of the answer as waiting for the client until the returned guard is dropped.
    pub(crate) fn unsent(&self) -> Unsent {
        self.0.unsent()
    }
}

/// A part that waits until the client reads it.
#[derive(Debug)]
pub(crate) struct Unsent {
    activity: Arc<Activity>,
    parity: usize,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.activity.unsent[self.parity].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let quiet_since = self.0.opened.elapsed().as_millis() as u64;
        self.0.quiet_since_ms.store(quiet_since, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Release);
    }
}

/// A stream that records what the client sends, and whether the client reads what it is sent. In one poll of its
/// connection it yields a limited number of bytes.
#[derive(Debug)]
pub(crate) struct Listening<Io> {
    io: Io,
    /// The byte that [`Listening::hear`] has read ahead.
    first: Option<u8>,
    unsent: Option<Unsent>,
    activity: Arc<Activity>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Listening<Io> {
    /// Waits for the first byte; the end of the stream before it is an error. Cancel-safe.
    pub(crate) async fn hear(&mut self) -> io::Result<()> {
        self.first = Some(self.read_u8().await?);
        Ok(())
    }

    fn wrote<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        match polled {
            Poll::Pending if self.unsent.is_none() => self.unsent = Some(self.activity.unsent()),
            Poll::Pending => {}
            Poll::Ready(_) => self.unsent = None,
        }
        polled
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Listening<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buf.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let left = self.activity.turn_bytes_left.load(Ordering::Relaxed);
        if left == 0 || self.activity.turn_calls_left.load(Ordering::Relaxed) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = if left <= SHORT_TURN_BYTES && left < buf.remaining() {
            let mut part = [0; SHORT_TURN_BYTES];
            let mut part = ReadBuf::new(&mut part[..left]);
            let polled = Pin::new(&mut self.io).poll_read(cx, &mut part);
            buf.put_slice(part.filled());
            polled
        } else {
            Pin::new(&mut self.io).poll_read(cx, buf)
        };
        let read = buf.filled().len() - before;
        self.activity.turn_bytes_left.store(left.saturating_sub(read), Ordering::Relaxed);
        self.activity.bytes_heard.fetch_add(read, Ordering::Relaxed);
        polled
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Listening<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(polled)
    }

    /// Vectored writes are off: h2 then copies answers of up to 1 KiB, instead of 256 bytes, into its buffer, and sends
    /// all answers that are ready with one system call.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.wrote(polled)
    }
}
