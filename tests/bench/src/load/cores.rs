//! The threads of a load: one for each core, each with its own runtime and its share of the connections.
//!
//! No thread wakes another one for an answer, so that more of the machine is left for the server.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::runtime;
use tokio::task::JoinSet;

use super::{Client, Measured};

/// The maximum time for a server to close a connection after its client has closed it.
const CLOSING: Duration = Duration::from_secs(10);

/// The part of a load that one thread makes.
pub(super) struct Share {
    pub(super) thread: usize,
    pub(super) threads: usize,
    /// The number of its first connection; the others have the following numbers.
    pub(super) first: usize,
    pub(super) clients: Vec<Client>,
}

/// Opens connections one after the other, so that a server that distributes them over its cores does so evenly.
pub async fn connect(address: &str, connections: usize) -> Result<Vec<TcpStream>> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let socket = tokio::net::TcpStream::connect(address).await;
        sockets.push(socket.and_then(|socket| socket.into_std()).with_context(|| format!("connecting to {address}"))?);
    }
    Ok(sockets)
}

/// Runs one share of a load on each core and closes the connections at the end. All shares start at the same moment.
///
/// `run`: makes the calls of a share. Returns their latencies in microseconds.
pub(super) async fn on_each_core<Run, Running>(sockets: Vec<TcpStream>, run: Run) -> Result<Measured>
where
    Run: Fn(Share) -> Running + Clone + Send + 'static,
    Running: Future<Output = Result<Vec<u64>>>,
{
    let threads = thread::available_parallelism()?.get().min(sockets.len());
    // A thread gets adjacent connections: a server that distributes connections in turn then has some of each thread on
    // each core.
    let first = |thread| thread * sockets.len() / threads;
    let own = |thread| sockets[first(thread)..first(thread + 1)].iter().map(TcpStream::try_clone).collect();
    let shares = (0..threads).map(own).collect::<io::Result<Vec<Vec<TcpStream>>>>()?;
    let ready = Arc::new(Barrier::new(threads));
    let mut running = JoinSet::new();
    for (thread, own) in shares.into_iter().enumerate() {
        let (ready, run, first) = (Arc::clone(&ready), run.clone(), first(thread));
        running.spawn_blocking(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let clients = runtime.as_ref().map(|runtime| runtime.block_on(shake_hands(own)));
            // Waits even after a failure; otherwise the other threads would wait forever.
            ready.wait();
            let clients = clients.map_err(|error| anyhow!("no runtime: {error}"))??;
            let start = Instant::now();
            let share = Share { thread, threads, first, clients };
            let latencies = runtime?.block_on(run(share))?;
            anyhow::Ok((latencies, start.elapsed()))
        });
    }
    let mut latencies = Vec::new();
    let mut elapsed = Duration::ZERO;
    while let Some(share) = running.join_next().await {
        let (measured, took) = share??;
        latencies.extend(measured);
        elapsed = elapsed.max(took);
    }
    close(sockets).context("closing a connection")?;
    Measured::of(&latencies, elapsed)
}

async fn shake_hands(sockets: Vec<TcpStream>) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for socket in sockets {
        clients.push(Client::on(tokio::net::TcpStream::from_std(socket)?).await?);
    }
    Ok(clients)
}

/// Closes connections and waits until the server has closed them, too. Otherwise the server would still count some of
/// them when the next ones arrive, and distribute those unevenly.
fn close(sockets: Vec<TcpStream>) -> io::Result<()> {
    for mut socket in sockets {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(CLOSING))?;
        // Fails if the connection has already ended.
        let _ = socket.shutdown(Shutdown::Write);
        match io::copy(&mut socket, &mut io::sink()) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
