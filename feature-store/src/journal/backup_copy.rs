//! Copying a journal while a server may append to it. Segments only grow, and what the mark calls durable does not
//! change any more, so no lock is needed for the copying itself.

use std::path::Path;

use uuid::Uuid;

use super::frame::{self, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::{segment_path, segments_in};
use crate::error::OpenError;
use crate::files::{self, FileError, SharedLock};
use crate::journal::recovery::check_journal;

/// How often a mark is read that is just being written.
const MARK_ATTEMPTS: usize = 1_000;

/// The part of a journal that is durable, as it was at one moment.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Segments, ascending, with how many bytes of each.
    parts: Vec<(u64, u64)>,
    store: Uuid,
}

impl Extent {
    /// Looks how far the journal of `store` in the data folder is durable. Every write that was acknowledged before is
    /// within.
    ///
    /// # Errors
    /// [`OpenError`] when that cannot be told.
    pub(crate) fn of(data: &Path, store: Uuid) -> Result<Self, OpenError> {
        let journal = data.join("journal");
        let end = match files::share_lock(&data.join("lock"))? {
            // After a power cut the mark may be an old one, which proves too little. The frames say all. The lock is
            // held for this look only: a server that starts during the copying must not be turned away.
            SharedLock::Held { .. } | SharedLock::Absent => {
                let checked = check_journal(&journal, store)?;
                Position { segment: checked.last, offset: checked.scan.end as u64 }
            }
            // A server writes its mark after the sync and before it answers.
            SharedLock::InUse => (0..MARK_ATTEMPTS)
                .find_map(|_| Mark::read(&journal, frame::seed(store)).transpose())
                .ok_or_else(|| OpenError::Locked { folder: data.to_owned() })??,
        };
        let mut parts = Vec::new();
        for segment in segments_in(&journal)? {
            match segment {
                finished if finished < end.segment => {
                    parts.push((finished, files::length(&segment_path(&journal, finished))?));
                }
                // Without a frame it says nothing, and may be half-made.
                last if last == end.segment && (end.offset > SEGMENT_HEADER as u64 || last == 1) => {
                    parts.push((last, end.offset));
                }
                _ => {}
            }
        }
        Ok(Self { parts, store })
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Copies it to a folder that does not exist yet, durably, with a mark of its own, and checks every frame of the
    /// copy. `progress` is told how many bytes are copied. Returns the last revision.
    ///
    /// # Errors
    /// [`OpenError`] when the copy cannot be written or is not what was once durable.
    pub(crate) fn copy(&self, from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, OpenError> {
        files::create_folder(to)?;
        let mut copied = 0;
        for &(segment, bytes) in &self.parts {
            files::copy_start(&segment_path(from, segment), &segment_path(to, segment), bytes)?;
            copied += bytes;
            progress(copied);
        }
        self.write_mark(to)?;
        files::sync_folder(to)?;
        let found = check_journal(to, self.store)?;
        // The mark refuses a copy that is too short. One that ends in torn bytes is too short as well.
        Ok(found.scan.revision)
    }

    fn write_mark(&self, to: &Path) -> Result<(), FileError> {
        let Some(&(segment, offset)) = self.parts.last() else { return Ok(()) };
        let mark = Mark::open(to, frame::seed(self.store))?;
        mark.write(Position { segment, offset })?;
        mark.sync()
    }
}
