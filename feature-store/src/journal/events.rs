//! Reads single events of a journal while it grows. A part of the history is a segment.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use feature_core::Event;
use uuid::Uuid;

use super::frame::{self, Frame, SEGMENT_HEADER};
use super::frames::Frames;
use super::segment::{numbered_name, segment_path};
use crate::error::StoreError;
use crate::event_log::erasures::{PendingErasures, blank};
use crate::event_log::parts::{Part, PartSource, Parts};
use crate::event_log::term::Term;
use crate::event_log::{Found, Order, READ_BYTES};
use crate::files::{self, FileError};
use crate::format::encoding::decode_event;

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
    /// What the segments may still have, and no reader is to see.
    erasures: PendingErasures,
    /// Held by each read, and by the replacement of a segment by a rewritten one.
    replacing: RwLock<()>,
}

impl JournalEvents {
    /// * `journal`: the folder of the segments.
    /// * `indexes`: a folder for their indexes, which need not exist.
    /// * `erasures`: those that may not be carried out yet.
    pub(crate) fn new(
        journal: PathBuf,
        indexes: PathBuf,
        store: Uuid,
        segments: Vec<u64>,
        erasures: PendingErasures,
    ) -> Self {
        let (seed, segments) = (frame::seed(store), RwLock::new(segments));
        let source = SegmentSource { journal, indexes, seed, segments, erasures, replacing: RwLock::default() };
        Self { source, parts: Parts::new(seed) }
    }

    /// Takes in which segments the journal has. No event of a new one may be visible yet, and one that is gone must
    /// still be on the disk. Returns whether they have changed.
    pub(crate) fn set_segments(&self, segments: &[u64]) -> bool {
        let is_known = {
            let known = self.source.segments.read().unwrap_or_else(PoisonError::into_inner);
            (known[0], known.len()) == (segments[0], segments.len())
        };
        if !is_known {
            *self.source.segments.write().unwrap_or_else(PoisonError::into_inner) = segments.to_vec();
        }
        !is_known
    }

    /// The revisions that name the segments, ascending.
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.source.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The revision of the oldest event.
    pub(crate) fn oldest(&self) -> u64 {
        self.source.segments.read().unwrap_or_else(PoisonError::into_inner)[0]
    }

    /// See [`crate::EventLog::events`]. `newest`: the revision of the newest event that is visible.
    pub(crate) fn events(&self, from: u64, limit: usize, newest: u64) -> Result<Vec<Event>, StoreError> {
        self.while_kept(|oldest| {
            if from < oldest {
                return Err(StoreError::Compacted { oldest, newest });
            }
            self.source.read(&self.parts, from..=newest.min((from - 1).saturating_add(limit as u64)))
        })
    }

    /// See [`crate::EventLog::events_at`].
    pub(crate) fn events_at(&self, revisions: &[u64], newest: u64) -> Result<Vec<Event>, StoreError> {
        self.while_kept(|oldest| {
            let range = oldest..=newest;
            self.source.read(&self.parts, revisions.iter().copied().filter(|revision| range.contains(revision)))
        })
    }

    /// See [`crate::EventLog::find`].
    pub(crate) fn find(&self, terms: &[Term], from: u64, order: Order, newest: u64) -> Result<Found, StoreError> {
        self.while_kept(|oldest| self.parts.find(&self.source, terms, from, order, (oldest, newest)))
    }

    /// Makes the index of a complete segment, unless it is there.
    pub(crate) fn make_index(&self, first: u64) -> Result<(), StoreError> {
        self.parts.prepare(&self.source, first)
    }

    /// Erasures that may not be carried out yet. Reads show nothing of what they take out.
    pub(crate) fn erasures(&self) -> &PendingErasures {
        &self.source.erasures
    }

    /// Replaces a segment by a rewritten one, while nothing is read. What was known of it does not hold any more.
    pub(crate) fn replace_segment(&self, first: u64, rewritten: &Path) -> Result<(), FileError> {
        // The lock guards no data.
        let _replacing = self.source.replacing.write().unwrap_or_else(PoisonError::into_inner);
        self.parts.forget(first);
        self.forget_index(first)?;
        files::move_to(rewritten, &segment_path(&self.source.journal, first))
    }

    /// Removes the index of a segment that is not kept any more.
    pub(crate) fn forget_index(&self, first: u64) -> Result<(), FileError> {
        let path = self.source.index_path(first);
        if files::read_range(&path, 0, 1).is_ok() { files::remove_file(&path) } else { Ok(()) }
    }

    /// Reads what is kept, from the oldest revision on. A read may fail when its segment is dropped meanwhile, and
    /// begins again then.
    fn while_kept<T>(&self, read: impl Fn(u64) -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let _reading = self.source.replacing.read().unwrap_or_else(PoisonError::into_inner);
            let oldest = self.oldest();
            match read(oldest) {
                Err(_) if self.oldest() > oldest => {}
                outcome => return outcome,
            }
        }
    }
}

impl SegmentSource {
    /// The events with these revisions, which ascend; fewer when they are large, but at least one.
    fn read(&self, parts: &Parts, revisions: impl Iterator<Item = u64>) -> Result<Vec<Event>, StoreError> {
        let (mut events, mut bytes, erasures) = (Vec::new(), 0, self.erasures.all());
        let mut reader: Option<EventReader> = None;
        for revision in revisions {
            let is_near = |reader: &EventReader| {
                (reader.next..=reader.next + NEAR_EVENTS).contains(&revision)
                    && reader.first == self.part(revision).first
            };
            let reader = match reader.take().filter(is_near) {
                Some(near) => reader.insert(near),
                None => {
                    let first = self.part(revision).first;
                    let near = parts.near(self, revision, 0)?.ok_or(StoreError::DamagedEvent { revision })?;
                    reader.insert(EventReader::new(self, first, near))
                }
            };
            let (mut event, _, stored_bytes) = reader.event(revision)?;
            blank(&erasures, &mut event);
            bytes += stored_bytes;
            events.push(event);
            if bytes >= READ_BYTES {
                break;
            }
        }
        Ok(events)
    }

    fn index_path(&self, first: u64) -> PathBuf {
        self.indexes.join(numbered_name(first, ".index"))
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
        Ok(files::read(&self.index_path(part.first))?)
    }

    fn store_index(&self, part: Part, index: &[u8]) -> Result<(), StoreError> {
        files::create_folder(&self.indexes)?;
        Ok(files::replace(&self.index_path(part.first), index)?)
    }

    fn replay(
        &self,
        part: Part,
        (from, to): (u64, u64),
        near: Option<(u64, u64)>,
        take: &mut dyn FnMut(Event, Option<u64>),
    ) -> Result<(), StoreError> {
        let near = near.unwrap_or((part.first, SEGMENT_HEADER as u64));
        let mut reader = EventReader::new(self, part.first, near);
        for revision in from..=to {
            let (event, offset, _) = reader.event(revision)?;
            take(event, Some(offset));
        }
        Ok(())
    }
}

/// Reads the events of a segment one after another.
struct EventReader {
    frames: Frames,
    first: u64,
    /// The revision of the next event.
    next: u64,
}

impl EventReader {
    /// `near`: the first event to read, and its offset.
    fn new(source: &SegmentSource, first: u64, near: (u64, u64)) -> Self {
        let frames = Frames::new(segment_path(&source.journal, first), source.seed, near.1);
        Self { frames, first, next: near.0 }
    }

    /// An event from the next one on, its offset, and the bytes of its stored form. The event has been written.
    fn event(&mut self, revision: u64) -> Result<(Event, u64, usize), StoreError> {
        loop {
            let damaged = StoreError::DamagedEvent { revision };
            let (offset, frame) = self.frames.next()?.ok_or(damaged.clone())?;
            self.next = frame.revision + 1;
            if frame.is_event() && frame.revision > revision {
                return Err(damaged);
            }
            if frame.is_event() && frame.revision == revision {
                return Ok((decode(&frame)?, offset, frame.payload.len()));
            }
        }
    }
}

/// The event at this offset, if this version understands it.
pub(super) fn event_at(bytes: &[u8], offset: usize, seed: u32) -> Option<Event> {
    let frame = Frame::read(bytes, offset, seed).filter(Frame::is_event)?;
    decode(&frame).ok()
}

fn decode(frame: &Frame<'_>) -> Result<Event, StoreError> {
    decode_event(frame.revision, frame.payload).map_err(|_| StoreError::NotUnderstood { revision: frame.revision })
}
