//! Two contestants, measured in turn, round by round: only what both went through in the same minute is compared.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::load::{Call, Concurrency, Measured, Until, closed_loop};
use crate::process::Process;

/// One side of a comparison.
pub struct Side<'a> {
    /// The server.
    pub process: &'a Process,
    /// What it is asked.
    pub call: &'a Call,
}

/// What one side did in one round.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Calls a second.
    pub rate: f64,
    /// Processor time of the server per call, in microseconds.
    pub cpu_us: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99_us: f64,
}

/// A series of values, one from each round.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Series {
    /// The series of these values, of which there is at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], min: values[0], max: values[values.len() - 1] }
    }
}

/// Both sides' samples, in pairs.
pub struct Rounds(Vec<(Sample, Sample)>);

impl Rounds {
    /// The ratio of ours to the baseline, by what `figure` takes of a sample.
    pub fn ratio(&self, figure: impl Fn(&Sample) -> f64) -> Series {
        Series::of(self.0.iter().map(|(ours, baseline)| figure(ours) / figure(baseline)))
    }

    /// What `figure` takes of our samples.
    pub fn ours(&self, figure: impl Fn(&Sample) -> f64) -> Series {
        Series::of(self.0.iter().map(|(ours, _)| figure(ours)))
    }

    /// What `figure` takes of the baseline's samples.
    pub fn baseline(&self, figure: impl Fn(&Sample) -> f64) -> Series {
        Series::of(self.0.iter().map(|(_, baseline)| figure(baseline)))
    }
}

/// Measures both sides in turn. Which goes first changes from round to round.
pub async fn compare(
    ours: &Side<'_>,
    baseline: &Side<'_>,
    concurrency: Concurrency,
    rounds: usize,
    duration: Duration,
) -> Result<Rounds> {
    // What is slow only the first time belongs to no round.
    for side in [ours, baseline] {
        sample(side, concurrency, duration / 4).await?;
    }
    let mut samples = Vec::new();
    for round in 0..rounds {
        samples.push(if round % 2 == 0 {
            let first = sample(ours, concurrency, duration).await?;
            (first, sample(baseline, concurrency, duration).await?)
        } else {
            let first = sample(baseline, concurrency, duration).await?;
            (sample(ours, concurrency, duration).await?, first)
        });
    }
    Ok(Rounds(samples))
}

async fn sample(side: &Side<'_>, concurrency: Concurrency, duration: Duration) -> Result<Sample> {
    let before = side.process.cpu()?;
    let measured = closed_loop(&side.process.address, side.call, concurrency, Until::Elapsed(duration)).await?;
    Ok(Sample::of(&measured, side.process.cpu()? - before))
}

impl Sample {
    fn of(measured: &Measured, cpu: Duration) -> Self {
        let cpu_us = cpu.as_secs_f64() * 1e6 / measured.calls as f64;
        Self { rate: measured.rate(), cpu_us, p99_us: measured.p99_us() }
    }
}
