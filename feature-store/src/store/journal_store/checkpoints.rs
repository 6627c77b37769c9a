//! Checkpoints: makes the base and the index of each complete segment, and drops what is not kept of the history.
//! Writers do not wait for it, and what fails is tried again later.

mod erasing;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use feature_core::Timestamp;
use uuid::Uuid;

use super::SharedJournal;
use crate::background::Background;
use crate::error::{OpenError, StoreError};
use crate::files;
use crate::format::identity::{self, Identity};
use crate::journal::{
    BaseReader, base_path, bases_in, make_base, remove_base, remove_half_made, segment_path, segments_in,
};
use crate::store::limits::{Keep, Sizes};

/// The time between two looks without a new segment: old events are dropped even if nothing is written.
const PAUSE: Duration = Duration::from_secs(600);

/// So many of the newest bases are kept.
const NEWEST: usize = 2;

/// What there is to do on the journal of a store.
pub(crate) struct Checkpoints {
    /// The data folder.
    data: PathBuf,
    /// The journal's.
    folder: PathBuf,
    store: Uuid,
    journal: Arc<SharedJournal>,
    sizes: Sizes,
    /// When erasures have completed a segment.
    completed: Cell<Option<Instant>>,
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("the disk has no space for a file of {bytes} bytes beside the reserve for writes")]
    NoSpace { bytes: u64 },
    #[error("events from revision {} to {} are missing in the journal: restore a backup", .after + 1, .next - 1)]
    Gap { after: u64, next: u64 },
    #[error(transparent)]
    Journal(#[from] OpenError),
    #[error(transparent)]
    Events(#[from] StoreError),
}

impl From<files::FileError> for CheckpointError {
    fn from(error: files::FileError) -> Self {
        Self::Journal(error.into())
    }
}

impl Checkpoints {
    pub(super) fn new(data: &Path, store: Uuid, journal: Arc<SharedJournal>, sizes: Sizes) -> Self {
        let completed = Cell::new(None);
        Self { data: data.to_owned(), folder: data.join("journal"), store, journal, sizes, completed }
    }

    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<Background> {
        let run = move |stop: &AtomicBool| {
            let go_on = || !stop.load(Ordering::Relaxed);
            let (begun, mut problem, mut is_suspect) = (Instant::now(), None, true);
            while go_on() {
                // A clock that is wrong after a start is set soon: no event is too old before.
                let now = Some(SystemTime::now().into()).filter(|_| begun.elapsed() >= PAUSE);
                let checked = if is_suspect { self.remove_damaged(&go_on) } else { Ok(()) };
                let error = checked.and(self.run(now, &go_on)).err().map(|error| error.to_string());
                if error.is_some() && problem != error {
                    tracing::error!(error, "a checkpoint failed, and is tried again");
                }
                is_suspect = error.is_some();
                problem = error;
                if go_on() {
                    thread::park_timeout(PAUSE);
                }
            }
        };
        Background::start("checkpoints", run)
    }

    /// Does all that there is to do.
    ///
    /// * `now`: the age of events counts up to it; without it, none is too old.
    /// * `go_on`: asked now and then; `false` ends it.
    ///
    /// # Errors
    /// [`CheckpointError`]. The store is whole all the same.
    pub(super) fn run(&self, now: Option<Timestamp>, go_on: &dyn Fn() -> bool) -> Result<(), CheckpointError> {
        if self.journal.failed.get().is_some() {
            // The disk is not to be trusted: nothing is changed any more.
            return Ok(());
        }
        self.remove_dropped(self.journal.events.oldest())?;
        let made = if go_on() { self.complete_erasures() } else { Ok(()) };
        let made = made.and_then(|()| self.make_bases(go_on));
        // Also when the disk is too full for another base.
        while go_on() && self.drop_oldest(now, go_on)? {}
        made
    }

    /// Checks every frame of each base, which no start does. One that is damaged is removed, if it can be made again.
    ///
    /// # Errors
    /// [`CheckpointError`], the first one, after a look at all of them.
    pub(super) fn remove_damaged(&self, go_on: &dyn Fn() -> bool) -> Result<(), CheckpointError> {
        let oldest = self.journal.events.oldest();
        remove_half_made(&self.folder)?;
        let mut first_error = Ok(());
        for base in bases_in(&self.folder)?.into_iter().filter(|base| base + 1 >= oldest) {
            let checked = match self.check_base(base, go_on) {
                Err(OpenError::BaseDamaged { path, .. }) if base >= oldest => {
                    tracing::warn!(path = %path.display(), "a base is damaged, and is made again");
                    remove_base(&self.folder, base)
                }
                outcome => outcome,
            };
            first_error = first_error.and(checked);
        }
        Ok(first_error?)
    }

    fn check_base(&self, revision: u64, go_on: &dyn Fn() -> bool) -> Result<(), OpenError> {
        let mut base = BaseReader::open(&self.folder, self.store, revision)?;
        while go_on() && base.next()?.is_some() {}
        Ok(())
    }

    /// Makes the bases at the ends of complete segments that come after the newest base, with the indexes of those.
    fn make_bases(&self, go_on: &dyn Fn() -> bool) -> Result<(), CheckpointError> {
        loop {
            let segments = self.journal.events.segments();
            let bases = bases_in(&self.folder)?;
            // The one before the first segment cannot be made again. If the newest one is damaged, the second newest
            // helps: it lacks one segment.
            let older = bases[..bases.len().saturating_sub(NEWEST)].iter().filter(|base| **base + 1 != segments[0]);
            older.copied().try_for_each(|base| remove_base(&self.folder, base))?;
            let newest = bases.iter().rev().find(|base| segments.contains(&(**base + 1)));
            let first = newest.map_or(segments[0], |base| base + 1);
            let Some(next) = segments.iter().copied().find(|segment| *segment > first) else { return Ok(()) };
            if !go_on() || !self.make_base(first, next, self.sizes.reserve_bytes, go_on)? {
                return Ok(());
            }
            self.journal.events.make_index(first)?;
        }
    }

    /// Makes the base at the end of a segment, before the segment `next`. Returns `false` when it was stopped.
    ///
    /// `reserve_bytes`: so many bytes stay free on the disk.
    fn make_base(
        &self,
        first: u64,
        next: u64,
        reserve_bytes: u64,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, CheckpointError> {
        let earlier = if first == 1 { 0 } else { files::length(&base_path(&self.folder, first - 1))? };
        let largest = earlier + files::length(&segment_path(&self.folder, first))?;
        if files::free_bytes(&self.folder)? < reserve_bytes.saturating_add(largest) {
            return Err(CheckpointError::NoSpace { bytes: largest });
        }
        if !self.erase(next, reserve_bytes, go_on)? {
            return Ok(false);
        }
        match make_base(&self.folder, self.store, first, go_on)? {
            None => Ok(false),
            Some(revision) if revision + 1 == next => {
                self.journal.events.erasures().done(revision);
                Ok(true)
            }
            Some(revision) => {
                remove_base(&self.folder, revision)?;
                Err(CheckpointError::Gap { after: revision, next })
            }
        }
    }

    /// Drops the oldest segment if it is not to be kept, and its records go into a base. Returns whether to look again.
    fn drop_oldest(&self, now: Option<Timestamp>, go_on: &dyn Fn() -> bool) -> Result<bool, CheckpointError> {
        let segments = self.journal.events.segments();
        // One complete segment stays, so that there are always two bases.
        let &[first, next, _, ..] = &segments[..] else { return Ok(false) };
        let bytes = files::length(&segment_path(&self.folder, first))?;
        if !self.is_too_old(&segments, bytes, now)? {
            return Ok(false);
        }
        // It gives more space back than it takes, so it may use the reserve.
        if !bases_in(&self.folder)?.contains(&(next - 1)) && !self.make_base(first, next, 0, go_on)? {
            return Ok(false);
        }
        // From here on it cannot be made again.
        self.check_base(next - 1, go_on)?;
        files::sync_folder(&self.folder)?;
        if !go_on() {
            return Ok(false);
        }
        identity::write(&self.data, Identity { store: self.store, oldest: next })?;
        self.journal.forget(next, bytes);
        self.remove_dropped(next)?;
        tracing::info!(from = first, to = next - 1, "old events were dropped from the journal");
        Ok(true)
    }

    /// Removes the segments before the oldest event, and the bases that only those need.
    fn remove_dropped(&self, oldest: u64) -> Result<(), CheckpointError> {
        for first in segments_in(&self.folder)?.into_iter().filter(|first| *first < oldest) {
            self.journal.events.forget_index(first)?;
            files::remove_file(&segment_path(&self.folder, first))?;
        }
        for base in bases_in(&self.folder)?.into_iter().filter(|base| base + 1 < oldest) {
            remove_base(&self.folder, base)?;
        }
        Ok(())
    }

    /// Whether the first segment, of so many bytes, is not to be kept.
    fn is_too_old(&self, segments: &[u64], bytes: u64, now: Option<Timestamp>) -> Result<bool, CheckpointError> {
        match (self.sizes.keep, now) {
            (Keep::Forever, _) | (Keep::For(_), None) => Ok(false),
            (Keep::Bytes(least), _) => Ok(self.journal.bytes().saturating_sub(bytes) >= least),
            (Keep::For(least), Some(now)) => {
                // It is older than the first event of the next segment.
                let newer = self.journal.events.events(segments[1], 1, u64::MAX)?.pop();
                let age = newer.map(|newer| now.unix_nanos().saturating_sub(newer.time.unix_nanos()));
                Ok(age.and_then(|age| u128::try_from(age).ok()) > Some(least.as_nanos()))
            }
        }
    }
}

#[cfg(test)]
impl super::JournalStore {
    /// Whether erasures are yet to be carried out.
    pub(crate) fn owes_erasures(&self) -> bool {
        !self.journal.events.erasures().all().is_empty()
    }

    /// Does what the thread for checkpoints does.
    pub(crate) fn checkpoint(&self, now: Timestamp) -> Result<(), String> {
        let checkpoints = self.checkpoints();
        let checked = checkpoints.remove_damaged(&|| true);
        checked.and_then(|()| checkpoints.run(Some(now), &|| true)).map_err(|error| error.to_string())
    }
}
