//! Checkpoints: makes the base and the index of each complete segment, and drops what is not kept of the history.
//! Writers do not wait for it, and what fails is tried again later.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use feature_core::Timestamp;
use uuid::Uuid;

use super::SharedJournal;
use crate::background::Background;
use crate::error::{OpenError, StoreError};
use crate::files;
use crate::format::identity::{self, Identity};
use crate::journal::{BaseReader, base_path, bases_in, make_base, remove_base, segment_path, segments_in};
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
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("the disk has no space for a file of {bytes} bytes beside the reserve for writes")]
    NoSpace { bytes: u64 },
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
        Self { data: data.to_owned(), folder: data.join("journal"), store, journal, sizes }
    }

    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<Background> {
        let run = move |stop: &AtomicBool| {
            let mut problem = None;
            if let Err(error) = self.remove_damaged() {
                tracing::error!(%error, "the bases of the journal cannot be checked");
            }
            while !stop.load(Ordering::Relaxed) {
                let outcome = self.run(SystemTime::now().into(), &|| !stop.load(Ordering::Relaxed));
                let error = outcome.err().map(|error| error.to_string());
                if error.is_some() && problem != error {
                    tracing::error!(error, "the journal has no new checkpoint, and starts take longer");
                }
                problem = error;
                thread::park_timeout(PAUSE);
            }
        };
        Background::start("checkpoints", run)
    }

    /// Does all that there is to do.
    ///
    /// * `now`: the age of events counts up to it.
    /// * `go_on`: asked now and then; `false` ends it.
    ///
    /// # Errors
    /// [`CheckpointError`]. The store is whole all the same.
    pub(super) fn run(&self, now: Timestamp, go_on: &dyn Fn() -> bool) -> Result<(), CheckpointError> {
        if self.journal.failed.get().is_some() {
            // The disk is not to be trusted: nothing is changed any more.
            return Ok(());
        }
        while self.bring_forward(go_on)? {}
        while go_on() && self.drop_oldest(now, go_on)? {}
        Ok(())
    }

    /// Checks every frame of each base, which no start does. One that is damaged is removed: it can be made again.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub(super) fn remove_damaged(&self) -> Result<(), CheckpointError> {
        let oldest = self.journal.events.oldest();
        for base in bases_in(&self.folder)? {
            match BaseReader::open(&self.folder, self.store, base).and_then(BaseReader::check) {
                Err(OpenError::BaseDamaged { path, .. }) if base >= oldest => {
                    tracing::warn!(path = %path.display(), "a base is damaged, and is made again");
                    remove_base(&self.folder, base)?;
                }
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// Makes the base at the end of the first complete segment that has none. Returns whether to look again.
    fn bring_forward(&self, go_on: &dyn Fn() -> bool) -> Result<bool, CheckpointError> {
        let segments = self.journal.events.segments();
        let bases = bases_in(&self.folder)?;
        let newest = bases.iter().rev().find(|base| segments.contains(&(**base + 1)));
        let first = newest.map_or(segments[0], |base| base + 1);
        if segments.last() == Some(&first) {
            self.remove_dropped(segments[0])?;
            // The one before the first segment cannot be made again. If the newest one is damaged, the second newest
            // helps: it lacks one segment.
            let older = bases[..bases.len().saturating_sub(NEWEST)].iter().filter(|base| **base + 1 != segments[0]);
            older.copied().try_for_each(|base| remove_base(&self.folder, base))?;
            return Ok(false);
        }
        let made = self.make_base(first, go_on)?;
        if made {
            self.journal.events.make_index(first)?;
        }
        Ok(made)
    }

    /// Makes the base at the end of a segment. Returns `false` when it was stopped.
    fn make_base(&self, first: u64, go_on: &dyn Fn() -> bool) -> Result<bool, CheckpointError> {
        let earlier = if first == 1 { 0 } else { files::length(&base_path(&self.folder, first - 1))? };
        let largest = earlier + files::length(&segment_path(&self.folder, first))?;
        if files::free_bytes(&self.folder)? < self.sizes.reserve_bytes.saturating_add(largest) {
            return Err(CheckpointError::NoSpace { bytes: largest });
        }
        Ok(make_base(&self.folder, self.store, first, go_on)?.is_some())
    }

    /// Drops the oldest segment if it is not to be kept, and its records go into a base. Returns whether to look again.
    fn drop_oldest(&self, now: Timestamp, go_on: &dyn Fn() -> bool) -> Result<bool, CheckpointError> {
        let segments = self.journal.events.segments();
        // One complete segment stays, so that there are always two bases.
        let &[first, next, _, ..] = &segments[..] else { return Ok(false) };
        if !self.is_too_old(&segments, now)? {
            return Ok(false);
        }
        if !bases_in(&self.folder)?.contains(&(next - 1)) && !self.make_base(first, go_on)? {
            return Ok(false);
        }
        let bytes = files::length(&segment_path(&self.folder, first))?;
        identity::write(&self.data, Identity { store: self.store, oldest: next })?;
        self.journal.forget(next, bytes);
        self.remove_dropped(next)?;
        self.journal.events.forget_index(first)?;
        tracing::info!(from = first, to = next - 1, "old events were dropped from the journal");
        Ok(true)
    }

    /// Removes the segments before the oldest event, and the bases that only those need.
    fn remove_dropped(&self, oldest: u64) -> Result<(), CheckpointError> {
        for first in segments_in(&self.folder)?.into_iter().filter(|first| *first < oldest) {
            files::remove_file(&segment_path(&self.folder, first))?;
        }
        for base in bases_in(&self.folder)?.into_iter().filter(|base| base + 1 < oldest) {
            remove_base(&self.folder, base)?;
        }
        Ok(())
    }

    fn is_too_old(&self, segments: &[u64], now: Timestamp) -> Result<bool, CheckpointError> {
        match self.sizes.keep {
            Keep::Forever => Ok(false),
            Keep::Bytes(most) => Ok(self.journal.bytes() > most),
            Keep::For(most) => {
                // It is older than the first event of the next segment.
                let newer = self.journal.events.events(segments[1], 1, u64::MAX)?.pop();
                let age = newer.map(|newer| now.unix_nanos().saturating_sub(newer.time.unix_nanos()));
                Ok(age.and_then(|age| u128::try_from(age).ok()) > Some(most.as_nanos()))
            }
        }
    }
}
