//! Three servers on one PostgreSQL with two standbys, which fail over while clients write and read on all of them.
//!
//! By hand, in many quick cycles, and by Patroni in a few real ones. Then negative controls, which must be caught.

mod by_hand;
mod by_patroni;
mod check;
mod clients;
mod controls;
mod counts;
mod database;
mod faults;
mod harness;
mod propagation;
mod record;
mod replicas;
mod streams;
mod watch;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::report::Report;
use crate::server::Binary;
use by_hand::Fleet;
use counts::Counts;

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
    /// How long a write takes to the other servers
    Propagation,
    /// A database that loses acknowledged writes, which must be noticed
    Controls,
    /// Failovers by Patroni
    Patroni,
}

/// Runs the campaign in so many rounds. Each has one fault of each kind.
pub async fn fleet(binary: &Binary, options: &Options, rounds: u32, seed: u64) -> Result<Report> {
    let runs = |part| options.part.is_none_or(|only| only == part);
    let mut counts = Counts::default();
    if [Part::ByHand, Part::Propagation, Part::Controls].into_iter().any(runs) {
        let mut fleet = Fleet::start(binary, seed).await?;
        if let Err(error) = parts_by_hand(&mut fleet, runs, rounds).await {
            fleet.harness.replicas.kill_and_tell().await?;
            return Err(error);
        }
        counts.extend(fleet.stop().await?);
    }
    if runs(Part::Patroni) {
        counts.extend(by_patroni::failovers(binary, rounds.div_ceil(10), seed).await?);
    }
    Ok(counts.report(seed))
}

async fn parts_by_hand(fleet: &mut Fleet, runs: impl Fn(Part) -> bool, rounds: u32) -> Result<()> {
    if runs(Part::Propagation) {
        propagation::measure(fleet).await?;
    }
    if runs(Part::ByHand) {
        fleet.rounds(rounds).await?;
        let mistaken = fleet.harness.counts.mistaken;
        ensure!(mistaken > 0, "no unknown outcome was written, so nothing shows that the checkers look at them");
        fleet.harness.counts.note("unknown outcomes that were written", mistaken);
    }
    if runs(Part::Controls) {
        controls::rollbacks(fleet, rounds.div_ceil(2)).await?;
    }
    Ok(())
}
