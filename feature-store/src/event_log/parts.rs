//! A history in parts, each with an index: complete ones, whose indexes are stored when they are first needed, and an
//! open one at the end, whose index is in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::Event;

use super::index::{OpenIndex, PartIndex, in_all};
use super::term::Term;
use super::{Found, Order};
use crate::error::StoreError;

/// A part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The revision of its first event.
    pub(crate) first: u64,
    /// The revision of its last event; `None` when it is open.
    pub(crate) last: Option<u64>,
}

/// Where the events and the stored indexes of parts are.
pub(crate) trait PartSource {
    /// The part that has this revision.
    fn part(&self, revision: u64) -> Part;

    /// A value that changes when the events of a complete part are other ones.
    fn print(&self, part: Part) -> Result<u64, StoreError>;

    /// The stored index of a complete part, if there is one.
    fn stored_index(&self, part: Part) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores the index of a complete part.
    fn store_index(&self, part: Part, index: &[u8]) -> Result<(), StoreError>;

    /// Hands over the events of a part in order, each with its offset if it is in a file.
    ///
    /// * `range`: the first and the last revision.
    /// * `near`: an earlier event of the part, or this one, and its offset.
    fn replay(
        &self,
        part: Part,
        range: (u64, u64),
        near: Option<(u64, u64)>,
        take: &mut dyn FnMut(Event, Option<u64>),
    ) -> Result<(), StoreError>;
}

/// The indexes of a history.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Starts the checksums of stored indexes.
    seed: u32,
    /// The index of the open part, as far as it was needed, and the offset of its last event.
    open: Mutex<(Part, OpenIndex, u64)>,
    /// The index that was needed last, of the part that begins with this revision.
    last: Mutex<Option<(u64, Arc<PartIndex>)>>,
    /// Held while an index is made, so that it is made once.
    making: Mutex<()>,
}

impl Parts {
    /// `seed`: from the store's id.
    pub(crate) fn new(seed: u32) -> Self {
        let open = (Part { first: 0, last: None }, OpenIndex::default(), 0);
        Self { seed, open: Mutex::new(open), last: Mutex::default(), making: Mutex::default() }
    }

    /// See [`super::EventLog::find`]. `range`: the oldest and the newest revision of the history.
    pub(crate) fn find(
        &self,
        source: &dyn PartSource,
        terms: &[Term],
        from: u64,
        order: Order,
        range: (u64, u64),
    ) -> Result<Found, StoreError> {
        let (oldest, newest) = range;
        let from = match order {
            Order::NewestFirst if from < oldest => return Ok(Found::default()),
            Order::OldestFirst if from > newest => return Ok(Found::default()),
            Order::NewestFirst => from.min(newest),
            Order::OldestFirst => from.max(oldest),
        };
        if oldest > newest {
            return Ok(Found::default());
        }
        if terms.is_empty() {
            return Ok(match order {
                Order::NewestFirst => Found::of((oldest..=from).rev(), oldest, order, range),
                Order::OldestFirst => Found::of(from..=newest, newest, order, range),
            });
        }
        let part = source.part(from);
        let end = part.last.unwrap_or(newest);
        let events = match part.last {
            Some(last) => {
                let index = self.index(source, part, last, oldest)?;
                in_all(terms.iter().map(|term| index.list(*term)).collect())
            }
            None => {
                let open = self.open_index(source, part, newest, oldest)?;
                in_all(terms.iter().map(|term| open.1.list(*term)).collect())
            }
        };
        let revisions = events.into_iter().map(|event| part.first + u64::from(event));
        let kept = revisions.filter(|revision| *revision >= oldest && *revision <= newest);
        Ok(match order {
            Order::NewestFirst => {
                let mut revisions: Vec<_> = kept.filter(|revision| *revision <= from).collect();
                revisions.reverse();
                Found::of(revisions.into_iter(), part.first, order, range)
            }
            Order::OldestFirst => Found::of(kept.filter(|revision| *revision >= from), end, order, range),
        })
    }

    /// Makes and stores the index of the complete part that has this revision, unless it is there: no search has to.
    pub(crate) fn prepare(&self, source: &dyn PartSource, revision: u64) -> Result<(), StoreError> {
        let part = source.part(revision);
        match part.last {
            Some(last) if source.stored_index(part)?.is_none() => {
                // One thread after another makes indexes, and the one that was needed last stays.
                let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
                self.make(source, part, last, part.first).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// An event of the same part that is near before this one, and its offset; `None` without a file.
    ///
    /// `oldest`: the oldest revision of the history.
    pub(crate) fn near(
        &self,
        source: &dyn PartSource,
        revision: u64,
        oldest: u64,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let part = source.part(revision);
        // The part of this revision may have been dropped at this moment.
        let Some(event) = revision.checked_sub(part.first) else { return Ok(None) };
        let event = event as u32;
        let mark = match part.last {
            Some(last) => self.index(source, part, last, oldest)?.mark_before(event),
            None => self.open_index(source, part, revision, oldest)?.1.mark_before(event),
        };
        Ok(mark.map(|(event, offset)| (part.first + u64::from(event), offset)))
    }

    /// The index of the open part, which has the events up to this revision at least.
    fn open_index(
        &self,
        source: &dyn PartSource,
        part: Part,
        to: u64,
        oldest: u64,
    ) -> Result<MutexGuard<'_, (Part, OpenIndex, u64)>, StoreError> {
        // After a panic some events may be missing: then it begins again.
        let mut open = self.open.lock().unwrap_or_else(|poisoned| {
            let mut open = poisoned.into_inner();
            *open = (Part { first: 0, last: None }, OpenIndex::default(), 0);
            open
        });
        if open.0 != part {
            *open = (part, OpenIndex::after(oldest.saturating_sub(part.first) as u32), 0);
        }
        let from = part.first + u64::from(open.1.events());
        if from <= to {
            let near = Some((from.saturating_sub(1), open.2)).filter(|(_, offset)| *offset > 0);
            let (_, index, last_offset) = &mut *open;
            source.replay(part, (from, to), near, &mut |event, offset| {
                index.add(&event, offset);
                *last_offset = offset.unwrap_or_default();
            })?;
        }
        Ok(open)
    }

    /// The index of a complete part.
    fn index(&self, source: &dyn PartSource, part: Part, last: u64, oldest: u64) -> Result<Arc<PartIndex>, StoreError> {
        let find =
            || self.last().as_ref().filter(|(first, _)| *first == part.first).map(|(_, index)| Arc::clone(index));
        if let Some(index) = find() {
            return Ok(index);
        }
        // The lock guards no data.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = find() {
            return Ok(index);
        }
        let (print, events) = (source.print(part)?, (last + 1 - part.first) as u32);
        let stored = source.stored_index(part)?.and_then(|bytes| PartIndex::read(bytes, self.seed, print, events));
        let index = Arc::new(match stored {
            Some(index) => index,
            None => self.make(source, part, last, oldest)?,
        });
        *self.last() = Some((part.first, Arc::clone(&index)));
        Ok(index)
    }

    /// Makes the index of a complete part, and stores it if all events of the part are kept.
    fn make(&self, source: &dyn PartSource, part: Part, last: u64, oldest: u64) -> Result<PartIndex, StoreError> {
        let from = part.first.max(oldest);
        let mut open = OpenIndex::after((from - part.first) as u32);
        source.replay(part, (from, last), None, &mut |event, offset| open.add(&event, offset))?;
        let index = open.finish(self.seed, source.print(part)?);
        if from == part.first
            && let Err(error) = source.store_index(part, index.bytes())
        {
            tracing::warn!(%error, "the index of a part of the history is not stored, and is made again");
        }
        Ok(index)
    }

    /// Forgets the index of a part whose events have changed.
    pub(crate) fn forget(&self, first: u64) {
        self.last().take_if(|(known, _)| *known == first);
    }

    fn last(&self) -> MutexGuard<'_, Option<(u64, Arc<PartIndex>)>> {
        // The value is always replaced as a whole.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
