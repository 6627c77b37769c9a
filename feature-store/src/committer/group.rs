//! A group of writes that becomes durable with one append. It has no threads, queues or clocks: the same writes, times
//! and store give the same outcome.

use feature_core::{Details, Timestamp, Write, decide};

use super::CommitError;
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use crate::store::fold::BatchBuilder;

/// The most writes of a group, so that the first one does not wait for all the rest.
const MAX_WRITES: usize = 1024;

/// With values of so many bytes a group takes no further write, so that its memory is bounded.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Writes with their outcomes so far, in the order in which they came.
pub(super) struct Group<'a> {
    batch: BatchBuilder<'a>,
    outcomes: Vec<Result<Details, CommitError>>,
}

impl<'a> Group<'a> {
    pub(super) fn new(store: &'a dyn FeatureStore) -> Self {
        Self { batch: BatchBuilder::new(store), outcomes: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.outcomes.len() >= MAX_WRITES || self.batch.value_bytes() >= FULL_BYTES
    }

    /// Decides a write against the store and the earlier writes of the group. A refused write leaves the batch as it
    /// was.
    pub(super) fn add(&mut self, write: &Write, now: Timestamp) {
        let outcome = self.decide(write, now);
        self.outcomes.push(outcome);
    }

    fn decide(&mut self, write: &Write, now: Timestamp) -> Result<Details, CommitError> {
        let revision = self.batch.next_revision();
        let record = self.batch.record(&write.scope)?;
        let event = decide(write, record, now, revision)?;
        let record = match event {
            Some(event) => self.batch.add(event)?,
            None => record,
        };
        Ok(record.details(&write.scope, write.placement.organization()))
    }

    /// The batch to append, and the outcomes of the writes once it is durable.
    pub(super) fn finish(self) -> (Batch, Vec<Result<Details, CommitError>>) {
        (self.batch.finish(), self.outcomes)
    }
}
