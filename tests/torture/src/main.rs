//! Campaigns that do to the real server what the world does: each in a module of its own, all started from here.
//!
//! `cargo xtask torture` builds the server and this, and runs it. Nothing of the server's code is in this program: it
//! sees the binary, its folder and its port, as an operator does.

mod attack;
mod campaign;
mod counter_client;
mod counts;
mod cycle;
mod disk;
mod expected;
mod finding;
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

/// Torments a real server and checks that nothing acknowledged is lost.
///
/// Each campaign prints one line: what was done, how often, and how many acknowledged writes were lost, folders did not
/// open, and alarms were false. Any of them is a failure. What went wrong is told on standard error.
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
  cargo xtask torture attack 'rapid reset'      one attack; --list tells them all";

/// What every campaign takes.
#[derive(Args)]
struct Shared {
    /// How often; without it, as often as the short form does.
    #[arg(long, global = true)]
    cycles: Option<u32>,
    /// The long form, as for a release.
    #[arg(long, global = true, conflicts_with = "cycles")]
    long: bool,
    /// What chance starts from; the same seed does the same. Without it a new one, which is printed.
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
    /// Flip bits and cut, swap, delete and replace files in a data folder, one damage at a time
    Damage,
    /// Have calls on the server's files fail, one kind in each run; needs strace
    Io,
    /// Fill up an ext4 over a loop device, by its space and by its files; needs root
    Full,
    /// Spoil sled's files, or let the disk hang; needs strace
    Projection,
    /// Attack the listener in many ways while a good client calls, and hold what it sees to bounds
    Attack(attack::Options),
}

impl Campaign {
    /// What `ci` runs.
    fn all() -> Vec<Self> {
        vec![
            Self::Kill,
            Self::Power,
            Self::Damage,
            Self::Io,
            Self::Full,
            Self::Projection,
            Self::Attack(attack::Options::default()),
        ]
    }

    /// The cycles of the short form and of the long one.
    fn forms(&self) -> (u32, u32) {
        match self {
            Self::Kill => (100, 2000),
            Self::Power => (60, 2000),
            Self::Damage => (400, 10_000),
            // The long form is every fault that there is, and there are about 3,300.
            Self::Io => (40, 10_000),
            Self::Full => (12, 120),
            Self::Projection => (16, 1000),
            // The long form takes longer for each attack.
            Self::Attack(_) => (1, 1),
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
            Self::Attack(options) => attack::attack(&binary, options, cycles, shared.long, seed).await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // What is dropped by an interruption ends its servers and takes its devices apart.
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
    let mut failed = 0;
    for campaign in &campaigns {
        match campaign.run(&shared).await {
            Ok(report) => {
                println!("{report}");
                failed += u32::from(!report.is_good());
            }
            // The others have something to tell all the same.
            Err(error) if campaigns.len() > 1 => {
                eprintln!("error: {error:#}");
                failed += 1;
            }
            Err(error) => return Err(error),
        }
    }
    ensure!(failed == 0, "{failed} of {} campaigns failed", campaigns.len());
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
