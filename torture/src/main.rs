//! Campaigns that do to the real server what the world does: each in a module of its own, all started from here.
//!
//! `cargo xtask torture` builds the server and this, and runs it. Nothing of the server's code is in this program: it
//! sees the binary, its folder and its port, as an operator does.

mod damage;
mod device;
mod finding;
mod folder;
mod full;
mod health;
mod io;
mod kill;
mod ledger;
mod numbered;
mod prepared;
mod progress;
mod projection;
mod report;
mod server;
mod strace;
mod tally;
mod trial;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::report::Report;
use crate::server::Binary;

/// Torments a real server and checks that nothing acknowledged is lost.
#[derive(Parser)]
#[command(
    name = "torture",
    bin_name = "cargo xtask torture",
    after_help = "Example: cargo xtask torture kill --cycles 10"
)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    campaign: Campaign,
}

/// What every campaign takes.
#[derive(Args)]
struct Shared {
    /// How often; what is left out is the campaign's short form, as CI runs it.
    #[arg(long, global = true)]
    cycles: Option<u32>,
    /// What chance starts from; the same seed does the same. Without it a new one, which is printed.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// The server's binary; without it, the one beside this program.
    #[arg(long, global = true, value_name = "FILE")]
    server: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Campaign {
    /// Flip bits and cut, swap, delete and replace files in a data folder, one damage at a time
    Damage,
    /// Have calls on the server's files fail, one kind in each run
    Io,
    /// Fill up the disk, which takes root: a small file system is mounted
    Full,
    /// Spoil sled's files, or let the disk hang
    Projection,
    /// kill -9 under concurrent writes, also while the server starts and stops
    Kill,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(report) => {
            println!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { shared, campaign }: Cli) -> Result<Report> {
    let binary = Binary::find(shared.server)?;
    let seed = shared.seed.unwrap_or_else(|| fastrand::u64(..));
    match campaign {
        Campaign::Io => io::run(&binary, shared.cycles.unwrap_or(40), seed).await,
        Campaign::Full => full::run(&binary, shared.cycles.unwrap_or(12), seed).await,
        Campaign::Projection => projection::run(&binary, shared.cycles.unwrap_or(40), seed).await,
        Campaign::Damage => damage::run(&binary, shared.cycles.unwrap_or(400), seed).await,
        Campaign::Kill => kill::kill(&binary, shared.cycles.unwrap_or(100), seed).await,
    }
}
