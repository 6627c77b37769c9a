//! A group of batches of writes that becomes durable with one append. It has no threads, queues or clocks: the same
//! writes, times and store give the same outcome.

use std::collections::HashSet;

use feature_core::{Details, Rejection, Requirement, Timestamp, Write, decide};

use super::CommitError;
use crate::error::StoreError;
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use crate::store::fold::{BatchBuilder, check_values};
use crate::store::selection::Selection;

/// The most writes of a group, so that the first one does not wait for all the rest.
const MAX_WRITES: usize = 1024;

/// With values of so many bytes a group takes no further write, and a batch of several writes may have no more, so that
/// memory is bounded.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Batches of writes with their outcomes so far, in the order in which they came. Most batches are a single write.
pub(super) struct Group<'a> {
    events: BatchBuilder<'a>,
    writes: usize,
    outcomes: Vec<Result<Vec<Details>, CommitError>>,
}

impl<'a> Group<'a> {
    pub(super) fn new(store: &'a dyn FeatureStore) -> Self {
        Self { events: BatchBuilder::new(store), writes: 0, outcomes: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.writes >= MAX_WRITES || self.events.value_bytes() >= FULL_BYTES
    }

    /// Decides a batch against the store and the earlier batches of the group. A refused batch changes nothing.
    pub(super) fn add(&mut self, writes: &[Write], now: Timestamp) {
        self.writes += writes.len();
        let outcome = self.decide(writes, now);
        self.outcomes.push(outcome);
    }

    fn decide(&mut self, writes: &[Write], now: Timestamp) -> Result<Vec<Details>, CommitError> {
        // Most batches are a single write, which cannot repeat a scope.
        if writes.len() > 1 {
            let mut scopes = HashSet::new();
            if let Some(index) = writes.iter().position(|write| !scopes.insert(&write.scope)) {
                return Err(CommitError::ScopeRepeated { index });
            }
        }
        if self.is_repeated(writes, now)? {
            return writes.iter().map(|write| self.details(write, now)).collect();
        }
        let (next, mut events) = (self.events.next_revision(), Vec::with_capacity(writes.len()));
        for (index, write) in writes.iter().enumerate() {
            for requirement in &write.requires {
                if !self.holds(requirement)? {
                    return Err(CommitError::Rejected { index, rejection: Rejection::RequirementChanged });
                }
            }
            let record = self.events.record(&write.scope)?;
            let event = decide(write, record, now, next + events.len() as u64);
            events.extend(event.map_err(|rejection| CommitError::Rejected { index, rejection })?);
        }
        if let [earlier @ .., _] = &mut *events {
            earlier.iter_mut().for_each(|event| event.continues = true);
        }
        if events.len() > 1 && events.iter().map(check_values).sum::<Result<usize, _>>()? > FULL_BYTES {
            return Err(CommitError::BatchTooLarge);
        }
        self.events.add(events)?;
        writes.iter().map(|write| self.details(write, now)).collect()
    }

    /// Whether a batch has happened already: a scope remembers its key.
    fn is_repeated(&mut self, writes: &[Write], now: Timestamp) -> Result<bool, StoreError> {
        for write in writes.iter().filter(|write| write.idempotency_key.is_some()) {
            if self.events.record(&write.scope)?.completed(write.idempotency_key, now).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The details of a scope after a write, also when it happened earlier.
    fn details(&mut self, write: &Write, now: Timestamp) -> Result<Details, CommitError> {
        let record = self.events.record(&write.scope)?;
        let mut details = record.details(&write.scope, write.placement.organization());
        if let Some(completed) = record.completed(write.idempotency_key, now) {
            (details.sequence, details.changed) = (completed.sequence, Some(completed.time));
        }
        Ok(details)
    }

    /// Whether a requirement holds after the events so far.
    fn holds(&mut self, requirement: &Requirement) -> Result<bool, StoreError> {
        Ok(match requirement {
            Requirement::Unchanged { scope, sequence } => self.events.record(scope)?.sequence == *sequence,
            Requirement::DefinedByNoInstance(key) => {
                let defined = self.events.select(Selection::DefinitionsNamed(key))?;
                defined.records.iter().all(|(scope, _)| scope.instance().is_none())
            }
        })
    }

    /// How many writes it has, refused ones included.
    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    /// All events to append, and the outcomes of the batches once they are durable.
    pub(super) fn finish(self) -> (Batch, Vec<Result<Vec<Details>, CommitError>>) {
        (self.events.finish(), self.outcomes)
    }
}
