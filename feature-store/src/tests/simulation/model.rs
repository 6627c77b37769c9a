//! The naive model: the history as a list, and the records that it adds up to. A write is decided by the same pure
//! function as in the store, which has tests of its own; grouping, durability and visibility are what is modelled.

use feature_core::{Details, Event, Record, Timestamp, Write};

use crate::tests::fixtures::{decide_batch, erase, place, scopes};

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) history: Vec<Event>,
    /// The records of all scopes, in their order.
    pub(super) records: Vec<Record>,
}

/// What is to become of batches that wait together, if all is well.
pub(super) struct Expected {
    pub(super) answers: Vec<Result<Vec<Details>, String>>,
    pub(super) after: Model,
}

impl Model {
    pub(super) fn new(history: Vec<Event>) -> Self {
        let mut records = vec![Record::default(); scopes().len()];
        for event in &history {
            records[place(&event.scope)].apply(event);
        }
        Self { history, records }
    }

    pub(super) fn expect(&self, batches: &[Vec<Write>], now: Timestamp) -> Expected {
        let mut after = self.clone();
        let answers = batches.iter().map(|batch| after.write(batch, now)).collect();
        Expected { answers, after }
    }

    fn write(&mut self, batch: &[Write], now: Timestamp) -> Result<Vec<Details>, String> {
        let next = self.history.len() as u64 + 1;
        let (events, details) = decide_batch(&mut self.records, batch, now, next)?;
        self.history.extend(events);
        erase(&mut self.history);
        Ok(details)
    }
}
