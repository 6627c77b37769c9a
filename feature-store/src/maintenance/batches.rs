//! The check that the batches of a history are such as a server writes.

use std::collections::HashSet;

use feature_core::{Event, Scope};

use crate::store::limits::BATCH_MAX_EVENTS;

/// The batch that is being read.
#[derive(Default)]
pub(super) struct Batches {
    /// The scopes of its events so far.
    scopes: HashSet<Scope>,
}

impl Batches {
    /// Takes the next event. `is_last`: the history ends with it.
    ///
    /// # Errors
    /// What is wrong with its place in a batch.
    pub(super) fn add(&mut self, event: &Event, is_last: bool) -> Result<(), String> {
        if !event.continues && self.scopes.is_empty() {
            return Ok(());
        }
        if !self.scopes.insert(event.scope.clone()) {
            return Err("an earlier event of the batch has the same scope".to_owned());
        }
        if !event.continues {
            self.scopes.clear();
        } else if is_last {
            return Err("the last event of the batch is missing".to_owned());
        } else if self.scopes.len() >= BATCH_MAX_EVENTS {
            return Err(format!("the batch has more than {BATCH_MAX_EVENTS} events"));
        }
        Ok(())
    }
}
