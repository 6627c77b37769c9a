//! The threads of a load: one for each core, each with a runtime of its own and its share of the connections.
//!
//! No thread of the load wakes another for an answer, so that more of the machine is left for what is measured. When the
//! next call is made is not known here.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::runtime;
use tokio::task::JoinSet;

use super::{Client, Measured};

/// How long a server may take to close a connection that its client has closed.
const CLOSING: Duration = Duration::from_secs(10);

/// What one thread does of a load.
pub(super) struct Share {
    pub(super) thread: usize,
    pub(super) threads: usize,
    /// The number of the first connection; the others follow it.
    pub(super) first: usize,
    pub(super) clients: Vec<Client>,
}

/// Opens connections one after the other, so that a server which spreads them over its cores does so evenly.
pub async fn connect(address: &str, connections: usize) -> Result<Vec<TcpStream>> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let socket = tokio::net::TcpStream::connect(address).await;
        sockets.push(socket.and_then(|socket| socket.into_std()).with_context(|| format!("connecting to {address}"))?);
    }
    Ok(sockets)
}

/// Runs one share of a load on each core, all from the moment when everybody is ready, and closes the connections.
///
/// `run`: makes the calls of a share and returns their latencies in microseconds.
pub(super) async fn on_each_core<Run, Running>(sockets: Vec<TcpStream>, run: Run) -> Result<Measured>
where
    Run: Fn(Share) -> Running + Clone + Send + 'static,
    Running: Future<Output = Result<Vec<u64>>>,
{
    let threads = thread::available_parallelism()?.get().min(sockets.len());
    // Neighbours together: a server which gives them to its cores in turn has some of each thread on each core.
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
            // Also after a failure: the others would wait for ever.
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

/// Closes connections and waits until the server has, too. Else it would count some of them when the next ones come, and
/// spread those unevenly.
fn close(sockets: Vec<TcpStream>) -> io::Result<()> {
    for mut socket in sockets {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(CLOSING))?;
        // This fails where the connection has ended already.
        let _ = socket.shutdown(Shutdown::Write);
        match io::copy(&mut socket, &mut io::sink()) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
