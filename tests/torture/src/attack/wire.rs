//! One connection of an attacker, and its rate. The attacks decide what to send.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::{ACK, DATA, END_STREAM, Frames, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS};
use super::tls::Tls;

/// How much a client adds to the connection's window at first: more than an attack needs, and below the maximum.
const WINDOW: u32 = 1 << 30;

/// The server under attack.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// A token that may read and write the features of one instance.
    pub token: Arc<str>,
    /// Present if the server speaks TLS.
    pub tls: Option<Tls>,
}

/// A connection to the server.
pub struct Wire {
    pub target: Target,
    writes: OwnedWriteHalf,
    /// Present until [`Wire::drain`].
    reads: Option<OwnedReadHalf>,
    drained: Option<JoinHandle<()>>,
    next_stream: u32,
}

impl Wire {
    /// Connects from a local address.
    pub async fn connect(target: &Target, from: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (reads, writes) = stream.into_split();
        Ok(Self { target: target.clone(), writes, reads: Some(reads), drained: None, next_stream: 1 })
    }

    /// Sends bytes. Waits while the server does not accept them.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writes.write_all(bytes).await
    }

    /// Sends frames.
    pub async fn send_frames(&mut self, frames: Frames) -> io::Result<()> {
        self.send(&frames.0).await
    }

    /// Makes an HTTP/2 handshake with these settings and leaves all further bytes of the server unread.
    pub async fn shake_hands(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let hello = Frames(PREFACE.to_vec()).settings(settings).window_update(0, WINDOW);
        self.send_frames(hello).await?;
        read_frame(self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?, &mut Vec::new()).await?;
        self.send_frames(Frames::new().frame(SETTINGS, ACK, 0, &[])).await
    }

    /// Makes an HTTP/2 handshake, then reads and drops all further bytes of the server.
    pub async fn http2(&mut self) -> io::Result<()> {
        self.shake_hands(&[]).await?;
        self.drain();
        Ok(())
    }

    /// Makes an HTTP/2 handshake, then reads and drops the server's frames.
    ///
    /// Returns a semaphore with a permit for each concurrent call. The caller takes a permit for a stream and forgets
    /// it; the end of the stream adds it again. The semaphore closes with the connection.
    pub async fn http2_with_permits(&mut self, at_once: usize) -> io::Result<Arc<Semaphore>> {
        self.shake_hands(&[]).await?;
        let permits = Arc::new(Semaphore::new(at_once));
        let mut reads = BufReader::new(self.reads.take().ok_or(io::ErrorKind::NotConnected)?);
        self.drained = Some(tokio::spawn({
            let permits = Arc::clone(&permits);
            async move {
                let mut payload = Vec::new();
                while let Ok((kind, flags)) = read_frame(&mut reads, &mut payload).await {
                    match kind {
                        DATA | HEADERS if flags & END_STREAM != 0 => permits.add_permits(1),
                        // A reset without an error only stops the rest of a request that has been answered.
                        RST_STREAM if payload != [0; 4] => permits.add_permits(1),
                        GOAWAY => break,
                        _ => {}
                    }
                }
                permits.close();
            }
        }));
        Ok(permits)
    }

    /// Reads and drops all further bytes of the server.
    pub fn drain(&mut self) {
        if let Some(mut reads) = self.reads.take() {
            self.drained = Some(tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while matches!(reads.read(&mut buffer).await, Ok(1..)) {}
            }));
        }
    }

    /// Reads exactly as many bytes as the buffer has.
    pub async fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let reads = self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        reads.read_exact(bytes).await.map(drop)
    }

    /// Collects the server's bytes until the server closes the connection.
    pub async fn hear(&mut self, said: &mut Vec<u8>) -> io::Result<()> {
        let reads = self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while reads.read_buf(said).await? > 0 {}
        Ok(())
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        self.drain();
        if let Some(drained) = &mut self.drained {
            // The task ends with the connection, with or without an error.
            let _ = drained.await;
        }
    }

    /// The number of the next stream.
    pub fn stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }
}

/// Reads a frame. Returns its type and flags.
async fn read_frame(reads: &mut (impl AsyncRead + Unpin), payload: &mut Vec<u8>) -> io::Result<(u8, u8)> {
    let mut header = [0; 9];
    reads.read_exact(&mut header).await?;
    payload.resize(u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize, 0);
    reads.read_exact(payload).await?;
    Ok((header[3], header[4]))
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Otherwise the reading half would stay open.
        if let Some(drained) = &self.drained {
            drained.abort();
        }
    }
}

/// The rate of a connection, and the units it has made.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    since: Instant,
    units: u64,
    all: Arc<AtomicU64>,
}

impl Pace {
    /// `all`: the units of all connections together.
    pub fn new(per_second: f64, all: Arc<AtomicU64>) -> Self {
        Self { per_second, since: Instant::now(), units: 0, all }
    }

    /// Counts the first units, then waits for a random part of the interval, so that connections that start together do
    /// not stay in step.
    pub async fn begin(&mut self, units: u64) {
        self.all.fetch_add(units, Ordering::Relaxed);
        sleep(Duration::from_secs_f64(fastrand::f64() / self.per_second)).await;
        (self.since, self.units) = (Instant::now(), 0);
    }

    /// Counts units, then waits until the next ones are due.
    pub async fn keep(&mut self, units: u64) {
        /// If the server blocks the connection for longer than this, the missed units are not made up for.
        const MOST_LAG: Duration = Duration::from_millis(100);
        self.all.fetch_add(units, Ordering::Relaxed);
        self.units += units;
        let due = self.since + Duration::from_secs_f64(self.units as f64 / self.per_second);
        let now = Instant::now();
        if due + MOST_LAG < now {
            (self.since, self.units) = (now, 0);
        } else if due > now {
            sleep_until(due).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
