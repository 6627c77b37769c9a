//! Reads the log of a replica, up to what its view shows.

use feature_core::{Erasure, Event};
use uuid::Uuid;

use super::Replica;
use crate::engine::{Engine, Entry};
use crate::error::StoreError;
use crate::event_log::erasures::blank;
use crate::event_log::parts::{Part, PartSource};
use crate::event_log::term::Term;
use crate::event_log::{EventLog, Found, Order};
use crate::store::FeatureStore;

/// The events of a part. The index of that many takes some hundred kilobytes.
const PART_EVENTS: u64 = if cfg!(test) { 8 } else { 65_536 };

/// The most entries that are read at once while an index is made.
const PAGE: usize = 10_000;

impl EventLog for Replica {
    fn store_id(&self) -> Uuid {
        self.store
    }

    fn oldest(&self) -> Result<u64, StoreError> {
        Ok(self.engine.head()?.kept_from)
    }

    fn newest(&self) -> u64 {
        FeatureStore::revision(self)
    }

    fn events(&self, from: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let newest = self.newest();
        let limit = limit.min((newest + 1).saturating_sub(from) as usize);
        if limit == 0 {
            return Ok(Vec::new());
        }
        // Before the read: an erasure that is carried out now is not among those after it.
        let erasures = self.erasures.all();
        let entries = self.engine.read(from, limit)?;
        match entries.first() {
            Some(first) if first.position.revision == from => shown(&entries, &erasures),
            _ => match self.oldest()? {
                oldest if from < oldest => Err(StoreError::Compacted { oldest, newest }),
                _ => Err(StoreError::LogBroken { revision: from }),
            },
        }
    }

    fn events_at(&self, revisions: &[u64]) -> Result<Vec<Event>, StoreError> {
        let newest = self.newest();
        let there: Vec<_> = revisions.iter().copied().filter(|revision| *revision <= newest).collect();
        let erasures = self.erasures.all();
        shown(&self.engine.read_each(&there)?, &erasures)
    }

    fn find(&self, terms: &[Term], from: u64, order: Order) -> Result<Found, StoreError> {
        let range = (self.oldest()?, self.newest());
        self.parts.find(&LogSource { engine: &*self.engine, newest: range.1 }, terms, from, order, range)
    }
}

/// The events of entries, without what was erased.
fn shown(entries: &[Entry], erasures: &[Erasure]) -> Result<Vec<Event>, StoreError> {
    let shown = |entry: &Entry| {
        let mut event = entry.event()?;
        blank(erasures, &mut event);
        Ok(event)
    };
    entries.iter().map(shown).collect()
}

/// The parts of a log.
pub(super) struct LogSource<'a> {
    pub(super) engine: &'a dyn Engine,
    /// The newest revision that counts.
    pub(super) newest: u64,
}

impl PartSource for LogSource<'_> {
    fn part(&self, revision: u64) -> Part {
        let first = (revision - 1) / PART_EVENTS * PART_EVENTS + 1;
        let last = first + PART_EVENTS - 1;
        Part { first, last: (last <= self.newest).then_some(last) }
    }

    fn print(&self, part: Part) -> Result<u64, StoreError> {
        let last = part.first + PART_EVENTS - 1;
        let entry = self.engine.read(last, 1)?.into_iter().next().filter(|entry| entry.position.revision == last);
        let chain = entry.ok_or(StoreError::LogBroken { revision: last })?.position.chain;
        Ok(u64::from_be_bytes(*chain.as_bytes().first_chunk().expect("a chain has 16 bytes")))
    }

    fn stored_index(&self, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.engine.index(part.first)?)
    }

    fn store_index(&self, part: Part, index: &[u8]) -> Result<(), StoreError> {
        Ok(self.engine.store_index(part.first, index)?)
    }

    fn replay(
        &self,
        _: Part,
        (from, to): (u64, u64),
        _: Option<(u64, u64)>,
        take: &mut dyn FnMut(Event, Option<u64>),
    ) -> Result<(), StoreError> {
        let mut next = from;
        while next <= to {
            let entries = self.engine.read(next, PAGE.min((to + 1 - next) as usize))?;
            for entry in &entries {
                if entry.position.revision != next {
                    return Err(StoreError::LogBroken { revision: next });
                }
                take(entry.event()?, None);
                next += 1;
            }
            if entries.is_empty() {
                return Err(StoreError::LogBroken { revision: next });
            }
        }
        Ok(())
    }
}
