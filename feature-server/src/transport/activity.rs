//! What goes on on one connection: whether the client has said anything, and how many calls are under way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant};

/// The length of the HTTP/2 preface: as long as a client may have sent no more than a part of it, the protocol is open.
const PREFACE: usize = 24;

/// What goes on on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    bytes_heard: AtomicUsize,
    called: AtomicBool,
    under_way: AtomicUsize,
    /// When the last call ended, in milliseconds after `opened`.
    quiet_since_ms: AtomicU64,
}

/// How much of a client was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not one byte.
    Nothing,
    /// Too little to tell the protocol.
    HalfPreface,
    /// A preface or a call.
    Enough,
}

impl Activity {
    /// Of a connection that has just been opened.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            bytes_heard: AtomicUsize::new(0),
            called: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            quiet_since_ms: AtomicU64::new(0),
        })
    }

    pub(super) fn heard(&self) -> Heard {
        match self.bytes_heard.load(Ordering::Relaxed) {
            0 => Heard::Nothing,
            bytes if bytes < PREFACE && !self.called.load(Ordering::Relaxed) => Heard::HalfPreface,
            _ => Heard::Enough,
        }
    }

    /// Since when no call has been under way; none while one is.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let quiet = self.under_way.load(Ordering::Acquire) == 0;
        quiet.then(|| self.opened + Duration::from_millis(self.quiet_since_ms.load(Ordering::Relaxed)))
    }

    /// Counts a call as under way until the answer is dropped.
    pub(super) fn begin_call(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.called.store(true, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Wraps the connection's stream, to notice what the client sends.
    pub(super) fn listen<Io>(self: &Arc<Self>, io: Io) -> Listening<Io> {
        Listening { io, activity: self.clone() }
    }
}

/// A call that is under way on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let quiet_since = self.0.opened.elapsed().as_millis() as u64;
        self.0.quiet_since_ms.store(quiet_since, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Release);
    }
}

/// A stream that notices what is read from it.
#[derive(Debug)]
pub(super) struct Listening<Io> {
    io: Io,
    activity: Arc<Activity>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Listening<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.activity.bytes_heard.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Listening<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
