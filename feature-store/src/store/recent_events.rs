//! The newest events, in memory. With them, reads one after another show one state: what came since is taken back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use feature_core::{Event, Scope};

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

    /// Takes out the last batch, which did not come about.
    pub(crate) fn pop(&mut self) {
        self.bytes -= self.batches.pop_back().map_or(0, |newest| newest.bytes);
    }

    /// The events after a revision; `None` when some of them are forgotten.
    pub(crate) fn after(&self, revision: u64) -> Option<Events> {
        let newer = self.batches.iter().filter(|batch| batch.revision > revision);
        let parts = newer.flat_map(|batch| batch.events.iter().cloned()).collect();
        (revision >= self.base).then_some(Events { after: revision, parts })
    }
}

impl Events {
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
