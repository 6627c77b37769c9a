//! Copying a journal while a server may append to it. Segments only grow, and the part that the mark calls durable
//! never changes again, so the copying needs no lock.

use std::path::Path;

use uuid::Uuid;

use super::frame::{self, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::{segment_path, segments_in};
use crate::error::OpenError;
use crate::files::{self, FileError, SharedLock};
use crate::journal::recovery::check_journal;

/// The most attempts to read a mark while the server is writing it.
const MARK_ATTEMPTS: usize = 1_000;

/// The durable part of a journal at one moment.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Segments, ascending, with the durable bytes of each.
    parts: Vec<(u64, u64)>,
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
                // A last segment without frames has no events, and may be half-made.
                last if last == end.segment && (end.offset > SEGMENT_HEADER as u64 || last == 1) => {
                    parts.push((last, end.offset));
                }
                _ => {}
            }
        }
        Ok(Self { parts, store })
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
