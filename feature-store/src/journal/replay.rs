//! What a new projection reads of an open journal: the records of a base, and the events after them.

use std::mem;

use feature_core::Event;

use super::base::BaseReader;
use super::frame::{Frame, SEGMENT_HEADER};
use super::{Journal, corrupt, not_understood, read_segment};
use crate::engine::BaseRecord;
use crate::error::OpenError;
use crate::format::encoding::decode_event;

impl Journal {
    /// The revision of the base that new projections begin with; 0 without one. Every frame of it was checked. One that
    /// is damaged is passed over while an older one, or the whole history, is there.
    ///
    /// # Errors
    /// [`OpenError`] when that fails.
    pub(crate) fn base_revision(&self) -> Result<u64, OpenError> {
        if let Some(revision) = self.whole_base.get() {
            return Ok(*revision);
        }
        let mut damaged = None;
        let mut chosen = None;
        for revision in self.bases.iter().rev().copied().filter(|base| self.segments.binary_search(&(base + 1)).is_ok())
        {
            match BaseReader::open(&self.folder, self.store, revision).and_then(BaseReader::check) {
                Ok(_) => {
                    chosen = Some(revision);
                    break;
                }
                Err(error @ OpenError::BaseDamaged { .. }) => {
                    tracing::warn!(%error, "a base is passed over");
                    damaged = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (chosen, damaged) {
            (None, Some(error)) if self.segments[0] > 1 => Err(error),
            _ => Ok(*self.whole_base.get_or_init(|| chosen.unwrap_or_default())),
        }
    }

    /// Hands over the records of that base.
    ///
    /// # Errors
    /// As for [`Journal::base_revision`], and those of `take`.
    pub(crate) fn base(&self, take: &mut dyn FnMut(BaseRecord) -> Result<(), OpenError>) -> Result<(), OpenError> {
        let revision = self.base_revision()?;
        if revision == 0 {
            return Ok(());
        }
        let mut base = BaseReader::open(&self.folder, self.store, revision)?;
        while let Some(record) = base.next()? {
            take(record)?;
        }
        Ok(())
    }

    /// Hands over all events after revision `after`, in order, in batches of at most `batch`.
    ///
    /// # Errors
    /// [`OpenError`] when an event cannot be read, and the errors of `take`.
    pub(crate) fn replay(
        &self,
        after: u64,
        batch: usize,
        mut take: impl FnMut(Vec<Event>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut events = Vec::new();
        // Segments before the newest base were not looked at before.
        let mut expected = self.segments[0].max(after + 1);
        let start = self.segments.partition_point(|&first| first <= after + 1).saturating_sub(1);
        for &first in &self.segments[start..] {
            let bytes = read_segment(&self.folder, first)?;
            let end = if first == self.end.segment { self.end.offset as usize } else { bytes.len() };
            let mut offset = SEGMENT_HEADER;
            while offset < end {
                let Some(frame) = Frame::read(&bytes, offset, self.seed) else {
                    return Err(corrupt(&self.folder, first, offset, "the bytes here fail their check"));
                };
                if frame.is_event() && frame.revision > after {
                    if frame.revision != expected {
                        let reason = format!("the events from revision {expected} on are missing before this one");
                        return Err(corrupt(&self.folder, first, offset, &reason));
                    }
                    expected += 1;
                    let event = decode_event(frame.revision, frame.payload);
                    events.push(event.map_err(|_| not_understood(&self.folder, first, offset))?);
                }
                if events.len() >= batch {
                    take(mem::take(&mut events))?;
                }
                offset += frame.size();
            }
        }
        if expected <= self.revision {
            return Err(self.cut_short(self.revision));
        }
        if events.is_empty() { Ok(()) } else { take(events) }
    }
}
