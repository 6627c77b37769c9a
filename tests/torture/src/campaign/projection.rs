//! sled's files, which the server can rebuild: corrupt, missing, outdated, of another store, or on a disk that hangs.
//!
//! Reads must return the same settings, and no call may take longer than its deadline.

mod hung;
mod spoil;

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::campaign::damage::{Expected, Place, Verified, judge};
use crate::disk::folder;
use crate::disk::prepared::Prepared;
use crate::disk::strace::ensure_present;
use crate::finding::Verdicts;
use crate::report::Report;
use crate::server::Binary;

/// One cycle of this many has a disk that hangs.
const HUNG_EVERY: u32 = 8;

/// Spoils projections, `cycles` times.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    ensure_present()?;
    let mut rng = Rng::with_seed(seed);
    let prepared = Prepared::new(binary, &mut rng).await.context("preparing the folders")?;
    let mut verdicts = Verdicts::new("spoilt projections");
    for cycle in 1..=cycles {
        let place = tempfile::tempdir()?;
        let data = place.path().join("data");
        let form = &prepared.stopped;
        folder::copy(&form.folder, &data)?;
        let (what, verdict) = if cycle % HUNG_EVERY == 0 {
            match hung::Hang::of(cycle / HUNG_EVERY) {
                Some(hang) => (hang.to_string(), hung::meet(binary, place.path(), form, hang).await),
                None => ("a start hangs".to_owned(), hung::meet_at_open(binary, place.path(), form).await),
            }
        } else {
            let (what, cut_short) = spoil::spoil(&data, &prepared, &mut rng)?;
            let mut expected = Expected { may_serve: !cut_short, refusals: Vec::new(), verified: Verified::Whole };
            if cut_short {
                expected.refusals.push(Place { file: ".log ends".to_owned(), offset: None });
            }
            (what, judge(binary, &data, form, &expected).await)
        };
        verdicts.add(verdict, || format!("cycle {cycle}, {what}, kept in {}", place.keep().display()));
    }
    Ok(verdicts.report(seed))
}
