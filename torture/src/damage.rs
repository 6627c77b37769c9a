//! Damages to a data folder, one at a time: each must be refused where it is, or change nothing for a reader.
//!
//! A start that serves anything else is a loss. A refusal, when all that is damaged can be made anew, is a folder that
//! does not open; one that names another place than the damaged one is a false alarm.

mod expected;
mod inflict;
mod prepared;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::folder;
use crate::numbered::Client;
use crate::report::Report;
use crate::server::{Binary, NotStarted};
use expected::Expected;
use inflict::Damage;
use prepared::{Form, Prepared, UNTOUCHED, read, segments};

/// The large form is copied and scanned so much slower that only one cycle of this many has it.
const LARGE_EVERY: u32 = 10;

/// What became of a cycle.
enum Outcome {
    /// As it must be, in these words.
    Good(&'static str),
    Lost(String),
    Unopenable(String),
    FalseAlarm(String),
}

/// Damages copies of prepared folders `cycles` times.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let prepared = Prepared::new(binary, &mut rng).await.context("preparing the folders")?;
    let mut report = Report::new("bit flips and truncations");
    let mut counts = BTreeMap::new();
    let (large, small) = prepared.forms.split_last().context("there are forms")?;
    for cycle in 1..=cycles {
        let form = if cycle % LARGE_EVERY == 0 { large } else { &small[rng.usize(..small.len())] };
        let place = tempfile::tempdir()?;
        let folder = place.path().join("data");
        folder::copy(&form.folder, &folder)?;
        let damage = Damage::inflict(&folder, form, &prepared.foreign, &mut rng)?;
        let names = segments(&form.folder)?.iter().map(|path| name(path)).collect::<Vec<_>>();
        let expected = Expected::after(&damage, &names, form.acknowledged);
        report.cycles += 1;
        let (kind, text) = match judge(binary, &folder, form, &expected).await? {
            Outcome::Good(what) => {
                *counts.entry(what).or_insert(0_u32) += 1;
                continue;
            }
            Outcome::Lost(text) => (&mut report.lost, format!("lost: {text}")),
            Outcome::Unopenable(text) => (&mut report.unopenable, format!("unopenable: {text}")),
            Outcome::FalseAlarm(text) => (&mut report.false_alarms, format!("false alarm: {text}")),
        };
        *kind += 1;
        eprintln!("cycle {cycle}, a folder {}, {}: {text}", form.name, damage.what);
        eprintln!("  expected {expected:?}; kept in {}", place.keep().display());
    }
    report.notes = counts.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    report.notes.push(format!("seed {seed}"));
    Ok(report)
}

async fn judge(binary: &Binary, folder: &Path, form: &Form, expected: &Expected) -> Result<Outcome> {
    let server = match binary.serve(folder).await {
        Ok(server) => server,
        Err(error) => match error.downcast::<NotStarted>() {
            Ok(refusal) => return Ok(judge_refusal(&refusal, expected)),
            Err(error) => return Ok(Outcome::Unopenable(format!("{error:#}"))),
        },
    };
    match read(&server).await {
        Err(error) => return Ok(Outcome::Unopenable(format!("{error:#}\n{}", server.kill().await?))),
        Ok(contents) if contents != form.contents => {
            return Ok(Outcome::Lost(format!("served {contents:?} instead of {:?}", form.contents)));
        }
        Ok(_) if !expected.may_serve => return Ok(Outcome::Lost("served as if nothing had happened".to_owned())),
        Ok(_) => {}
    }
    // What is wrong with sled may show only when it writes, or at the next start.
    let again = async {
        Client::of(&server).await?.set(UNTOUCHED, 1).await?;
        let before = read(&server).await?;
        let log = server.stop().await?;
        let server = binary.serve(folder).await?;
        let after = read(&server).await?;
        server.stop().await?;
        anyhow::Ok((before == after, log))
    };
    match again.await {
        Err(error) => Ok(Outcome::Unopenable(format!("it served, but then: {error:#}"))),
        Ok((false, _)) => Ok(Outcome::Lost("it served all, but no more after the next start".to_owned())),
        Ok((true, log)) if log.contains("is set aside") => Ok(Outcome::Good("rebuilt")),
        Ok((true, log)) if log.contains("cut off what a crash") => Ok(Outcome::Good("cut off")),
        Ok((true, _)) => Ok(Outcome::Good("served")),
    }
}

fn judge_refusal(NotStarted { status, log }: &NotStarted, expected: &Expected) -> Outcome {
    let mut lines = log.lines().filter_map(|line| line.strip_prefix("feature-server: "));
    let (Some(line), None, Some(1)) = (lines.next(), lines.next(), status.code()) else {
        return Outcome::Unopenable(format!("it ended with {status}, without one line that tells why:\n{log}"));
    };
    if expected.refusals.iter().any(|place| place.is_named_in(line)) {
        Outcome::Good("refused")
    } else if expected.refusals.is_empty() {
        Outcome::Unopenable(line.to_owned())
    } else {
        Outcome::FalseAlarm(line.to_owned())
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
