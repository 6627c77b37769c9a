//! Reads single events of a journal while it grows. A part of the history is a segment.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use feature_core::Event;
use uuid::Uuid;

use super::frame::{self, Frame, SEGMENT_HEADER};
use super::segment::segment_path;
use crate::error::StoreError;
use crate::event_log::parts::{Part, PartSource, Parts};
use crate::event_log::term::Term;
use crate::event_log::{Found, Order, READ_BYTES};
use crate::files;
use crate::format::encoding::decode_event;

/// So many bytes of a segment are read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// An event that is so few events behind another one is read by reading on.
const NEAR_EVENTS: u64 = 64;

/// The end of a complete segment that tells it from another one of the same length, in bytes.
const PRINT_BYTES: u64 = 4 * 1024;

/// The events of a journal, and their index.
#[derive(Debug)]
pub(crate) struct JournalEvents {
    source: SegmentSource,
    parts: Parts,
}

#[derive(Debug)]
struct SegmentSource {
    journal: PathBuf,
    /// Where the indexes of complete segments are.
    indexes: PathBuf,
    seed: u32,
    /// The revisions that name the segments, ascending. There is always one.
    segments: RwLock<Vec<u64>>,
}

impl JournalEvents {
    /// * `journal`: the folder of the segments.
    /// * `indexes`: a folder for their indexes, which need not exist.
    pub(crate) fn new(journal: PathBuf, indexes: PathBuf, store: Uuid, segments: Vec<u64>) -> Self {
        let seed = frame::seed(store);
        let source = SegmentSource { journal, indexes, seed, segments: RwLock::new(segments) };
        Self { source, parts: Parts::new(seed) }
    }

    /// Takes in that the journal has a new segment. No event of it may be visible yet.
    pub(crate) fn set_segments(&self, segments: &[u64]) {
        let known = self.source.segments.read().unwrap_or_else(PoisonError::into_inner).len();
        if known != segments.len() {
            *self.source.segments.write().unwrap_or_else(PoisonError::into_inner) = segments.to_vec();
        }
    }

    /// The revision of the oldest event.
    pub(crate) fn oldest(&self) -> u64 {
        self.source.segments.read().unwrap_or_else(PoisonError::into_inner)[0]
    }

    /// See [`crate::EventLog::events`]. `newest`: the revision of the newest event that is visible.
    pub(crate) fn events(&self, from: u64, limit: usize, newest: u64) -> Result<Vec<Event>, StoreError> {
        let oldest = self.oldest();
        if from < oldest {
            return Err(StoreError::Compacted { oldest, newest });
        }
        self.source.read(&self.parts, from..=newest.min((from - 1).saturating_add(limit as u64)))
    }

    /// See [`crate::EventLog::events_at`].
    pub(crate) fn events_at(&self, revisions: &[u64], newest: u64) -> Result<Vec<Event>, StoreError> {
        let range = self.oldest()..=newest;
        self.source.read(&self.parts, revisions.iter().copied().filter(|revision| range.contains(revision)))
    }

    /// See [`crate::EventLog::find`].
    pub(crate) fn find(&self, terms: &[Term], from: u64, order: Order, newest: u64) -> Result<Found, StoreError> {
        self.parts.find(&self.source, terms, from, order, (self.oldest(), newest))
    }
}

impl SegmentSource {
    /// The events with these revisions, which ascend; fewer when they are large, but at least one.
    fn read(&self, parts: &Parts, revisions: impl Iterator<Item = u64>) -> Result<Vec<Event>, StoreError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let mut reader: Option<FrameReader> = None;
        for revision in revisions {
            let is_near = |reader: &FrameReader| {
                (reader.next..=reader.next + NEAR_EVENTS).contains(&revision)
                    && reader.first == self.part(revision).first
            };
            let reader = match reader.take().filter(is_near) {
                Some(near) => reader.insert(near),
                None => {
                    let first = self.part(revision).first;
                    let near = parts.near(self, revision, 0)?.ok_or(StoreError::DamagedEvent { revision })?;
                    reader.insert(FrameReader::new(self, first, near))
                }
            };
            let (_, frame) = reader.frame_of(revision)?;
            bytes += frame.payload.len();
            events.push(decode(frame)?);
            if bytes >= READ_BYTES {
                break;
            }
        }
        Ok(events)
    }

    fn index_path(&self, part: Part) -> PathBuf {
        self.indexes.join(format!("{:020}.index", part.first))
    }
}

impl PartSource for SegmentSource {
    fn part(&self, revision: u64) -> Part {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let place = segments.partition_point(|first| *first <= revision).saturating_sub(1);
        Part { first: segments[place], last: segments.get(place + 1).map(|next| next - 1) }
    }

    fn print(&self, part: Part) -> Result<u64, StoreError> {
        let path = segment_path(&self.journal, part.first);
        let length = files::length(&path)?;
        let end = files::read_range(&path, length.saturating_sub(PRINT_BYTES), PRINT_BYTES as usize)?;
        Ok((length << 32) | u64::from(crc32c::crc32c(&end)))
    }

    fn stored_index(&self, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(files::read(&self.index_path(part))?)
    }

    fn store_index(&self, part: Part, index: &[u8]) -> Result<(), StoreError> {
        files::create_folder(&self.indexes)?;
        Ok(files::replace(&self.index_path(part), index)?)
    }

    fn replay(
        &self,
        part: Part,
        (from, to): (u64, u64),
        near: Option<(u64, u64)>,
        take: &mut dyn FnMut(Event, Option<u64>),
    ) -> Result<(), StoreError> {
        let near = near.unwrap_or((part.first, SEGMENT_HEADER as u64));
        let mut reader = FrameReader::new(self, part.first, near);
        for revision in from..=to {
            let (offset, frame) = reader.frame_of(revision)?;
            take(decode(frame)?, Some(offset));
        }
        Ok(())
    }
}

/// Reads the frames of a segment one after another.
struct FrameReader {
    path: PathBuf,
    seed: u32,
    first: u64,
    /// The revision of the next event.
    next: u64,
    /// A piece of the segment, and its offset.
    window: Vec<u8>,
    start: u64,
    /// Where in the window the next frame begins.
    at: usize,
}

impl FrameReader {
    /// `near`: the first event to read, and its offset.
    fn new(source: &SegmentSource, first: u64, near: (u64, u64)) -> Self {
        let path = segment_path(&source.journal, first);
        Self { path, seed: source.seed, first, next: near.0, window: Vec::new(), start: near.1, at: 0 }
    }

    /// The frame of an event from the next one on, and its offset. The frame has been written.
    fn frame_of(&mut self, revision: u64) -> Result<(u64, Frame<'_>), StoreError> {
        loop {
            self.fill()?;
            let damaged = StoreError::DamagedEvent { revision };
            let frame = Frame::read(&self.window, self.at, self.seed).ok_or(damaged.clone())?;
            let (at, size) = (self.at, frame.size());
            let (is_event, found) = (frame.is_event(), frame.revision);
            if is_event && found > revision {
                return Err(damaged);
            }
            self.at += size;
            self.next = found + 1;
            if is_event && found == revision {
                let frame = Frame::read(&self.window, at, self.seed).ok_or(damaged)?;
                return Ok((self.start + at as u64, frame));
            }
        }
    }

    /// Makes sure that the next frame is in the window, if the file has it.
    fn fill(&mut self) -> Result<(), StoreError> {
        let size = Frame::size_at(&self.window, self.at);
        if size.is_some_and(|size| self.at + size <= self.window.len()) {
            return Ok(());
        }
        self.start += self.at as u64;
        self.at = 0;
        self.window = files::read_range(&self.path, self.start, WINDOW_BYTES)?;
        match Frame::size_at(&self.window, 0) {
            // A large frame. Its length was not checked, but no more is read than the file has.
            Some(size) if size > self.window.len() => {
                self.window = files::read_range(&self.path, self.start, size)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn decode(frame: Frame<'_>) -> Result<Event, StoreError> {
    decode_event(frame.revision, frame.payload).map_err(|_| StoreError::NotUnderstood { revision: frame.revision })
}
