//! A base: the records of all scopes at a revision, in a file of its own. A start needs only the events after it.
//!
//! `journal/<revision, 20 digits>.base` has the records at the end of the segment that ends with this revision:
//!
//! | | |
//! |---|---|
//! | header | that of a segment with the magic `FSBS` and the base's revision |
//! | a frame for each record | the length of the scope's key, u32; the key; the stored record. In the order of keys |
//! | a frame at the end | the number of records, u64; the time of the last event, i64 |
//!
//! It is made under another name, so one in the making is never taken for one.

use std::path::{Path, PathBuf};

use feature_core::{Erasure, Timestamp};
use uuid::Uuid;

use super::frame::{self, Frame, KIND_BASE_END, KIND_RECORD, SEGMENT_HEADER, u32_at, u64_at};
use super::frames::Frames;
use super::segment::{numbered, numbered_name};
use crate::engine::BaseRecord;
use crate::error::OpenError;
use crate::event_log::erasures::EmptiedRecords;
use crate::files::{self, DataFile, FileError};

/// So many bytes of a base are written and synced at once: the sync of a large part would hold up the journal's.
const PART_BYTES: usize = 1024 * 1024;

/// The bytes of the last frame.
const END_BYTES: u64 = 32 + 16;

const SUFFIX: &str = ".base";

pub(crate) fn base_path(folder: &Path, revision: u64) -> PathBuf {
    folder.join(numbered_name(revision, SUFFIX))
}

/// The revisions of the bases in a folder, ascending. Whether they are intact was not checked.
pub(crate) fn bases_in(folder: &Path) -> Result<Vec<u64>, FileError> {
    numbered(folder, SUFFIX)
}

/// What the end of a base says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseEnd {
    pub(crate) records: u64,
    /// The time of the event of the base's revision.
    pub(crate) newest_event: Timestamp,
}

/// Reads the two ends of a base; `None` when one of them is damaged. Between them there may be damage all the same.
pub(super) fn ends_of(folder: &Path, store: Uuid, revision: u64) -> Result<Option<BaseEnd>, FileError> {
    let path = base_path(folder, revision);
    let header = files::read_range(&path, 0, SEGMENT_HEADER)?;
    let length = files::length(&path)?;
    if header != frame::base_header(store, revision) || length < SEGMENT_HEADER as u64 + END_BYTES {
        return Ok(None);
    }
    let mut frames = Frames::new(path, frame::seed(store), length - END_BYTES);
    Ok(frames.next()?.and_then(|(_, frame)| end_in(&frame, revision)))
}

fn end_in(frame: &Frame<'_>, revision: u64) -> Option<BaseEnd> {
    let (records, nanos) = (u64_at(frame.payload, 0)?, u64_at(frame.payload, 8)?);
    let newest_event = Timestamp::from_unix_nanos(nanos.cast_signed());
    (frame.kind == KIND_BASE_END && frame.revision == revision).then_some(BaseEnd { records, newest_event })
}

/// The records of a base, one after another.
#[derive(Debug)]
pub(crate) struct BaseReader {
    frames: Frames,
    revision: u64,
    records: u64,
    /// Set with the last frame.
    end: Option<BaseEnd>,
    /// Those that an erasure has emptied, though the file may not show it yet.
    emptied: EmptiedRecords,
}

impl BaseReader {
    /// Begins with the first record.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be read or its header is damaged.
    pub(crate) fn open(folder: &Path, store: Uuid, revision: u64) -> Result<Self, OpenError> {
        let path = base_path(folder, revision);
        let header = files::read_range(&path, 0, SEGMENT_HEADER)?;
        let frames = Frames::new(path, frame::seed(store), SEGMENT_HEADER as u64);
        let reader = Self { frames, revision, records: 0, end: None, emptied: EmptiedRecords::default() };
        if header == frame::base_header(store, revision) { Ok(reader) } else { Err(reader.damaged(0)) }
    }

    /// The same without what erasures take out.
    pub(crate) fn without(self, erasures: &[Erasure]) -> Self {
        Self { emptied: EmptiedRecords::of(erasures, self.revision), ..self }
    }

    /// Reads all of it, so that every frame is checked.
    ///
    /// # Errors
    /// [`OpenError`] when it is damaged or cannot be read.
    pub(crate) fn check(mut self) -> Result<BaseEnd, OpenError> {
        while self.next()?.is_some() {}
        Ok(self.end.expect("the last record comes before the end"))
    }

    /// The next record; `None` at the end, which was checked.
    ///
    /// # Errors
    /// [`OpenError`] when the base is damaged or cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<BaseRecord>, OpenError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let Some((offset, frame)) = self.frames.next()? else { return Err(self.damaged(self.frames.offset())) };
        if let Some(record) = record_in(&frame).filter(|record| record.revision == self.revision) {
            self.records += 1;
            let BaseRecord { key, revision, body } = record;
            let body = self.emptied.emptied(&key, body).map_err(|_| self.not_understood())?;
            return Ok(Some(BaseRecord { key, revision, body }));
        }
        if ![KIND_RECORD, KIND_BASE_END].contains(&frame.kind) {
            return Err(self.not_understood());
        }
        let end = end_in(&frame, self.revision).filter(|end| end.records == self.records);
        if end.is_none() || files::length(self.frames.path())? != self.frames.offset() {
            return Err(self.damaged(offset));
        }
        self.end = end;
        Ok(None)
    }

    /// The error that its records are other ones than the events before it give.
    pub(crate) fn differs(&self, reason: &str) -> OpenError {
        OpenError::BaseDiffers { path: self.frames.path().to_owned(), reason: reason.to_owned() }
    }

    /// The error that it holds what only a newer binary understands.
    pub(crate) fn not_understood(&self) -> OpenError {
        OpenError::NotUnderstood { segment: self.frames.path().to_owned(), offset: self.frames.offset() }
    }

    fn damaged(&self, offset: u64) -> OpenError {
        OpenError::BaseDamaged { path: self.frames.path().to_owned(), offset }
    }
}

fn record_in(frame: &Frame<'_>) -> Option<BaseRecord> {
    let length = u32_at(frame.payload, 0).filter(|_| frame.kind == KIND_RECORD)? as usize;
    let (key, body) = frame.payload[4..].split_at_checked(length)?;
    Some(BaseRecord { key: key.to_vec(), revision: frame.revision, body: body.to_vec() })
}

/// A base in the making.
#[derive(Debug)]
pub(crate) struct BaseWriter {
    file: DataFile,
    folder: PathBuf,
    seed: u32,
    revision: u64,
    /// What is not written yet, and its offset.
    buffer: Vec<u8>,
    offset: u64,
    records: u64,
}

impl BaseWriter {
    /// Begins a base of this revision, in place of one that was not finished.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub(crate) fn begin(folder: &Path, store: Uuid, revision: u64) -> Result<Self, FileError> {
        let file = DataFile::open(&in_the_making(folder))?;
        file.truncate(0)?;
        let buffer = frame::base_header(store, revision).to_vec();
        let (folder, seed) = (folder.to_owned(), frame::seed(store));
        Ok(Self { file, folder, seed, revision, buffer, offset: 0, records: 0 })
    }

    /// Adds a record. Records come in the order of their keys.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub(crate) fn put(&mut self, key: &[u8], body: &[u8]) -> Result<(), FileError> {
        let length = u32::try_from(key.len()).expect("ids have at most some hundred bytes");
        let payload = [&length.to_le_bytes(), key, body].concat();
        self.frame(KIND_RECORD, &payload);
        self.records += 1;
        if self.buffer.len() >= PART_BYTES { self.write() } else { Ok(()) }
    }

    /// Adds the end, and makes the base durable under its name.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub(crate) fn finish(mut self, newest_event: Timestamp) -> Result<(), FileError> {
        let payload = [self.records.to_le_bytes(), newest_event.unix_nanos().to_le_bytes()].concat();
        self.frame(KIND_BASE_END, &payload);
        self.write()?;
        self.file.sync_all()?;
        files::move_to(&in_the_making(&self.folder), &base_path(&self.folder, self.revision))
    }

    fn frame(&mut self, kind: u32, payload: &[u8]) {
        Frame { kind, revision: self.revision, durable: 0, payload }.write(self.seed, &mut self.buffer);
    }

    fn write(&mut self) -> Result<(), FileError> {
        self.file.write_at(&self.buffer, self.offset)?;
        self.file.sync_data()?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn in_the_making(folder: &Path) -> PathBuf {
    folder.join("base.new")
}
