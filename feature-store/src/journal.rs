//! The journal: all events in append-only segment files, which are the truth of the store.
//!
//! `journal/<revision of the first event, 20 digits>.log` are the segments, `journal/durable` is the mark. A segment
//! exists only when everything in the earlier ones is durable. A [`base`] has the records at the end of a segment. The
//! oldest segments may be gone: then there is a base of the revision before the first one.

mod backup_copy;
mod base;
mod checkpoint;
mod erase;
mod events;
mod frame;
mod frames;
mod history;
mod mark;
mod recovery;
mod replay;
mod rolling;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use feature_core::{Erasure, Event, Timestamp};
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{self, DataFile, FileError};
use crate::format::encoding::encode_event;
use crate::format::identity::Identity;
use crate::store::limits::Sizes;
use frame::{Frame, KIND_SEAL, SEGMENT_HEADER, kind_of};
use mark::{Mark, Position};
use recovery::{CheckedJournal, Depth, check_journal};
use scan::{Scan, Tail};
use segment::{read_segment, start_of, start_segment};

pub(crate) use backup_copy::Extent;
pub(crate) use base::{BaseEnd, BaseReader, BaseWriter, base_path, bases_in};
pub(crate) use checkpoint::{make_base, remove_base};
pub(crate) use erase::{erase_in_base, erase_in_segment};
pub(crate) use events::JournalEvents;
pub(crate) use history::Location;
#[cfg(test)]
pub(crate) use history::with_unknown_field;
pub use history::{History, Torn};
#[cfg(test)]
pub(crate) use recovery::check_whole;
pub(crate) use segment::{remove_half_made, segment_path, segments_in};

/// The journal makes space for later frames in steps of so many bytes, by writing zeros: a sync into existing bytes
/// need not write the length of the file. With larger steps, the sync at the end of a step takes longer.
const SPACE_BYTES: u64 = 256 << 10;

/// The frames of a usual group take at most so many bytes: those of 64 events that set a feature or two.
const USUAL_GROUP_BYTES: usize = 16 << 10;

/// The journal of one store, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    store: Uuid,
    seed: u32,
    /// A segment of this many bytes takes no further group.
    segment_bytes: u64,
    /// Nor does one whose first event is so many nanoseconds old.
    segment_age_nanos: Option<i64>,
    /// The time of the first event of the last segment.
    segment_since: Option<Timestamp>,
    /// The revisions that name the segments, ascending. There is always one.
    segments: Vec<u64>,
    /// The revisions of the bases that were there at the start and seemed intact, ascending.
    bases: Vec<u64>,
    /// The one of them that new projections begin with, or 0, once it was chosen.
    whole_base: OnceLock<u64>,
    /// The last segment.
    file: DataFile,
    /// Where the next frame goes. Everything before is durable.
    end: Position,
    /// The length of the last segment. From the end on it has zeros, the space for later frames.
    length: u64,
    revision: u64,
    /// The bytes of the segments before the last one.
    earlier_bytes: u64,
    /// The time of the last event.
    newest_event: Option<Timestamp>,
    /// Erasures that no base has, as of the start.
    erasures: Vec<Erasure>,
    /// Whether the batch of the last event goes on: an import appends a batch in parts. A batch is in one segment.
    continues: bool,
    sealed: bool,
    mark: Mark,
}

impl Journal {
    /// Creates an empty journal, durably.
    ///
    /// If its oldest event is not the first one, the base before it is in the folder already.
    pub(crate) fn create(folder: &Path, identity: Identity) -> Result<(), FileError> {
        files::create_folder(folder)?;
        start_segment(folder, identity.store, identity.oldest)?;
        Ok(())
    }

    /// Whether the folder holds more than a crash within [`Journal::create`] leaves behind.
    pub(crate) fn holds_frames(folder: &Path) -> Result<bool, FileError> {
        let segments = segments_in(folder)?;
        let first = files::read(&segment_path(folder, 1))?;
        Ok(segments.iter().any(|&first| first != 1) || first.is_some_and(|bytes| bytes.len() > SEGMENT_HEADER))
    }

    /// Opens the journal: checks every frame after the newest base, cuts off a torn end, and makes the rest durable.
    ///
    /// # Errors
    /// [`OpenError`] when the journal is not what was once durable. Then no file was changed.
    pub(crate) fn open(folder: &Path, identity: Identity, sizes: Sizes) -> Result<Self, OpenError> {
        let store = identity.store;
        let seed = frame::seed(store);
        let checked = check_journal(folder, identity, Depth::AfterBase)?;
        let erasures = checked.pending_erasures();
        let CheckedJournal { segments, bases, last, bytes, scan, half_made, total_bytes, newest_event, .. } = checked;
        let end = Position { segment: last, offset: scan.end as u64 };
        if half_made {
            start_segment(folder, store, last)?;
        }
        let file = DataFile::open(&segment_path(folder, last))?;
        if scan.tail == Tail::Torn {
            let segment = segment_path(folder, last);
            let bytes = bytes.len() - scan.end;
            tracing::warn!(segment = %segment.display(), offset = scan.end, bytes, "cut off what a crash has torn");
        }
        if bytes.len() > scan.end {
            file.truncate(end.offset)?;
        }
        // After a failed sync the kernel may regard pages as clean that never reached the disk. So the bytes without a
        // proof are written once more, before any reader sees them.
        file.write_at(&bytes[scan.durable..scan.end], scan.durable as u64)?;
        file.sync_all()?;
        files::sync_folder(folder)?;
        let mark = Mark::open(folder, seed)?;
        mark.write(end)?;
        let segment_since = events::event_at(&bytes[..scan.end], SEGMENT_HEADER, seed).map(|event| event.time);
        let folder = folder.to_owned();
        let Scan { revision, sealed, .. } = scan;
        let (length, earlier_bytes) = (end.offset, total_bytes - end.offset);
        Ok(Self {
            folder,
            store,
            seed,
            segment_bytes: sizes.keep.segment_bytes(sizes.segment_bytes),
            segment_age_nanos: sizes.keep.segment_age().and_then(|age| i64::try_from(age.as_nanos()).ok()),
            segment_since,
            segments,
            bases,
            whole_base: OnceLock::new(),
            file,
            end,
            length,
            revision,
            earlier_bytes,
            newest_event,
            erasures,
            continues: false,
            sealed,
            mark,
        })
    }

    /// The revision of the last event; 0 when there is none.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The bytes of all segments, without the space for later frames.
    pub(crate) fn bytes(&self) -> u64 {
        self.earlier_bytes + self.end.offset
    }

    /// The time of the last event; `None` when there is none.
    pub(crate) fn newest_event(&self) -> Option<Timestamp> {
        self.newest_event
    }

    /// The revisions that name the segments, ascending.
    pub(crate) fn segments(&self) -> &[u64] {
        &self.segments
    }

    /// Erasures that may not have been carried out when the journal was opened.
    pub(crate) fn erasures(&self) -> &[Erasure] {
        &self.erasures
    }

    /// Takes in that segments before this one are not kept any more, of so many bytes.
    pub(crate) fn forget(&mut self, first_kept: u64, bytes: u64) {
        self.segments.retain(|first| *first >= first_kept);
        self.earlier_bytes = self.earlier_bytes.saturating_sub(bytes);
    }

    /// The store that it belongs to.
    pub(crate) fn store(&self) -> Uuid {
        self.store
    }

    /// Error: the journal ends before revision `known`.
    pub(crate) fn cut_short(&self, known: u64) -> OpenError {
        let Position { segment, offset } = self.end;
        let segment = segment_path(&self.folder, segment);
        OpenError::JournalCutShort { segment, offset, revision: self.revision, known }
    }

    /// Whether the last frame is a seal, which a clean end writes.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Adds a group of events with one write and one sync. They are durable afterwards.
    ///
    /// # Errors
    /// [`FileError`]; then the content of the disk is unknown, and there must be no further append.
    pub(crate) fn append<'e>(&mut self, events: impl IntoIterator<Item = &'e Event>) -> Result<(), FileError> {
        let mut events = events.into_iter().peekable();
        let now = events.peek().map(|event| event.time);
        if self.is_full(now) {
            self.complete_segment()?;
        }
        let mut buffer = Vec::with_capacity(USUAL_GROUP_BYTES);
        let (mut revision, mut newest_event, mut continues) = (self.revision, self.newest_event, self.continues);
        for event in events {
            (revision, newest_event, continues) = (event.revision, Some(event.time), event.continues);
            let payload = encode_event(event);
            self.frame(kind_of(event), event.revision, &payload).write(self.seed, &mut buffer);
        }
        let end = self.end.offset + buffer.len() as u64;
        if end > self.length {
            self.length = end.next_multiple_of(SPACE_BYTES);
            buffer.resize((self.length - self.end.offset) as usize, 0);
        }
        self.write(&buffer, end)?;
        (self.revision, self.newest_event, self.continues) = (revision, newest_event, continues);
        self.segment_since = self.segment_since.or(now);
        self.sealed = false;
        Ok(())
    }

    /// Writes the seal of a clean end, and frees the space behind it.
    ///
    /// # Errors
    /// [`FileError`], as for [`Journal::append`].
    pub(crate) fn seal(&mut self) -> Result<(), FileError> {
        if !self.sealed {
            let mut buffer = Vec::new();
            self.frame(KIND_SEAL, self.revision, &[]).write(self.seed, &mut buffer);
            self.write(&buffer, self.end.offset + buffer.len() as u64)?;
            self.give_back_space()?;
            self.sealed = true;
        }
        self.mark.sync()
    }

    fn frame<'a>(&self, kind: u32, revision: u64, payload: &'a [u8]) -> Frame<'a> {
        Frame { kind, revision, durable: self.end.offset, payload }
    }

    /// Writes frames, perhaps with space behind them, so that the journal ends at the offset `end`.
    fn write(&mut self, bytes: &[u8], end: u64) -> Result<(), FileError> {
        self.file.write_at(bytes, self.end.offset)?;
        self.file.sync_data()?;
        self.end.offset = end;
        self.mark.write(self.end)
    }
}

fn corrupt(folder: &Path, first: u64, offset: usize, reason: &str) -> OpenError {
    OpenError::Corrupt { segment: segment_path(folder, first), offset: offset as u64, reason: reason.to_owned() }
}

fn not_understood(folder: &Path, first: u64, offset: usize) -> OpenError {
    OpenError::NotUnderstood { segment: segment_path(folder, first), offset: offset as u64 }
}
