//! One connection of an attacker, and how fast it may go. What is said on it is not known here.

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

/// How far a client opens the window of a connection at first: far enough, and with room for more.
const WINDOW: u32 = 1 << 30;

/// What is attacked.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// A token that may read and write the features of one instance.
    pub token: Arc<str>,
    /// There when the server speaks TLS.
    pub tls: Option<Tls>,
}

/// A connection to the server.
pub struct Wire {
    pub target: Target,
    writes: OwnedWriteHalf,
    /// There until [`Wire::drain`].
    reads: Option<OwnedReadHalf>,
    drained: Option<JoinHandle<()>>,
    next_stream: u32,
}

impl Wire {
    /// Connects from an address of this machine.
    pub async fn connect(target: &Target, from: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (reads, writes) = stream.into_split();
        Ok(Self { target: target.clone(), writes, reads: Some(reads), drained: None, next_stream: 1 })
    }

    /// Sends bytes; waits for as long as the server doesn't take them.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writes.write_all(bytes).await
    }

    /// Sends frames.
    pub async fn send_frames(&mut self, frames: Frames) -> io::Result<()> {
        self.send(&frames.0).await
    }

    /// Shakes hands as a decent HTTP/2 client does, with these settings. From then on what the server says is not read.
    pub async fn shake_hands(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let hello = Frames(PREFACE.to_vec()).settings(settings).window_update(0, WINDOW);
        self.send_frames(hello).await?;
        read_frame(self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?, &mut Vec::new()).await?;
        self.send_frames(Frames::new().frame(SETTINGS, ACK, 0, &[])).await
    }

    /// Shakes hands, and reads and drops what the server says from then on.
    pub async fn http2(&mut self) -> io::Result<()> {
        self.shake_hands(&[]).await?;
        self.drain();
        Ok(())
    }

    /// Shakes hands. From then on the server's frames are read and dropped.
    ///
    /// Gives a permit for each call that may be open at once. The caller takes one for a stream; its end gives it back.
    /// The semaphore is closed with the connection.
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
                        // Without an error it only stops the rest of a request that is answered.
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

    /// From now on what the server says is read and dropped.
    pub fn drain(&mut self) {
        if let Some(mut reads) = self.reads.take() {
            self.drained = Some(tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while matches!(reads.read(&mut buffer).await, Ok(1..)) {}
            }));
        }
    }

    /// Waits for so many bytes of what the server says.
    pub async fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let reads = self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        reads.read_exact(bytes).await.map(drop)
    }

    /// Takes what the server says until it closes the connection.
    pub async fn hear(&mut self, said: &mut Vec<u8>) -> io::Result<()> {
        let reads = self.reads.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while reads.read_buf(said).await? > 0 {}
        Ok(())
    }

    /// Reads what the server says until it closes the connection.
    pub async fn closed(&mut self) {
        self.drain();
        if let Some(drained) = &mut self.drained {
            // It ends with the connection, however that ends.
            let _ = drained.await;
        }
    }

    /// The number of the next stream.
    pub fn stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }
}

/// Reads a frame. Gives its type and its flags.
async fn read_frame(reads: &mut (impl AsyncRead + Unpin), payload: &mut Vec<u8>) -> io::Result<(u8, u8)> {
    let mut header = [0; 9];
    reads.read_exact(&mut header).await?;
    payload.resize(u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize, 0);
    reads.read_exact(payload).await?;
    Ok((header[3], header[4]))
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Half a connection would stay open otherwise.
        if let Some(drained) = &self.drained {
            drained.abort();
        }
    }
}

/// How fast a connection may go on, and what it has done.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    since: Instant,
    units: u64,
    all: Arc<AtomicU64>,
}

impl Pace {
    /// `all`: what all connections have done together.
    pub fn new(per_second: f64, all: Arc<AtomicU64>) -> Self {
        Self { per_second, since: Instant::now(), units: 0, all }
    }

    /// Counts what was done first, and waits for a random part of the time until the next turn: connections that
    /// begin at the same moment go on at different ones.
    pub async fn begin(&mut self, units: u64) {
        self.all.fetch_add(units, Ordering::Relaxed);
        sleep(Duration::from_secs_f64(fastrand::f64() / self.per_second)).await;
        (self.since, self.units) = (Instant::now(), 0);
    }

    /// Counts what was done, and waits until the next may be done.
    pub async fn keep(&mut self, units: u64) {
        /// What was missed while the server took nothing is not made up for by a burst beyond this.
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
