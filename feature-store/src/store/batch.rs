//! A batch: consecutive events that become durable together, with the records that they make.

use std::collections::HashMap;
use std::sync::Arc;

use feature_core::{Event, Record, Scope};

use crate::engine::Chain;
use crate::error::StoreError;

/// Consecutive events, and the newest record of each scope that they change.
///
/// A batch is made in one place ([`Batch::fold`] and the committer's group), which applies each event once and checks
/// its values. Every store takes what it needs from the batch: a journal the events, a projection the records.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The revision that the first event follows.
    base: u64,
    /// The revision of the last event.
    revision: u64,
    /// In parts, so that merging two batches copies no event.
    events: Vec<Arc<[Event]>>,
    records: HashMap<Scope, Arc<Record>>,
    bytes: usize,
    event_bytes: usize,
    /// The chain after the last event, in a fleet.
    chain: Option<Chain>,
}

impl Batch {
    /// The last argument: the memory that the events and records take, and that of the events alone, roughly.
    pub(super) fn new(
        base: u64,
        events: Vec<Event>,
        records: HashMap<Scope, Arc<Record>>,
        [bytes, event_bytes]: [usize; 2],
    ) -> Self {
        let revision = events.last().map_or(base, |event| event.revision);
        let events = if events.is_empty() { Vec::new() } else { vec![events.into()] };
        Self { base, revision, events, records, bytes, event_bytes, chain: None }
    }

    /// A batch without events, which a batch after `revision` can extend.
    pub(crate) fn empty(revision: u64) -> Self {
        Self {
            base: revision,
            revision,
            events: Vec::new(),
            records: HashMap::new(),
            bytes: 0,
            event_bytes: 0,
            chain: None,
        }
    }

    /// Adds a batch that follows this one.
    pub(crate) fn extend(&mut self, next: &Batch) {
        self.revision = next.revision;
        self.events.extend_from_slice(&next.events);
        self.records.extend(next.records().map(|(scope, record)| (scope.clone(), Arc::clone(record))));
        self.bytes += next.bytes;
        self.event_bytes += next.event_bytes;
        self.chain = next.chain;
    }

    /// The same batch, with the chain after its last event.
    pub(crate) fn with_chain(self, chain: Option<Chain>) -> Self {
        Self { chain, ..self }
    }

    /// The chain after the last event; `None` for a store that has none.
    pub(crate) fn chain(&self) -> Option<Chain> {
        self.chain
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The revision that the first event follows.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The revision of the last event. In a batch without events: the revision of the store that the batch is for.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The events, in the order of their revisions.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().flat_map(|part| part.iter())
    }

    /// The events, in parts that are shared and not copied.
    pub(crate) fn parts(&self) -> &[Arc<[Event]>] {
        &self.events
    }

    /// Each changed scope with its record after the last event.
    pub fn records(&self) -> impl Iterator<Item = (&Scope, &Arc<Record>)> {
        self.records.iter()
    }

    /// The record of `scope` after the last event; `None` when no event changes it.
    pub fn record(&self, scope: &Scope) -> Option<&Arc<Record>> {
        self.records.get(scope)
    }

    /// The number of changed scopes.
    pub(crate) fn scopes(&self) -> usize {
        self.records.len()
    }

    /// The memory that the batch takes, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory that the events alone take, roughly, in bytes.
    pub(crate) fn event_bytes(&self) -> usize {
        self.event_bytes
    }

    /// Checks that the batch continues the history of a store at `revision`.
    ///
    /// # Errors
    /// [`StoreError::WrongRevision`].
    pub(crate) fn check_follows(&self, revision: u64) -> Result<(), StoreError> {
        if self.base == revision {
            return Ok(());
        }
        Err(StoreError::WrongRevision { expected: revision + 1, actual: self.base + 1 })
    }
}
