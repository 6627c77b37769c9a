//! Measures two contestants in turn, round by round, so that a comparison only uses measurements of the same minute.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Call, Concurrency, Measured, Until, closed_loop};
use crate::process::Process;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The server.
    pub process: &'a Process,
    /// The call that is measured.
    pub call: &'a Call,
}

/// The measurement of one side in one round.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Calls a second.
    pub rate: f64,
    /// The server's processor time for one call, in microseconds.
    pub cpu_us: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99_us: f64,
}

/// Measures both sides in turn. Returns the samples of each round, ours first.
pub async fn compare(
    ours: Side<'_>,
    baseline: Side<'_>,
    concurrency: Concurrency,
    rounds: usize,
    duration: Duration,
) -> Result<Vec<(Sample, Sample)>> {
    // Warms up both sides, so that one-time costs fall into no round.
    for side in [ours, baseline] {
        sample(side, concurrency, duration / 4).await?;
    }
    in_turn(
        rounds,
        async || sample(ours, concurrency, duration).await,
        async || sample(baseline, concurrency, duration).await,
    )
    .await
}

/// Runs both measurements in each round. The order alternates from round to round.
pub async fn in_turn<T>(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> Result<T>,
    mut baseline: impl AsyncFnMut() -> Result<T>,
) -> Result<Vec<(T, T)>> {
    let mut pairs = Vec::new();
    for round in 0..rounds {
        pairs.push(if round % 2 == 0 {
            let first = ours().await?;
            (first, baseline().await?)
        } else {
            let first = baseline().await?;
            (ours().await?, first)
        });
    }
    Ok(pairs)
}

async fn sample(side: Side<'_>, concurrency: Concurrency, duration: Duration) -> Result<Sample> {
    let before = side.process.cpu()?;
    let measured = closed_loop(&side.process.address, side.call, concurrency, Until::Elapsed(duration)).await?;
    Sample::of(&measured, side.process.cpu()? - before)
}

impl Sample {
    fn of(measured: &Measured, cpu: Duration) -> Result<Self> {
        ensure!(measured.calls > 0, "not a single call was answered within a round: make the rounds longer");
        let cpu_us = cpu.as_secs_f64() * 1e6 / measured.calls as f64;
        Ok(Self { rate: measured.rate(), cpu_us, p99_us: measured.p99_us() })
    }
}
