//! The reference store: the contract in its simplest form, in memory. Nothing here is durable.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use feature_core::{Record, Scope};

use crate::error::StoreError;
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
}

#[cfg(test)]
impl MemoryStore {
    /// A store that shows these records as of a revision.
    pub(crate) fn with(revision: u64, records: HashMap<Scope, Record>) -> Self {
        let records = records.into_iter().map(|(scope, record)| (scope, Arc::new(record))).collect();
        Self { state: RwLock::new(State { revision, records }) }
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
