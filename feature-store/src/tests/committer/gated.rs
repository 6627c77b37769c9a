//! A store that blocks and fails on demand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use feature_core::{Record, Scope};

use crate::{Batch, FeatureStore, MemoryStore, Selected, Selection, StoreError};

/// A memory store whose appends wait for a gate, are counted, and fail when told to.
#[derive(Default)]
pub(super) struct Gated {
    pub(super) inner: MemoryStore,
    pub(super) gate: Mutex<()>,
    pub(super) entered: AtomicUsize,
    pub(super) closed: AtomicUsize,
    /// How the next appends fail, if they do.
    pub(super) failures: Mutex<VecDeque<Option<StoreError>>>,
    pub(super) failed: OnceLock<StoreError>,
}

impl FeatureStore for Gated {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().unwrap());
        let Some(error) = self.failures.lock().unwrap().pop_front().flatten() else { return self.inner.append(batch) };
        if !error.is_refusal() {
            self.failed.set(error.clone()).unwrap();
        }
        Err(error)
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.failed.get().cloned()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
