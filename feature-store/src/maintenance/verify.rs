//! Verification: checks every event of a journal against the events before it, and every record of a projection or a
//! base against the sum of its events. No file of the store is changed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use feature_core::{Event, Scope, check_continuity};

use crate::engine::BaseRecord;
use crate::error::OpenError;
use crate::files;
use crate::format::encoding::decode_record;
use crate::format::export_format::field_of;
use crate::format::scope_key;
use crate::journal::{BaseReader, History, Location};
use crate::maintenance::batches::Batches;
use crate::projection::ProjectionCopy;
use crate::store::fold::Fold;

/// The bytes of the journal whose records are in memory at a time; a longer journal is read several times.
const PASS_BYTES: u64 = 512 * 1024 * 1024;

/// The result for a history without faults.
#[derive(Debug, PartialEq, Eq)]
pub struct Verification {
    /// The number of scopes that were ever written.
    pub scopes: usize,
    /// The state of the projection.
    pub projection: ProjectionState,
}

/// How a projection fits its journal. The next start of a server repairs any of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectionState {
    /// There is none.
    Absent,
    /// Every record is the sum of the scope's events.
    Agrees,
    /// The same, up to this revision.
    Behind(
        /// The last event that it has.
        u64,
    ),
    /// It is damaged or does not fit.
    InDoubt(
        /// Why.
        String,
    ),
}

/// Checks all events and records of a data folder or a backup.
///
/// * `scratch`: an empty folder for a copy of the projection, since sled changes what it opens.
/// * `progress`: gets the number of events checked, and of all.
///
/// # Errors
/// [`OpenError`] when the journal or a base is damaged, or a file cannot be read.
pub fn verify(
    history: &History,
    scratch: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, OpenError> {
    verify_in_passes(history, scratch, (history.bytes() + history.base_bytes()?) / PASS_BYTES + 1, progress)
}

/// Each pass checks a part of the scopes, and so needs less memory.
pub(crate) fn verify_in_passes(
    history: &History,
    scratch: &Path,
    passes: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, OpenError> {
    if let Some(damaged) = history.damaged_base() {
        return Err(damaged);
    }
    let mut projection = open_projection(history, scratch)?;
    let (mut scopes, mut batches) = (0, Batches::default());
    let mut done = 0;
    for pass in 0..passes {
        let concerns = |scope: &Scope| pass_of(scope, passes) == pass;
        let mut fold = first_records(history, concerns)?;
        let known = projection.as_ref().ok().and_then(|copy| copy.as_ref()).map(ProjectionCopy::revision);
        if known == Some(history.oldest() - 1)
            && let Ok(Some(copy)) = &projection
            && let Err(reason) = copy.compare(&fold, &history.emptied_at(copy.revision()), concerns)
        {
            projection = Err(reason);
        }
        history.for_each(|event, location| {
            done += 1;
            progress(done, history.events() * passes);
            if pass == 0 {
                let placed = batches.add(event, event.revision == history.revision());
                placed.map_err(|reason| location.corrupt(&format!("continues: {reason}")))?;
            }
            if concerns(&event.scope) {
                add(&mut fold, event, location)?;
            }
            if history.bases().contains(&event.revision) {
                compare(history.base(event.revision)?, &fold, concerns)?;
            }
            if Some(event.revision) == known
                && let Ok(Some(copy)) = &projection
                && let Err(reason) = copy.compare(&fold, &history.emptied_at(copy.revision()), concerns)
            {
                projection = Err(reason);
            }
            Ok::<_, OpenError>(())
        })?;
        scopes += fold.len();
    }
    let projection = match projection {
        Ok(None) => ProjectionState::Absent,
        Ok(Some(copy)) if copy.revision() == history.revision() => ProjectionState::Agrees,
        Ok(Some(copy)) => ProjectionState::Behind(copy.revision()),
        Err(reason) => ProjectionState::InDoubt(reason),
    };
    Ok(Verification { scopes, projection })
}

fn pass_of(scope: &Scope, passes: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    scope.hash(&mut hasher);
    hasher.finish() % passes
}

/// The records before the first event that is kept.
fn first_records(history: &History, concerns: impl Fn(&Scope) -> bool) -> Result<Fold, OpenError> {
    let mut fold = Fold::default();
    if history.oldest() > 1 {
        let mut base = history.base(history.oldest() - 1)?;
        while let Some(BaseRecord { key, body, .. }) = base.next()? {
            let scope = scope_key::decode(&key).filter(|_| decode_record(&body).is_ok());
            let scope = scope.ok_or_else(|| base.not_understood())?;
            if concerns(&scope) {
                fold.put(key, body);
            }
        }
    }
    Ok(fold)
}

/// Checks that a base has the records of `fold`, of the scopes for which `concerns` holds.
fn compare(mut base: BaseReader, fold: &Fold, concerns: impl Fn(&Scope) -> bool) -> Result<(), OpenError> {
    let mut records = 0;
    while let Some(BaseRecord { key, body, .. }) = base.next()? {
        let scope = scope_key::decode(&key).ok_or_else(|| base.differs("it holds a record of no scope"))?;
        if !concerns(&scope) {
            continue;
        }
        records += 1;
        if fold.stored(&key) != Some(&body) {
            return Err(base.differs(&format!("the record of {}", scope_key::describe(&scope))));
        }
    }
    if records == fold.len() { Ok(()) } else { Err(base.differs("it lacks a record")) }
}

fn add(fold: &mut Fold, event: &Event, location: Location<'_>) -> Result<(), OpenError> {
    let key = scope_key::encode(&event.scope);
    let record = fold.record(&key).map_err(|_| location.corrupt("its record cannot be read back"))?;
    let record = record.unwrap_or_default();
    check_continuity(&record, event).map_err(|error| location.corrupt(&format!("{}: {error}", field_of(&error))))?;
    fold.apply(key, record, event);
    Ok(())
}

/// A copy of the projection, or the reason why it is in doubt.
fn open_projection(history: &History, scratch: &Path) -> Result<Result<Option<ProjectionCopy>, String>, OpenError> {
    let (folder, copy) = (history.folder().join("projection"), scratch.join("projection"));
    if !folder.exists() {
        return Ok(Ok(None));
    }
    if !folder.is_dir() {
        return Ok(Err("it is no folder".to_owned()));
    }
    files::copy_folder(&folder, &copy)?;
    Ok(match ProjectionCopy::open(&copy, history.store()) {
        Ok(copy) if copy.revision() > history.revision() => {
            let (ahead, end) = (copy.revision(), history.revision());
            Err(format!("it knows revision {ahead}, the journal ends at {end}"))
        }
        outcome => outcome.map(Some),
    })
}
