//! Three servers on one PostgreSQL with two standbys, which fail over while clients write and read on all of them.
//!
//! By hand, in many quick cycles, and by Patroni in a few real ones. Then negative controls, which must be caught.

mod check;
mod clients;
mod counts;
mod database;
mod faults;
mod harness;
mod record;
mod replicas;
mod watch;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::progress::Progress;
use crate::report::Report;
use crate::server::Binary;
use database::network::Direction;
use faults::Fault;
use harness::Fleet;

/// What to do to a fleet.
#[derive(Args, Debug, Clone, Default)]
pub struct Options {
    /// Only this part; without it, all of them.
    part: Option<Part>,
}

/// A part of the campaign.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Faults, and failovers by hand
    ByHand,
}

/// The connections that are terminated in a round.
const TERMINATED: u64 = 100;

/// Runs the campaign in so many rounds. Each has one fault of each kind.
pub async fn fleet(binary: &Binary, options: &Options, rounds: u32, seed: u64) -> Result<Report> {
    let mut fleet = Fleet::start(binary, seed).await?;
    let runs = |part| options.part.is_none_or(|only| only == part);
    if runs(Part::ByHand) {
        by_hand(&mut fleet, rounds).await?;
    }
    let log = fleet.replicas.stop().await?;
    fleet.counts.log("logs", &log);
    Ok(fleet.counts.report(seed))
}

async fn by_hand(fleet: &mut Fleet, rounds: u32) -> Result<()> {
    let mut rare = Vec::new();
    for _ in 0..rounds.div_ceil(5) {
        rare.extend([Fault::CutOffServer, Fault::FullDisk]);
    }
    let progress = Progress::new("fleet by hand", rounds);
    for round in 1..=rounds {
        progress.cycle(round);
        let direction = [Direction::Both, Direction::Towards, Direction::From][round as usize % 3];
        let mut faults =
            vec![Fault::Kill, Fault::Pause, Fault::CutOff(direction), Fault::Terminate(TERMINATED), Fault::KillServer];
        fleet.rng.shuffle(&mut faults);
        for fault in faults {
            fleet.cycle(fault).await?;
            let possible = rare.iter().position(|fault| fault.is_possible(fleet));
            if let Some(fault) = possible.map(|index| rare.swap_remove(index)) {
                fleet.cycle(fault).await?;
            }
        }
    }
    Ok(())
}
