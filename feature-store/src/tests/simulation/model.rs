//! The naive model: the history as a list, and the records that it adds up to. One write is decided by the same pure
//! function as in the store, which has tests of its own; grouping, durability and visibility are what is modelled.

use feature_core::{Details, Event, Record, Timestamp, Value, Write, decide};

use crate::VALUE_MAX_BYTES;
use crate::tests::fixtures::scopes;

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) history: Vec<Event>,
    /// The records of all scopes, in their order.
    pub(super) records: Vec<Record>,
}

/// What is to become of writes that wait together, if all is well.
pub(super) struct Expected {
    pub(super) answers: Vec<Result<Details, String>>,
    pub(super) after: Model,
}

impl Model {
    pub(super) fn new(history: Vec<Event>) -> Self {
        let mut model = Self { history: Vec::new(), records: scopes().iter().map(|_| Record::default()).collect() };
        history.into_iter().for_each(|event| model.add(event));
        model
    }

    pub(super) fn expect(&self, writes: &[Write], now: Timestamp) -> Expected {
        let mut after = self.clone();
        let answers = writes.iter().map(|write| after.write(write, now)).collect();
        Expected { answers, after }
    }

    fn write(&mut self, write: &Write, now: Timestamp) -> Result<Details, String> {
        let record = &self.records[position(&write.scope)];
        let event = decide(write, record, now, self.history.len() as u64 + 1).map_err(|error| error.to_string())?;
        if let Some(event) = event {
            for change in &event.changes {
                if matches!(&change.new, Some(Value::Text(text)) if text.len() >= VALUE_MAX_BYTES) {
                    return Err(format!("the value of {} takes 32772 bytes, at most 32768 are allowed", change.key));
                }
            }
            self.add(event);
        }
        Ok(self.records[position(&write.scope)].details(&write.scope, write.placement.organization()))
    }

    fn add(&mut self, event: Event) {
        self.records[position(&event.scope)].apply(&event);
        self.history.push(event);
    }
}

fn position(scope: &feature_core::Scope) -> usize {
    scopes().iter().position(|known| known == scope).expect("the simulation writes to no other scope")
}
