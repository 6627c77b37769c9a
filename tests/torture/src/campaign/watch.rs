//! Watches through kills, stops and restored backups: no gap, no repeat, no reorder, and the last state is that of a
//! read.
//!
//! Writers change scopes, while clients follow changes and values: fast ones, slow ones, ones that are cut off, and
//! ones that are away for long. Everything that they see is compared with a model, which folds the changes one by one.

pub mod check;
pub mod compare;
mod folder;
pub mod hub;
mod model;
pub mod reads;
pub mod record;
mod scopes;
pub mod streams;
mod tally;
mod writers;

use anyhow::{Result, ensure};
use fastrand::Rng;

use self::check::{Kind, Problem};
use self::folder::Folder;
use self::tally::Tally;
use crate::counts::CampaignCounts;
use crate::progress::Progress;
use crate::report::Report;
use crate::server::Binary;
use crate::workload::Counts;

/// The maximum number of lives of a server on one folder.
const LIVES: u32 = 10;

/// From so many cycles on, everything that the campaign is about must have come about.
const ALL_CYCLES: u32 = 20;

/// Runs the campaign. A cycle is a life of a server, with about a thousand changes.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let (mut counts, mut tally) = (CampaignCounts::new("watch", false), Tally::default());
    let progress = Progress::new("watch", cycles);
    let short = binary.with_short_history();
    let (mut done, mut folders) = (0, 0);
    while done < cycles {
        // Every other folder has a short history.
        let is_short = folders % 2 == 1;
        let mut folder = Folder::new(if is_short { &short } else { binary }, is_short, rng.fork()).await?;
        for _ in 0..rng.u32(LIVES / 2..=LIVES).min(cycles - done) {
            progress.cycle(done + 1);
            folder.live(&mut counts, &mut tally).await?;
            counts.cycle();
            done += 1;
        }
        let problems = folder.close(&mut counts, &mut tally).await?;
        tally.problems(&problems);
        let is_broken = |problem: &&Problem| problem.kind != Kind::Ahead;
        counts.lost(problems.iter().filter(is_broken).map(ToString::to_string).collect());
        folders += 1;
    }
    for what in ["kills", "stops", "restores", "resumed", "closings", "told that history was taken back"] {
        ensure!(cycles < ALL_CYCLES || tally.of(what) > 0, "no {what} in {cycles} cycles");
    }
    counts.answered(Counts { writes: tally.of("writes acknowledged"), reads: 0 });
    counts.report([format!("seed {seed}")].into_iter().chain(tally.notes()))
}
