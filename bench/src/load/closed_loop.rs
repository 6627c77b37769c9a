//! The closed loop: each client makes its next call as soon as the last one is answered.
//!
//! Clients are spread over one thread for each core, each with a runtime of its own: no thread of the load wakes another
//! for an answer, so that more of the machine is left for what is measured.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::runtime;
use tokio::task::JoinSet;

use super::{Call, Client, Concurrency, Measured, connect};

/// When a closed loop ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// Before this turn.
    Turn(usize),
}

/// Makes the next call as soon as one is answered, until the end.
pub async fn closed_loop(address: &str, call: &Call, concurrency: Concurrency, until: Until) -> Result<Measured> {
    let threads = thread::available_parallelism()?.get().min(concurrency.connections);
    let connected = Arc::new(Barrier::new(threads));
    let mut running = JoinSet::new();
    for thread in 0..threads {
        let share = Share { thread, threads, concurrency, until };
        let (address, call, connected) = (address.to_owned(), call.clone(), Arc::clone(&connected));
        running.spawn_blocking(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let clients = runtime.as_ref().map(|runtime| runtime.block_on(connect(&address, share.own().count())));
            // Also after a failure: the others would wait for ever.
            connected.wait();
            let clients = clients.map_err(|error| anyhow!("no runtime: {error}"))??;
            runtime?.block_on(share.run(clients, call))
        });
    }
    let mut latencies = Vec::new();
    let mut elapsed = Duration::ZERO;
    while let Some(share) = running.join_next().await {
        let (measured, took) = share??;
        latencies.extend(measured);
        elapsed = elapsed.max(took);
    }
    Measured::of(latencies, elapsed)
}

/// What one thread does of a loop: each `threads`th connection from the `thread`th on is its own.
struct Share {
    thread: usize,
    threads: usize,
    concurrency: Concurrency,
    until: Until,
}

impl Share {
    fn own(&self) -> impl Iterator<Item = usize> + use<> {
        (self.thread..self.concurrency.connections).step_by(self.threads)
    }

    /// The latencies of each client in microseconds, and how long it took.
    async fn run(self, clients: Vec<Client>, call: Call) -> Result<(Vec<Vec<u64>>, Duration)> {
        let Concurrency { connections, streams } = self.concurrency;
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (connection, client) in self.own().zip(clients) {
            for stream in 0..streams {
                let turns = (connection + stream * connections..).step_by(connections * streams);
                tasks.spawn(one_by_one(client.clone(), call.clone(), turns, start, self.until));
            }
        }
        let latencies = tasks.join_all().await.into_iter().collect::<Result<_>>()?;
        Ok((latencies, start.elapsed()))
    }
}

/// Makes the calls of these turns and returns how long each took, in microseconds.
async fn one_by_one(
    client: Client,
    call: Call,
    turns: impl Iterator<Item = usize>,
    start: Instant,
    until: Until,
) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    for turn in turns {
        let begun = Instant::now();
        let over = match until {
            Until::Elapsed(duration) => begun.duration_since(start) >= duration,
            Until::Turn(end) => turn >= end,
        };
        if over {
            break;
        }
        client.call(&call, turn).await?;
        latencies.push(begun.elapsed().as_micros() as u64);
    }
    Ok(latencies)
}
