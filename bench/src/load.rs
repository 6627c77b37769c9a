//! Load on a server: calls over HTTP/2, in a closed or an open loop, every answer checked. What is called is not known here.

mod client;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub use client::Client;

/// What is sent again and again, and what has to come back.
#[derive(Clone)]
pub struct Call {
    /// Makes the request of a turn. In a closed loop with one stream on each of `n` connections, the turns of a client
    /// are its number, that and `n`, that and twice `n`, and so on.
    pub request: Arc<dyn Fn(usize) -> Request<Bytes> + Send + Sync>,
    /// The whole answer, where it is always the same. Its status is checked in any case.
    pub answer: Option<Bytes>,
}

impl Call {
    /// A call whose answer may vary.
    pub fn new(request: impl Fn(usize) -> Request<Bytes> + Send + Sync + 'static) -> Self {
        Self { request: Arc::new(request), answer: None }
    }
}

/// When a closed loop ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// Before this turn.
    Turn(usize),
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

/// Makes the next call as soon as one is answered, until the end.
pub async fn closed_loop(address: &str, call: &Call, concurrency: Concurrency, until: Until) -> Result<Measured> {
    let Concurrency { connections, streams } = concurrency;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..connections * streams {
        let (client, call) = (clients[first % connections].clone(), call.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for turn in (first..).step_by(connections * streams) {
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
            anyhow::Ok(latencies)
        });
    }
    let latencies = tasks.join_all().await.into_iter().collect::<Result<_>>()?;
    Measured::of(latencies, start.elapsed())
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
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let (client, call) = (Client::connect(address).await?, call.clone());
        let period = Duration::from_secs_f64(connections as f64 / rate);
        senders.spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut calls = JoinSet::new();
            for turn in 0.. {
                let due = ticks.tick().await.into_std();
                if due.duration_since(start) >= duration {
                    break;
                }
                let (client, call) = (client.clone(), call.clone());
                calls.spawn(async move {
                    client.call(&call, turn).await?;
                    anyhow::Ok(due.elapsed().as_micros() as u64)
                });
            }
            calls.join_all().await.into_iter().collect::<Result<Vec<_>>>()
        });
    }
    let latencies = senders.join_all().await.into_iter().collect::<Result<_>>().context("at a fixed rate")?;
    Measured::of(latencies, start.elapsed())
}
