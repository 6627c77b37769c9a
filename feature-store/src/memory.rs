//! The reference store: the contract in its simplest form, in memory. Nothing here is durable.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use feature_core::{Event, Record, Scope};

use crate::error::StoreError;
use crate::store::{FeatureStore, check_append};

/// A store that forgets everything when it is dropped: the model in tests, and a store for trying things out.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    records: HashMap<Scope, Record>,
}

impl FeatureStore for MemoryStore {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        // No code under the lock panics half-way, so a poisoned lock still guards a whole state.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(state.records.get(scope).cloned().unwrap_or_default())
    }

    fn revision(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).revision
    }

    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        check_append(state.revision, events)?;
        for event in events {
            state.records.entry(event.scope.clone()).or_default().apply(event);
            state.revision = event.revision;
        }
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
