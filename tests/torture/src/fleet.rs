//! Three servers on one PostgreSQL with two standbys, which fail over while clients write and read on all of them.
//!
//! By hand, in many quick cycles, and by Patroni in a few real ones. Then negative controls, which must be caught.

mod by_hand;
mod check;
mod clients;
mod controls;
mod counts;
mod database;
mod faults;
mod harness;
mod record;
mod replicas;
mod watch;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::report::Report;
use crate::server::Binary;
use by_hand::Fleet;

/// What to do to a fleet.
#[derive(Args, Debug, Clone, Default)]
pub struct Options {
    /// Only this part; without it, all of them.
    part: Option<Part>,
}

/// A part of the campaign.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Faults of every kind, with failovers by hand
    ByHand,
    /// A database that loses acknowledged writes, which must be noticed
    Controls,
}

/// Runs the campaign in so many rounds. Each has one fault of each kind.
pub async fn fleet(binary: &Binary, options: &Options, rounds: u32, seed: u64) -> Result<Report> {
    let runs = |part| options.part.is_none_or(|only| only == part);
    let mut fleet = Fleet::start(binary, seed).await?;
    if runs(Part::ByHand) {
        fleet.rounds(rounds).await?;
        let mistaken = fleet.harness.counts.mistaken;
        ensure!(mistaken > 0, "no unknown outcome was written, so a checker that takes errors for 'no' finds nothing");
        fleet.harness.counts.note("unknown outcomes written", mistaken);
    }
    if runs(Part::Controls) {
        controls::rollbacks(&mut fleet, rounds.div_ceil(2)).await?;
    }
    Ok(fleet.stop().await?.report(seed))
}
