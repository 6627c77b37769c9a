//! Load on a server: calls over HTTP/2 in a closed or an open loop. Every answer is checked.

mod client;
mod closed_loop;
mod cores;
mod open_loop;
mod watchers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;

pub use client::Client;
pub use closed_loop::{Until, closed_loop, closed_loop_on};
pub use cores::connect;
pub use open_loop::open_loop;
pub use watchers::Watchers;

/// A call that is made many times, and its expected answer.
#[derive(Clone)]
pub struct Call {
    /// Makes the request of a turn. In a closed loop of `n` connections with one stream each, client `i` has the turns
    /// `i`, `i + n`, `i + 2n`, and so on. In an open loop, each of `n` threads has every `n`th turn.
    pub request: Arc<dyn Fn(usize) -> Request<Bytes> + Send + Sync>,
    /// The check of a successful answer.
    pub check: Check,
}

/// How to check the content of an answer.
#[derive(Clone)]
pub enum Check {
    /// Every answer has this content.
    Same(Bytes),
    /// A function checks each answer; it gets the turn of the request.
    Each(Arc<Look>),
}

type Look = dyn Fn(usize, &[u8]) -> Result<()> + Send + Sync;

impl Call {
    /// A call with a check for each answer.
    pub fn new(
        request: impl Fn(usize) -> Request<Bytes> + Send + Sync + 'static,
        check: impl Fn(usize, &[u8]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { request: Arc::new(request), check: Check::Each(Arc::new(check)) }
    }

    /// A call with one request and one answer.
    pub fn constant(request: Request<Bytes>, answer: Bytes) -> Self {
        Self { request: Arc::new(move |_| request.clone()), check: Check::Same(answer) }
    }
}

/// The number of concurrent calls.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    /// Connections.
    pub connections: usize,
    /// Concurrent calls on each connection.
    pub streams: usize,
}

/// The result of a load.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The number of successful calls. Any other outcome ends the run.
    pub calls: u64,
    /// The duration.
    pub elapsed: Duration,
    /// Latencies in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Measured {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// The 99th percentile of the latency, in microseconds.
    pub fn p99_us(&self) -> f64 {
        self.latency_us.value_at_quantile(0.99) as f64
    }

    /// The median of the latency, in microseconds.
    pub fn median_us(&self) -> f64 {
        self.latency_us.value_at_quantile(0.5) as f64
    }

    /// `latencies`: in microseconds.
    pub fn of(latencies: &[u64], elapsed: Duration) -> Result<Self> {
        let mut latency_us = Histogram::new(3)?;
        latencies.iter().try_for_each(|latency| latency_us.record(*latency))?;
        Ok(Self { calls: latencies.len() as u64, elapsed, latency_us })
    }
}
