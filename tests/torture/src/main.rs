//! Campaigns against the real server, one module each.
//!
//! `cargo xtask torture` builds the server and this program, then runs this program. It contains no code of the server:
//! it sees the binary, its folder and its port, as an operator does.

mod attack;
mod campaign;
mod counter_client;
mod counts;
mod cycle;
mod disk;
mod expected;
mod finding;
mod fleet;
mod health;
mod progress;
mod report;
mod server;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::Report;
use crate::server::Binary;

/// Torments a real server and checks that no acknowledged write is lost.
///
/// Each campaign prints one line: what it did, how often, and the numbers of lost acknowledged writes, folders that did
/// not open, and false alarms. Any of these is a failure. Standard error has the details.
#[derive(Parser)]
#[command(name = "torture", bin_name = "cargo xtask torture", after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask torture ci                        the short form of every campaign, as CI runs it
  cargo xtask torture ci --long                 the long form of every campaign, as for a release
  cargo xtask torture kill                      one campaign in its short form
  cargo xtask torture power --cycles 5 --seed 7 a few cycles, by the same chance each time
  cargo xtask torture attack 'rapid reset'      one attack; --list tells them all
  cargo xtask torture fleet patroni             one part of the fleet's campaign";

/// Options of every campaign.
#[derive(Args)]
struct Shared {
    /// The number of cycles; without it, the number of the short form.
    #[arg(long, global = true)]
    cycles: Option<u32>,
    /// Run the long form, as for a release.
    #[arg(long, global = true, conflicts_with = "cycles")]
    long: bool,
    /// The seed of the random choices; the same seed makes the same choices. Without it a new seed, which is printed.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// The server's binary; without it, the one beside this program.
    #[arg(long, global = true, value_name = "FILE")]
    server: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Every campaign, one after the other
    Ci,
    #[command(flatten)]
    One(Campaign),
}

#[derive(Subcommand)]
enum Campaign {
    /// kill -9 under concurrent writes, also while the server starts and stops
    Kill,
    /// Power cuts under concurrent writes, on ext4 over a loop device; needs root
    Power,
    /// Flip bits in a data folder, and cut, swap, delete and replace files, one damage at a time
    Damage,
    /// Make system calls on the server's files fail, one kind in each run; needs strace
    Io,
    /// Fill an ext4 over a loop device, by space and by number of files; needs root
    Full,
    /// Spoil sled's files, or make the disk hang; needs strace
    Projection,
    /// Start and stop a server, and ask all the time whether it is ready
    Starts,
    /// Send strange paths, ids and tokens, a thousand in each cycle, and look for new series of metrics
    Series,
    /// Follow changes and values while the server is killed, stopped, and replaced by its backup
    Watch,
    /// Attack the listener in many ways while a good client calls, and check the client's latency against bounds
    Attack(attack::Options),
    /// Three servers on one PostgreSQL that fails over, while clients call all of them; needs root and nft
    Fleet(fleet::Options),
}

impl Campaign {
    /// The campaigns that `ci` runs.
    fn all() -> Vec<Self> {
        vec![
            Self::Kill,
            Self::Power,
            Self::Damage,
            Self::Io,
            Self::Full,
            Self::Projection,
            Self::Starts,
            Self::Series,
            Self::Watch,
            Self::Attack(attack::Options::default()),
            Self::Fleet(fleet::Options::default()),
        ]
    }

    /// The numbers of cycles in the short form and in the long form.
    fn forms(&self) -> (u32, u32) {
        match self {
            Self::Kill => (100, 2000),
            Self::Power => (60, 2000),
            Self::Damage => (400, 10_000),
            // The long form covers every fault; there are about 3,300.
            Self::Io => (40, 10_000),
            Self::Full => (8, 120),
            Self::Projection => (12, 1000),
            Self::Starts => (100, 1000),
            Self::Series => (50, 1000),
            // About a thousand events each.
            Self::Watch => (20, 1000),
            // In the long form, each attack takes longer.
            Self::Attack(_) => (1, 1),
            // Rounds, each with a fault of each kind.
            Self::Fleet(_) => (5, 200),
        }
    }

    async fn run(&self, shared: &Shared) -> Result<Report> {
        let binary = Binary::find(shared.server.clone())?;
        let seed = shared.seed.unwrap_or_else(|| fastrand::u64(..));
        let (short, long) = self.forms();
        let cycles = shared.cycles.unwrap_or(if shared.long { long } else { short });
        match self {
            Self::Kill => campaign::kill::kill(&binary, cycles, seed).await,
            Self::Power => campaign::power::power(&binary, cycles, seed).await,
            Self::Damage => campaign::damage::run(&binary, cycles, seed).await,
            Self::Io => campaign::io::run(&binary, cycles, seed).await,
            Self::Full => campaign::full::run(&binary, cycles, seed).await,
            Self::Projection => campaign::projection::run(&binary, cycles, seed).await,
            Self::Starts => campaign::starts::starts(&binary, cycles, seed).await,
            Self::Series => campaign::series::series(&binary, cycles, seed).await,
            Self::Watch => campaign::watch::run(&binary, cycles, seed).await,
            Self::Attack(options) => attack::attack(&binary, options, cycles, shared.long, seed).await,
            Self::Fleet(options) => fleet::fleet(&binary, options, cycles, seed).await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // An interruption drops the future, which ends its servers and removes its devices.
    let outcome = tokio::select! {
        outcome = run(Cli::parse()) => outcome,
        outcome = interruption() => outcome,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { shared, command }: Cli) -> Result<()> {
    let campaigns = match command {
        Command::Ci => Campaign::all(),
        Command::One(campaign) => vec![campaign],
    };
    let mut failed = Vec::new();
    for campaign in &campaigns {
        match campaign.run(&shared).await {
            Ok(report) => {
                println!("{report}");
                if !report.is_good() {
                    failed.push(report.to_string());
                }
            }
            // The other campaigns still run and report.
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(format!("{error:#}"));
            }
        }
    }
    // Repeated at the end, because the campaigns print a lot.
    ensure!(failed.is_empty(), "{} of {} campaigns failed:\n{}", failed.len(), campaigns.len(), failed.join("\n"));
    Ok(())
}

async fn interruption() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
