//! Benchmarks of the feature server as it is shipped, against baselines, which run in the same minute.
//!
//! `cargo xtask bench` builds the contestants and runs this program. The server runs as a process of its own.

#![forbid(unsafe_code)]

mod comparison;
mod contestants;
mod goals;
mod load;
mod process;
mod record;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

/// A fast allocator, since the load shares the machine with the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Compares the server with tonic alone and with etcd, and prints a table of the goals.
#[derive(Parser)]
#[command(
    name = "bench",
    bin_name = "cargo xtask bench",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  cargo xtask bench                             everything
  cargo xtask bench --rounds 15 'tonic alone'   the rows whose text contains 'tonic alone', more exactly
  cargo xtask bench --users 10000000 users      ten million users
  cargo xtask bench --json target/bench.json    the figures for a program, too
  cargo xtask bench fleet                       servers that share a PostgreSQL
  cargo xtask bench fleet propagation           its rows whose text contains 'propagation'
  cargo xtask bench watch                       10,000 watches"
)]
struct Arguments {
    #[command(flatten)]
    measurement: Measurement,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Measurement {
    /// The number of measurements of each side.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The duration of a measurement, in milliseconds; four times that for the goal with and without Sets.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..))]
    round_ms: u64,
    /// The number of users for the goals with many users. There are goals for up to a million and for up to ten
    /// million.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    users: u32,
    /// The number of changes for the goal with a long history.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    changes: u32,
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only goals whose text contains this.
    filter: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Compare servers that share a PostgreSQL with one on its own, with PostgreSQL's own commits and with three nodes
    /// of etcd.
    ///
    /// PostgreSQL is of Debian's packages. It refuses to run as root and is started as its own user, which only root
    /// can do.
    Fleet(Measurement),
    /// Compare 10,000 watches with as many watches of etcd, and writers beside them with writers alone.
    Watch(Measurement),
    /// Record with `perf` where a server spends its time; `cargo xtask profile` makes a graph of it.
    #[command(hide = true)]
    Record {
        /// The load on the server.
        load: record::Load,
        /// The duration.
        #[arg(long)]
        seconds: u64,
        /// The file for the samples.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the goals. A missed goal is printed and is not an error; a wrong answer is an error.
async fn run(arguments: Arguments) -> Result<()> {
    let (measurement, command) = match arguments.command {
        Some(Command::Record { load, seconds, output }) => {
            return record::record(load, Duration::from_secs(seconds), &output).await;
        }
        Some(Command::Fleet(measurement)) => (measurement, "fleet"),
        Some(Command::Watch(measurement)) => (measurement, "watch"),
        None => (arguments.measurement, ""),
    };
    let plan = goals::Plan {
        rounds: measurement.rounds.into(),
        round: Duration::from_millis(measurement.round_ms),
        users: measurement.users as usize,
        changes: measurement.changes.into(),
        filter: measurement.filter.unwrap_or_default(),
    };
    println!("{}", table::header());
    let rows = match command {
        "fleet" => goals::measure_fleet(&plan).await?,
        "watch" => goals::measure_watch(&plan).await?,
        _ => goals::measure(&plan).await?,
    };
    ensure!(!rows.is_empty(), "there is no such row");
    if let Some(path) = measurement.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{}", table::footer(&rows));
    Ok(())
}
