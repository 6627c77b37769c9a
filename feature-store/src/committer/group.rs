//! A group of writes that becomes durable with one append. Threads, queues and clocks are not known here: the
//! same writes, times and store give the same outcome.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use feature_core::{Details, Event, Record, Scope, Timestamp, Write, decide};

use super::CommitError;
use crate::error::StoreError;
use crate::store::{FeatureStore, check_values};

/// The most writes of a group, so that the first one does not wait for all the rest.
const MAX_WRITES: usize = 1024;

/// The bytes of values from which on a group takes no further write, so that its memory is bounded.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Writes with what has become of them so far, in the order in which they came.
pub(super) struct Group {
    /// The store's revision before this group.
    base: u64,
    /// The newest records of the scopes that this group writes, with the group's own changes.
    records: HashMap<Scope, Record>,
    events: Vec<Event>,
    answers: Vec<Result<Details, CommitError>>,
    bytes: usize,
}

impl Group {
    pub(super) fn new(base: u64) -> Self {
        Self { base, records: HashMap::new(), events: Vec::new(), answers: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.answers.len() >= MAX_WRITES || self.bytes >= FULL_BYTES
    }

    /// Decides a write against the store and the earlier writes of the group. One that is refused leaves the
    /// group as it was.
    pub(super) fn add(&mut self, store: &dyn FeatureStore, write: &Write, now: Timestamp) {
        let answer = self.decide(store, write, now);
        self.answers.push(answer);
    }

    fn decide(&mut self, store: &dyn FeatureStore, write: &Write, now: Timestamp) -> Result<Details, CommitError> {
        let record = match self.records.entry(write.scope.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(store.record(&write.scope)?),
        };
        let revision = self.base + self.events.len() as u64 + 1;
        if let Some(event) = decide(write, record, now, revision)? {
            self.bytes += check_values(&event)?;
            record.apply(&event);
            self.events.push(event);
        }
        Ok(record.details(&write.scope, write.placement.organization()))
    }

    /// Makes the group durable. One that changes nothing does not touch the store.
    pub(super) fn commit(&self, store: &dyn FeatureStore) -> Result<(), StoreError> {
        if self.events.is_empty() { Ok(()) } else { store.append(&self.events) }
    }

    /// The answers to the writes once the group is durable.
    pub(super) fn answers(self) -> Vec<Result<Details, CommitError>> {
        self.answers
    }

    /// The answers when the group did not become durable: the same for all, since each was decided on top of the
    /// others.
    pub(super) fn fail(self, error: &StoreError) -> Vec<Result<Details, CommitError>> {
        self.answers.iter().map(|_| Err(error.clone().into())).collect()
    }
}
