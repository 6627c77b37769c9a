//! Campaigns that do to the real server what the world does: each in a module of its own, all started from here.
//!
//! `cargo xtask torture` builds the server and this, and runs it. Nothing of the server's code is in this program: it
//! sees the binary, its folder and its port, as an operator does.

mod attack;
mod report;
mod server;

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
    after_help = "Example: cargo xtask torture smoke --cycles 10"
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
    /// Start and stop the server over one folder again and again
    Smoke,
    /// Attack the listener in many ways while a good client calls, and hold what it sees to bounds
    Attack(attack::Options),
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
    match campaign {
        Campaign::Smoke => smoke(&binary, shared.cycles.unwrap_or(3)).await,
        Campaign::Attack(options) => {
            attack::run(&binary, &options, shared.seed.unwrap_or_else(|| fastrand::u64(..))).await
        }
    }
}

async fn smoke(binary: &Binary, cycles: u32) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let mut report = Report::new("start and stop");
    for _ in 0..cycles {
        let server = binary.serve(folder.path()).await?;
        server.stop().await?;
        report.cycles += 1;
    }
    Ok(report)
}
