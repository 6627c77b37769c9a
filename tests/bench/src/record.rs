//! Records with `perf` a server under load.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tokio::process::Command;

use crate::contestants::Feature;
use crate::goals::disk;
use crate::load::{Concurrency, Until, closed_loop};

/// The load on the server.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Load {
    /// The inheriting read of a user over gRPC, 32 at once on each of 10 connections.
    Get,
    /// The same over REST.
    Rest,
    /// Durable writes by 64 clients.
    Set,
}

/// Samples a second. Not a round number, so that periodic work is not sampled too often.
const SAMPLES_PER_SECOND: &str = "997";

/// Records for this duration where a server spends its time, and writes the samples to `output`.
pub async fn record(load: Load, duration: Duration, output: &Path) -> Result<()> {
    let server = Feature::start(&disk()?, &[]).await?;
    let read = Concurrency { connections: 10, streams: 32 };
    let write = Concurrency { connections: 64, streams: 1 };
    let (call, concurrency) = match load {
        Load::Get => (server.get().await?, read),
        Load::Rest => (server.rest_get().await?, read),
        Load::Set => (server.sets(write.connections), write),
    };
    let address = &server.process.address;
    closed_loop(address, &call, concurrency, Until::Elapsed(duration / 10)).await?;
    let mut perf = Command::new("perf");
    // This event also works in virtual machines, which often have no processor counters.
    perf.args(["record", "--quiet", "--event", "cpu-clock", "--call-graph", "fp", "--freq", SAMPLES_PER_SECOND]);
    perf.arg("--output").arg(output).args(["--pid", &server.process.id().to_string(), "--", "sleep"]);
    let mut perf = perf.arg(duration.as_secs().to_string()).spawn().context("starting perf")?;
    let measured = closed_loop(address, &call, concurrency, Until::Elapsed(duration)).await?;
    ensure!(perf.wait().await?.success(), "perf failed: it may need root, or a kernel that allows it");
    println!("{load:?}: {:.0} calls a second", measured.rate());
    Ok(())
}
