//! Load on a server: calls over HTTP/2, in a closed or an open loop, every answer checked. What is called is not known here.

mod client;
mod closed_loop;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinSet, spawn_blocking};

pub use client::Client;
pub use closed_loop::{Until, closed_loop};

/// What is sent again and again, and what has to come back.
#[derive(Clone)]
pub struct Call {
    /// Makes the request of a turn. In a closed loop with one stream on each of `n` connections, the turns of a client
    /// are its number, that and `n`, that and twice `n`, and so on. In an open loop they are numbered as they are due.
    pub request: Arc<dyn Fn(usize) -> Request<Bytes> + Send + Sync>,
    /// What the answer must be, beside well.
    pub check: Check,
}

/// How the content of an answer is checked.
#[derive(Clone)]
pub enum Check {
    /// It is always this.
    Same(Bytes),
    /// It is looked at, with the turn of its request.
    Each(Arc<Look>),
}

type Look = dyn Fn(usize, &[u8]) -> Result<()> + Send + Sync;

impl Call {
    /// A call whose answers are looked at one by one.
    pub fn new(
        request: impl Fn(usize) -> Request<Bytes> + Send + Sync + 'static,
        check: impl Fn(usize, &[u8]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { request: Arc::new(request), check: Check::Each(Arc::new(check)) }
    }

    /// One request with one answer.
    pub fn constant(request: Request<Bytes>, answer: Bytes) -> Self {
        Self { request: Arc::new(move |_| request.clone()), check: Check::Same(answer) }
    }
}

/// How many calls are under way at once.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    /// Connections.
    pub connections: usize,
    /// Calls under way on each of them.
    pub streams: usize,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Calls that were answered well; any other ends the run.
    pub calls: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// Latencies in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Measured {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that 99 of 100 calls keep below, in microseconds.
    pub fn p99_us(&self) -> f64 {
        self.latency_us.value_at_quantile(0.99) as f64
    }

    fn of(latencies: Vec<Vec<u64>>, elapsed: Duration) -> Result<Self> {
        let mut latency_us = Histogram::new(3)?;
        let calls = latencies.iter().map(|latencies| latencies.len() as u64).sum();
        latencies.into_iter().flatten().try_for_each(|latency| latency_us.record(latency))?;
        Ok(Self { calls, elapsed, latency_us })
    }
}

/// Makes calls at a fixed rate, whether earlier ones are answered or not. A latency counts from the moment when the
/// call was due, so that a server which stalls is not spared the calls that it held up.
pub async fn open_loop(
    address: &str,
    call: &Call,
    connections: usize,
    rate: f64,
    duration: Duration,
) -> Result<Measured> {
    let mut senders = JoinSet::new();
    let mut channels = Vec::new();
    for client in connect(address, connections).await? {
        let (channel, due) = unbounded_channel();
        channels.push(channel);
        senders.spawn(send(client, call.clone(), due));
    }
    let start = Instant::now();
    // A thread of its own: it sleeps to within some 50 µs, a timer of tokio to within a millisecond.
    let pace = spawn_blocking(move || {
        for turn in 0.. {
            let after = Duration::from_secs_f64(turn as f64 / rate);
            let due = start + after;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // It fails when a call did, which is told below.
            if after >= duration || channels[turn % connections].send((turn, due)).is_err() {
                break;
            }
        }
    });
    pace.await?;
    let latencies = senders.join_all().await.into_iter().collect::<Result<_>>().context("at a fixed rate")?;
    Measured::of(latencies, start.elapsed())
}

/// Makes the calls that are due, each as a task.
async fn send(client: Client, call: Call, mut due: UnboundedReceiver<(usize, Instant)>) -> Result<Vec<u64>> {
    let mut calls = JoinSet::new();
    while let Some((turn, due)) = due.recv().await {
        let (client, call) = (client.clone(), call.clone());
        calls.spawn(async move {
            client.call(&call, turn).await?;
            anyhow::Ok(due.elapsed().as_micros() as u64)
        });
    }
    calls.join_all().await.into_iter().collect()
}

async fn connect(address: &str, connections: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    Ok(clients)
}
