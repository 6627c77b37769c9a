//! Load on a server: calls over HTTP/2, in a closed or an open loop, every answer checked. What is called is not known here.

mod client;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub use client::Client;

/// What is sent again and again, and what has to come back.
#[derive(Debug, Clone)]
pub struct Call {
    /// The request without its body.
    pub request: http::Request<()>,
    /// The bodies, which are sent in turn: writes must change something.
    pub bodies: Vec<Bytes>,
    /// The whole answer, where it is always the same. Its status is checked in any case.
    pub answer: Option<Bytes>,
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

/// Makes the next call as soon as one is answered, for a while. Each of `calls` gets connections of its own in turn.
pub async fn closed_loop(
    address: &str,
    calls: &[Call],
    concurrency: Concurrency,
    duration: Duration,
) -> Result<Measured> {
    let mut clients = Vec::new();
    for index in 0..concurrency.connections {
        clients.push((Client::connect(address).await?, Arc::new(calls[index % calls.len()].clone())));
    }
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (client, call) in &clients {
        for stream in 0..concurrency.streams {
            let (client, call) = (client.clone(), call.clone());
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                for turn in stream.. {
                    let begun = Instant::now();
                    if begun.duration_since(start) >= duration {
                        break;
                    }
                    client.call(&call, turn).await?;
                    latencies.push(begun.elapsed().as_micros() as u64);
                }
                anyhow::Ok(latencies)
            });
        }
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
        let (client, call) = (Client::connect(address).await?, Arc::new(call.clone()));
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
