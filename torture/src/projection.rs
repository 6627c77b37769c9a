//! sled's part of a data folder, which can be made anew: corrupt, missing, of another time or store, or on a disk that
//! hangs.
//!
//! Whatever it is, what is read stays the same, and no call waits longer than its deadline.

mod hung;
mod spoil;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::damage::{Expected, Place, judge};
use crate::folder;
use crate::prepared::Prepared;
use crate::report::Report;
use crate::server::Binary;
use crate::strace::ensure_present;

/// One cycle of this many has a disk that hangs.
const HUNG_EVERY: u32 = 8;

/// Spoils projections `cycles` times.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    ensure_present()?;
    let mut rng = Rng::with_seed(seed);
    let prepared = Prepared::new(binary, &mut rng).await.context("preparing the folders")?;
    let mut report = Report::new("spoilt projections");
    let mut counts = BTreeMap::new();
    for cycle in 1..=cycles {
        report.cycles += 1;
        let place = tempfile::tempdir()?;
        let data = place.path().join("data");
        let form = &prepared.stopped;
        folder::copy(&form.folder, &data)?;
        let (what, verdict) = if cycle % HUNG_EVERY == 0 {
            let hang = hung::Hang::of(cycle / HUNG_EVERY);
            (hang.to_string(), hung::meet(binary, place.path(), form, hang).await)
        } else {
            let (what, cut_short) = spoil::spoil(&data, &prepared, &mut rng)?;
            let mut expected = Expected { may_serve: !cut_short, refusals: Vec::new() };
            if cut_short {
                expected.refusals.push(Place { file: ".log ends".to_owned(), offset: None });
            }
            (what, judge(binary, &data, form, &expected).await)
        };
        match verdict {
            Ok(what) => *counts.entry(what).or_insert(0_u32) += 1,
            Err(finding) => report.add(&format!("cycle {cycle}, {what}, kept in {}", place.keep().display()), finding),
        }
    }
    report.notes = counts.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    report.notes.push(format!("seed {seed}"));
    Ok(report)
}
