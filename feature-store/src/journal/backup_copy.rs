//! Copying a journal while a server may append to it. Segments only grow, and the part that the mark calls durable
//! never changes again, so the copying needs no lock. When the server drops a segment or a base meanwhile, it begins
//! again.

use std::path::Path;

use uuid::Uuid;

use super::base::{BaseReader, base_path, bases_in};
use super::frame::{self, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::segment::{segment_path, segments_in};
use crate::error::OpenError;
use crate::files::{self, FileError, SharedLock};
use crate::journal::recovery::{Depth, check_journal};

/// The most attempts to read a mark while the server is writing it.
const MARK_ATTEMPTS: usize = 1_000;

/// The most attempts to copy a journal from which a server drops files meanwhile.
const COPY_ATTEMPTS: usize = 100;

/// The durable part of a journal at one moment.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Segments, ascending, with the durable bytes of each.
    parts: Vec<(u64, u64)>,
    /// The bases that are followed by one of them, ascending.
    bases: Vec<u64>,
    end: Position,
    store: Uuid,
}

impl Extent {
    /// Finds the durable part of the journal of `store` in the data folder. Every write that was acknowledged before
    /// this call is in it.
    ///
    /// # Errors
    /// [`OpenError`] when the journal or its mark cannot be read.
    pub(crate) fn of(data: &Path, store: Uuid) -> Result<Self, OpenError> {
        let journal = data.join("journal");
        let end = match files::share_lock(&data.join("lock"))? {
            // After a power cut the mark may be an old one, which proves too little, but the frames prove everything.
            // The lock is held for this look only: a server may start during the copying.
            SharedLock::Held { .. } | SharedLock::Absent => {
                let checked = check_journal(&journal, store, Depth::AfterBase)?;
                Position { segment: checked.last, offset: checked.scan.end as u64 }
            }
            // A server writes its mark after the sync and before it answers.
            SharedLock::InUse => (0..MARK_ATTEMPTS)
                .find_map(|_| Mark::read(&journal, frame::seed(store)).transpose())
                .ok_or_else(|| OpenError::Locked { folder: data.to_owned() })??,
        };
        Ok(Self::up_to(&journal, store, end)?)
    }

    fn up_to(journal: &Path, store: Uuid, end: Position) -> Result<Self, FileError> {
        let mut bases = bases_in(journal)?;
        let mut parts = Vec::new();
        for segment in segments_in(journal)? {
            match segment {
                finished if finished < end.segment => {
                    parts.push((finished, files::length(&segment_path(journal, finished))?));
                }
                // A last segment without frames has no events, and may be half-made.
                last if last == end.segment
                    && (end.offset > SEGMENT_HEADER as u64 || last == 1 || bases.contains(&(last - 1))) =>
                {
                    parts.push((last, end.offset));
                }
                _ => {}
            }
        }
        bases.retain(|base| parts.iter().any(|(first, _)| *first == base + 1));
        Ok(Self { parts, bases, end, store })
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Copies it to a folder that does not exist yet, durably, with a mark of its own, and checks every frame of the
    /// copy. `progress` gets the number of bytes copied. Returns the last revision.
    ///
    /// # Errors
    /// [`OpenError`] when the copy cannot be written or is not what was once durable.
    pub(crate) fn copy(&self, from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, OpenError> {
        let mut newer = None;
        for _ in 0..COPY_ATTEMPTS {
            let extent = newer.as_ref().unwrap_or(self);
            match extent.copy_once(from, to, progress) {
                Err(error) => {
                    let now = Self::up_to(from, self.store, self.end)?;
                    if (&now.parts, &now.bases) == (&extent.parts, &extent.bases) {
                        return Err(error);
                    }
                    newer = Some(now);
                }
                outcome => return outcome,
            }
        }
        Err(OpenError::Locked { folder: from.to_owned() })
    }

    fn copy_once(&self, from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, OpenError> {
        files::remove_folder(to)?;
        files::create_folder(to)?;
        let mut copied = 0;
        let oldest = self.parts.first().map_or(1, |(first, _)| *first);
        for &base in &self.bases {
            files::copy_start(&base_path(from, base), &base_path(to, base), files::length(&base_path(from, base))?)?;
            let copy = BaseReader::open(to, self.store, base).and_then(BaseReader::check);
            match copy {
                // The events have all that it has.
                Err(OpenError::BaseDamaged { path, .. }) if base + 1 != oldest => {
                    tracing::warn!(path = %path.display(), "a base is damaged, and the backup goes without it");
                    files::remove_file(&path)?;
                }
                outcome => drop(outcome?),
            }
        }
        for &(segment, bytes) in &self.parts {
            files::copy_start(&segment_path(from, segment), &segment_path(to, segment), bytes)?;
            copied += bytes;
            progress(copied);
        }
        self.write_mark(to)?;
        files::sync_folder(to)?;
        let found = check_journal(to, self.store, Depth::Whole)?;
        // The check against the mark refuses a copy that is too short, or ends in torn bytes.
        Ok(found.scan.revision)
    }

    fn write_mark(&self, to: &Path) -> Result<(), FileError> {
        let Some(&(segment, offset)) = self.parts.last() else { return Ok(()) };
        let mark = Mark::open(to, frame::seed(self.store))?;
        mark.write(Position { segment, offset })?;
        mark.sync()
    }
}
