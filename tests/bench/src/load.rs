//! Load on a server: calls over HTTP/2, in a closed or an open loop, every answer checked. What is called is not known here.

mod client;
mod closed_loop;
mod cores;
mod open_loop;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;

pub use client::Client;
pub use closed_loop::{Until, closed_loop};
pub use cores::connect;
pub use open_loop::open_loop;

/// What is sent again and again, and what has to come back.
#[derive(Clone)]
pub struct Call {
    /// Makes the request of a turn. In a closed loop with one stream on each of `n` connections, the turns of a client
    /// are its number, that and `n`, that and twice `n`, and so on. In an open loop each of `n` threads makes every `n`th turn.
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

    /// `latencies`: in microseconds.
    fn of(latencies: &[u64], elapsed: Duration) -> Result<Self> {
        let mut latency_us = Histogram::new(3)?;
        latencies.iter().try_for_each(|latency| latency_us.record(*latency))?;
        Ok(Self { calls: latencies.len() as u64, elapsed, latency_us })
    }
}
