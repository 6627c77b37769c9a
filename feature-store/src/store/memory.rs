//! The reference store: the contract in its simplest form, in memory. Nothing here is durable.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use feature_core::{Erasure, Event, Record, Scope};
use uuid::Uuid;

use crate::error::StoreError;
use crate::event_log::erasures::blank_parts;
use crate::event_log::term::Term;
use crate::event_log::{EventLog, Found, Order};
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use crate::store::selection::{Selected, Selection};

/// A store that loses everything when it is dropped: the model in tests, and a store for trying things out.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    records: HashMap<Scope, Arc<Record>>,
    /// All events, one after another.
    events: Vec<Arc<[Event]>>,
}

#[cfg(test)]
impl MemoryStore {
    /// A store that shows these records as of a revision.
    pub(crate) fn with(revision: u64, records: HashMap<Scope, Record>) -> Self {
        let records = records.into_iter().map(|(scope, record)| (scope, Arc::new(record))).collect();
        Self { state: RwLock::new(State { revision, records, events: Vec::new() }) }
    }
}

impl FeatureStore for MemoryStore {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        // No code under the lock panics half-way, so a poisoned lock still guards a whole state.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(state.records.get(scope).map(|record| Record::clone(record)).unwrap_or_default())
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let is_after = |scope: &Scope| after.is_none_or(|after| scope > after);
        let records =
            state.records.iter().filter(|(scope, record)| is_after(scope) && selection.includes(scope, record));
        let mut records: Vec<_> = records.map(|(scope, record)| (scope.clone(), Record::clone(record))).collect();
        records.sort_by(|(one, _), (other, _)| one.cmp(other));
        records.truncate(limit);
        let next_after = (records.len() == limit).then(|| records.last().map(|(scope, _)| scope.clone())).flatten();
        Ok(Selected { records, next_after })
    }

    fn revision(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).revision
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        batch.check_follows(state.revision)?;
        state.records.extend(batch.records().map(|(scope, record)| (scope.clone(), Arc::clone(record))));
        state.events.extend(batch.parts().iter().cloned());
        let erasures: Vec<_> = batch.events().filter_map(Erasure::of).collect();
        blank_parts(&erasures, &mut state.events);
        state.revision = batch.revision();
        Ok(())
    }

    fn write_failure(&self) -> Option<StoreError> {
        None
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl MemoryStore {
    fn all<T>(&self, read: impl FnOnce(&mut dyn Iterator<Item = &Event>) -> T) -> T {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        read(&mut state.events.iter().flat_map(|part| part.iter()))
    }
}

impl EventLog for MemoryStore {
    fn store_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn oldest(&self) -> Result<u64, StoreError> {
        Ok(self.all(|events| events.next().map(|first| first.revision)).unwrap_or(self.newest() + 1))
    }

    fn newest(&self) -> u64 {
        FeatureStore::revision(self)
    }

    fn events(&self, from: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let oldest = self.oldest()?;
        if from < oldest {
            return Err(StoreError::Compacted { oldest, newest: self.newest() });
        }
        Ok(self.all(|events| events.filter(|event| event.revision >= from).take(limit).cloned().collect()))
    }

    fn events_at(&self, revisions: &[u64]) -> Result<Vec<Event>, StoreError> {
        Ok(self.all(|events| events.filter(|event| revisions.contains(&event.revision)).cloned().collect()))
    }

    fn find(&self, terms: &[Term], from: u64, order: Order) -> Result<Found, StoreError> {
        let range = (self.oldest()?, self.newest());
        let concerns = |event: &Event| {
            let of_event = Term::all_of(event);
            terms.iter().all(|term| of_event.contains(term))
        };
        let mut found: Vec<_> =
            self.all(|events| events.filter(|event| concerns(event)).map(|event| event.revision).collect());
        Ok(match order {
            Order::NewestFirst => {
                found.reverse();
                Found::of(found.into_iter().filter(|revision| *revision <= from), range.0, order, range)
            }
            Order::OldestFirst => {
                Found::of(found.into_iter().filter(|revision| *revision >= from), range.1, order, range)
            }
        })
    }
}
