//! Damages a data folder in one place. The server must refuse to start and name the place, or serve the same settings.
//!
//! Other settings are a loss. A refusal of damage that the server can repair counts as a folder that does not open. A
//! refusal that names another place is a false alarm.

mod expected;
mod inflict;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::counter_client::Client;
use crate::disk::folder;
use crate::disk::prepared::{Form, Prepared, UNTOUCHED, bases, compare, read, segments};
use crate::finding::{Finding, Verdict, Verdicts};
use crate::report::Report;
use crate::server::{Binary, NotStarted};
pub use expected::{Expected, Place, Verified};
use inflict::Damage;

/// Copies and scans of the large form are slow, so only one cycle of this many uses it.
const LARGE_EVERY: u32 = 10;

/// Damages copies of prepared folders, `cycles` times.
pub async fn run(binary: &Binary, cycles: u32, seed: u64) -> Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let prepared = Prepared::new(binary, &mut rng).await.context("preparing the folders")?;
    let large = prepared.large(binary, &mut rng).await.context("preparing the large folder")?;
    let mut verdicts = Verdicts::new("bit flips and truncations");
    for cycle in 1..=cycles {
        let form = match rng.u32(..3) {
            _ if cycle % LARGE_EVERY == 0 => &large,
            0 => &prepared.stopped,
            1 => &prepared.killed,
            _ => &prepared.torn,
        };
        let place = tempfile::tempdir()?;
        let folder = place.path().join("data");
        folder::copy(&form.folder, &folder)?;
        let damage = Damage::inflict(&folder, form, &prepared.foreign, &mut rng)?;
        let names = |paths: Vec<PathBuf>| paths.iter().map(|path| name(path)).collect::<Vec<_>>();
        let (segments, bases) = (names(segments(&form.folder)?), names(bases(&form.folder)?));
        let expected = Expected::after(&damage, &segments, &bases, form.acknowledged);
        let verdict = judge(binary, &folder, form, &expected).await;
        verdicts.add(verdict, || {
            let (form, kept) = (form.name, place.keep());
            format!("cycle {cycle}, a folder {form}, {}, kept in {}", damage.what, kept.display())
        });
    }
    Ok(verdicts.report(seed))
}

/// Starts a server on a damaged folder. It must refuse if refusal is allowed, or serve the contents, also after a
/// restart.
pub async fn judge(binary: &Binary, folder: &Path, form: &Form, expected: &Expected) -> Verdict {
    let server = match binary.serve(folder).await {
        Ok(server) => server,
        Err(error) => return judge_refusal(&error.downcast::<NotStarted>()?, expected),
    };
    compare(&server, &form.contents).await?;
    if !expected.may_serve {
        return Err(Finding::Lost("served as if nothing had happened".to_owned()));
    }
    // Some damage in sled shows only at the next write or start.
    Client::of(&server).await?.set(UNTOUCHED, 1).await.context("it served, but did not write")?;
    let contents = read(&server).await?;
    let log = server.stop().await?;
    let server = binary.serve(folder).await.context("it served, but not again")?;
    compare(&server, &contents).await?;
    server.stop().await?;
    match (&expected.verified, binary.verify(folder).await) {
        (Verified::Whole | Verified::WholeOrBase, Ok(())) => {}
        (Verified::WholeOrBase, Err(Finding::Lost(text))) if text.contains(".base ") => {
            return Ok("served, a base named");
        }
        (Verified::Refused(places), Err(Finding::Lost(text)))
            if places.iter().any(|place| place.is_named_in(&text)) =>
        {
            return Ok("served, found by verify");
        }
        (_, Err(error)) => return Err(error),
        (Verified::Refused(_), Ok(())) => return Err(Finding::Lost("verify finds nothing".to_owned())),
    }
    let events = binary.events(folder).await?;
    if !events.starts_with(&form.events) || events.len() != form.events.len() + 1 {
        return Err(Finding::Lost("its export is another".to_owned()));
    }
    Ok(match log {
        log if log.contains("is set aside") => "rebuilt",
        log if log.contains("cut off what a crash") => "cut off",
        _ => "served",
    })
}

fn judge_refusal(refusal: &NotStarted, expected: &Expected) -> Verdict {
    let line = refusal.line()?;
    if expected.refusals.iter().any(|place| place.is_named_in(line)) {
        Ok("refused")
    } else if expected.refusals.is_empty() {
        Err(Finding::Unopenable(line.to_owned()))
    } else {
        Err(Finding::FalseAlarm(line.to_owned()))
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
