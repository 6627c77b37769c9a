//! What goes on on one connection: whether the client has said anything, how many calls are under way, and whether the
//! client takes what it is sent. When a connection is closed is not decided here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

/// The length of the HTTP/2 preface: as long as a client may have sent no more than a part of it, the protocol is open.
const PREFACE: usize = 24;

/// A turn of a connection's task ends after about so many bytes, or after so many calls: then these run, and the other
/// connections of the core have their turns. A token takes up to a KiB of a call where the client does not compress it.
const TURN_BYTES: usize = 64 * 1024;
const TURN_CALLS: usize = 128;

/// The bytes of a turn while the last call was refused, and before the first one is admitted. A refusal costs more than an
/// answer, and clients that open connections in masses get many.
const SHORT_TURN_BYTES: usize = 1024;

/// What goes on on a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    bytes_heard: AtomicUsize,
    called: AtomicBool,
    under_way: AtomicUsize,
    /// When the last call ended, in milliseconds after `opened`.
    quiet_since_ms: AtomicU64,
    /// How often [`Activity::stalled`] was asked.
    round: AtomicUsize,
    /// What the client has not taken yet, by whether it began to wait in an even or in an odd round.
    unsent: [AtomicUsize; 2],
    /// Whether the last call was admitted.
    admitted: AtomicBool,
    /// How many bytes may still be read in this turn, and how many calls begun.
    turn_bytes_left: AtomicUsize,
    turn_calls_left: AtomicUsize,
    /// How often it was asked to make room for other connections.
    goaway_requests: AtomicUsize,
    goaway_requested: Notify,
}

/// How much of a client was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Not one byte.
    Nothing,
    /// Too little to tell the protocol.
    HalfPreface,
    /// A preface or a call.
    Enough,
}

impl Activity {
    /// Of a connection that has just been opened.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            bytes_heard: AtomicUsize::new(0),
            called: AtomicBool::new(false),
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

    pub(crate) fn heard(&self) -> Heard {
        match self.bytes_heard.load(Ordering::Relaxed) {
            0 => Heard::Nothing,
            bytes if bytes < PREFACE && !self.called.load(Ordering::Relaxed) => Heard::HalfPreface,
            _ => Heard::Enough,
        }
    }

    /// Since when no call has been under way; none while one is.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let quiet = self.under_way.load(Ordering::Acquire) == 0;
        quiet.then(|| self.opened + Duration::from_millis(self.quiet_since_ms.load(Ordering::Relaxed)))
    }

    /// Asks the connection to make room for others if it is quiet.
    pub(crate) fn request_goaway(&self) {
        self.goaway_requests.fetch_add(1, Ordering::Relaxed);
        self.goaway_requested.notify_one();
    }

    /// How often it was asked that.
    pub(crate) fn goaway_requests(&self) -> usize {
        self.goaway_requests.load(Ordering::Relaxed)
    }

    /// Waits until it is asked that once more.
    pub(crate) async fn goaway_requested(&self) {
        self.goaway_requested.notified().await;
    }

    /// Counts a call as under way until the answer is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.called.store(true, Ordering::Relaxed);
        // Only the connection's own task changes it.
        let left = self.turn_calls_left.load(Ordering::Relaxed);
        self.turn_calls_left.store(left.saturating_sub(1), Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Wraps the connection's stream, to notice what the client sends.
    pub(crate) fn listen<Io>(self: &Arc<Self>, io: Io) -> Listening<Io> {
        Listening { io, first: None, unsent: None, activity: self.clone() }
    }

    /// Begins a turn of the connection's task. hyper reads again for each call that it takes, so only the start of a turn
    /// tells that other connections have had theirs.
    pub(crate) fn begin_turn(&self) {
        let bytes = if self.admitted.load(Ordering::Relaxed) { TURN_BYTES } else { SHORT_TURN_BYTES };
        self.turn_bytes_left.store(bytes, Ordering::Relaxed);
        self.turn_calls_left.store(TURN_CALLS, Ordering::Relaxed);
    }

    /// Counts something as waiting for the client until it is dropped.
    fn unsent(self: &Arc<Self>) -> Unsent {
        let parity = self.round.load(Ordering::Relaxed) % 2;
        self.unsent[parity].fetch_add(1, Ordering::Relaxed);
        Unsent { activity: self.clone(), parity }
    }

    /// Whether the client has not taken something that waited already when this was asked the last time.
    pub(crate) fn stalled(&self) -> bool {
        let next = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.unsent[next % 2].load(Ordering::Relaxed) > 0
    }
}

/// A call that is under way on a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    /// Notes whether the call was admitted, now that it has its answer.
    pub(crate) fn answered(&self, admitted: bool) {
        self.0.admitted.store(admitted, Ordering::Relaxed);
    }

    /// Counts a part of the answer as waiting for the client until it is dropped.
    pub(crate) fn unsent(&self) -> Unsent {
        self.0.unsent()
    }
}

/// Something that waits until the client takes it.
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

/// A stream that notices what is read from it, and whether it takes what is written to it. In a turn of its connection it
/// gives a limited number of bytes.
#[derive(Debug)]
pub(crate) struct Listening<Io> {
    io: Io,
    /// A byte that was read ahead.
    first: Option<u8>,
    unsent: Option<Unsent>,
    activity: Arc<Activity>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Listening<Io> {
    /// Waits for the first byte. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// Those of the stream; also when it ends before there is a byte.
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

    /// Several pieces are never written at once, although they could be: h2 then puts answers of up to 1 KiB, not 256
    /// bytes, into the buffer that all those which are ready leave in, with one system call.
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
