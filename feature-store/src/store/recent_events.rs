//! The newest events, in memory. With them, reads one after another show one state: what came since is taken back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use feature_core::{Erasure, Event, Scope};

use crate::event_log::erasures::blank_parts;
use crate::store::batch::Batch;

/// The memory that the events take, roughly, in bytes. Older ones are forgotten.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The newest events of a store.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    /// The revision before the first of the events.
    base: u64,
    batches: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    events: Vec<Arc<[Event]>>,
    /// The revision of the last event.
    revision: u64,
    bytes: usize,
}

/// Events, from the oldest to the newest.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    after: u64,
    parts: Vec<Arc<[Event]>>,
}

impl RecentEvents {
    /// Keeps the events after this revision.
    pub(crate) fn after_revision(base: u64) -> Self {
        Self { base, batches: VecDeque::new(), bytes: 0 }
    }

    /// Adds the events of the next batch.
    pub(crate) fn push(&mut self, batch: &Batch) {
        let (events, revision, bytes) = (batch.parts().to_vec(), batch.revision(), batch.event_bytes());
        self.bytes += bytes;
        self.batches.push_back(Kept { events, revision, bytes });
        // The newest one stays, however large: it may not be visible yet.
        while self.bytes > MAX_BYTES
            && self.batches.len() > 1
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.bytes;
            self.base = oldest.revision;
        }
    }

    /// Takes out what the erasures of a batch take out, which has come about.
    pub(crate) fn erase(&mut self, batch: &Batch) {
        let erasures: Vec<_> = batch.events().filter_map(Erasure::of).collect();
        if !erasures.is_empty() {
            self.batches.iter_mut().for_each(|kept| blank_parts(&erasures, &mut kept.events));
        }
    }

    /// Takes out the last batch, which did not come about.
    pub(crate) fn pop(&mut self) {
        self.bytes -= self.batches.pop_back().map_or(0, |newest| newest.bytes);
    }

    /// The revision before the oldest event that is kept.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The events after a revision; `None` when some of them are forgotten.
    pub(crate) fn after(&self, revision: u64) -> Option<Events> {
        let newer = self.batches.iter().filter(|batch| batch.revision > revision);
        let parts = newer.flat_map(|batch| batch.events.iter().cloned()).collect();
        (revision >= self.base).then_some(Events { after: revision, parts })
    }
}

impl Events {
    /// The revision of the last event.
    pub(crate) fn last(&self) -> u64 {
        let last = self.parts.last().and_then(|part| part.last());
        last.map_or(self.after, |last| last.revision.max(self.after))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.parts.iter().flat_map(|part| part.iter()).filter(|event| event.revision > self.after)
    }

    /// These events after a revision.
    pub(crate) fn from_log(after: u64, events: Vec<Event>) -> Self {
        Self { after, parts: vec![events.into()] }
    }

    /// Adds the events that follow.
    pub(crate) fn extend(&mut self, next: Self) {
        let last = self.last();
        // A part of a batch that is there already is left out.
        let parts = next.parts.into_iter().map(|part| {
            let known = part.partition_point(|event| event.revision <= last);
            if known == 0 { part } else { part[known..].into() }
        });
        self.parts.extend(parts.filter(|part| !part.is_empty()));
    }

    /// The events by their scopes, from the newest to the oldest.
    pub(crate) fn newest_first(&self) -> BTreeMap<&Scope, Vec<&Event>> {
        let mut by_scope: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let events = self.parts.iter().rev().flat_map(|part| part.iter().rev());
        for event in events.take_while(|event| event.revision > self.after) {
            by_scope.entry(&event.scope).or_default().push(event);
        }
        by_scope
    }
}
