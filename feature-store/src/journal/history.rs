//! The journal of a data folder, open for reading only while no process writes to it. No file is changed: even a torn
//! end stays.

use std::path::{Path, PathBuf};

use feature_core::{Erasure, Event};
use uuid::Uuid;

use super::base::{BaseReader, base_path};
use super::frame::{self, Frame, SEGMENT_HEADER, kind_of};
use super::mark::Position;
use super::scan::Tail;
use super::{corrupt, not_understood, read_segment, segment_path};
use crate::error::OpenError;
use crate::event_log::erasures::{EmptiedRecords, blank};
use crate::files::{self, SharedLock, share_lock};
use crate::format::encoding::{decode_event, encode_event};
use crate::format::identity;
use crate::journal::recovery::{DamagedBase, Depth, check_journal};

/// All events of a store that are kept, checked. Other processes may read the folder at the same time, but none can
/// write to it.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    journal: PathBuf,
    store: Uuid,
    segments: Vec<u64>,
    bases: Vec<u64>,
    damaged_base: Option<DamagedBase>,
    /// Those that may not be carried out in the files. What is read is blanked.
    pending: Vec<Erasure>,
    /// All of them.
    erasures: Vec<Erasure>,
    end: Position,
    revision: u64,
    bytes: u64,
    sealed: bool,
    torn: Option<Torn>,
    _lock: SharedLock,
}

/// The torn end of a journal, which a crash leaves: bad frames, or the beginning of a batch. It was never acknowledged,
/// and the next start of a server cuts it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub segment: PathBuf,
    /// Where in it the torn bytes begin.
    pub offset: u64,
    /// Their number.
    pub bytes: u64,
}

/// The position of an event in the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location<'a> {
    journal: &'a Path,
    first: u64,
    offset: usize,
}

impl Location<'_> {
    /// The error that the event here is wrong.
    pub(crate) fn corrupt(self, reason: &str) -> OpenError {
        corrupt(self.journal, self.first, self.offset, reason)
    }
}

impl History {
    /// Opens the journal in a data folder or a backup, and checks every frame of it and of its bases.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let lock = share_lock(&folder.join("lock"))?;
        if matches!(lock, SharedLock::InUse) {
            return Err(OpenError::Locked { folder: folder.to_owned() });
        }
        let identity = identity::read(folder)?.ok_or_else(|| OpenError::NoStore { folder: folder.to_owned() })?;
        let journal = folder.join("journal");
        let checked = check_journal(&journal, identity, Depth::Whole)?;
        let pending = checked.pending_erasures();
        let torn = (checked.scan.tail == Tail::Torn).then(|| Torn {
            segment: segment_path(&journal, checked.last),
            offset: checked.scan.end as u64,
            bytes: (checked.bytes.len() - checked.scan.end) as u64,
        });
        Ok(Self {
            folder: folder.to_owned(),
            store: identity.store,
            end: Position { segment: checked.last, offset: checked.scan.end as u64 },
            revision: checked.scan.revision,
            bytes: checked.total_bytes,
            sealed: checked.scan.sealed,
            segments: checked.segments,
            bases: checked.bases,
            damaged_base: checked.damaged_base,
            pending,
            erasures: checked.erasures,
            journal,
            torn,
            _lock: lock,
        })
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The store's id, which it keeps for life.
    pub fn store(&self) -> Uuid {
        self.store
    }

    /// The revision of the last event.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision of the first event that is kept.
    pub fn oldest(&self) -> u64 {
        self.segments[0]
    }

    /// The number of events that are kept.
    pub fn events(&self) -> u64 {
        self.revision + 1 - self.oldest()
    }

    /// The revisions of its bases, ascending. The first one is that of the revision before [`History::oldest`], unless
    /// that is 1.
    pub(crate) fn bases(&self) -> &[u64] {
        &self.bases
    }

    /// The records of a base.
    ///
    /// # Errors
    /// [`OpenError`] when the base cannot be read.
    pub(crate) fn base(&self, revision: u64) -> Result<BaseReader, OpenError> {
        Ok(BaseReader::open(&self.journal, self.store, revision)?.without(&self.pending))
    }

    /// The size of the first base, in bytes; 0 if the history is whole.
    ///
    /// # Errors
    /// [`OpenError`] when the base cannot be read.
    pub(crate) fn base_bytes(&self) -> Result<u64, OpenError> {
        if self.oldest() == 1 { Ok(0) } else { Ok(files::length(&base_path(&self.journal, self.oldest() - 1))?) }
    }

    /// The records of this revision that erasures have emptied, though a projection need not show it yet.
    pub(crate) fn emptied_at(&self, revision: u64) -> EmptiedRecords {
        EmptiedRecords::of(&self.erasures, revision)
    }

    /// The error of a base that is damaged, and that the history does not need.
    pub(crate) fn damaged_base(&self) -> Option<OpenError> {
        self.damaged_base.clone().map(|(path, offset)| OpenError::BaseDamaged { path, offset })
    }

    /// The number of files of the journal.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The bytes of the journal without its torn end.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the server has ended cleanly.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The torn end, if there is one.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Hands over all events that are kept, in order. One segment at a time is in memory.
    ///
    /// # Errors
    /// [`OpenError`] when an event cannot be read or has more than this binary understands, and the errors of `take`.
    pub(crate) fn for_each<E: From<OpenError>>(
        &self,
        mut take: impl FnMut(&Event, Location<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let seed = frame::seed(self.store);
        for &first in &self.segments {
            // A segment without frames may have a half-made header, so it is not read.
            let end = if first == self.end.segment { Some(self.end.offset as usize) } else { None };
            if end == Some(SEGMENT_HEADER) {
                continue;
            }
            let bytes = read_segment(&self.journal, first)?;
            let mut offset = SEGMENT_HEADER;
            while offset < end.unwrap_or(bytes.len()) {
                let Some(frame) = Frame::read(&bytes, offset, seed) else {
                    return Err(corrupt(&self.journal, first, offset, "the bytes here have just changed").into());
                };
                if frame.is_event() {
                    // A field of a newer binary would be lost without a word.
                    let event = decode_event(frame.revision, frame.payload).ok();
                    let is_known = |event: &Event| encode_event(event) == frame.payload && kind_of(event) == frame.kind;
                    let event = event.filter(is_known);
                    let mut event = event.ok_or_else(|| not_understood(&self.journal, first, offset))?;
                    blank(&self.pending, &mut event);
                    take(&event, Location { journal: &self.journal, first, offset })?;
                }
                offset += frame.size();
            }
        }
        Ok(())
    }
}

/// The bytes of a segment as a newer binary might write them: its first event has a field that this one does not know.
#[cfg(test)]
pub(crate) fn with_unknown_field(segment: &[u8], store: Uuid) -> Vec<u8> {
    let seed = frame::seed(store);
    let mut changed = segment[..SEGMENT_HEADER].to_vec();
    let first = Frame::read(segment, SEGMENT_HEADER, seed).expect("there is an event");
    // The tag 2047, which no field will soon have.
    let payload = [first.payload, &[0xf8, 0x7f, 0x01]].concat();
    Frame { payload: &payload, ..first }.write(seed, &mut changed);
    changed
}
