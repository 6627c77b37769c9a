//! The contract of a store: what every implementation promises, and the batches that it takes.

pub(crate) mod batch;
pub(crate) mod fold;
pub(crate) mod journal_store;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod recent_events;
pub(crate) mod selection;
pub(crate) mod touched;
pub(crate) mod versioned;
pub(crate) mod write_behind;

use feature_core::{Record, Scope, Timestamp};

use crate::error::StoreError;
use batch::Batch;
use selection::{Selected, Selection};

/// Keeps the history of all scopes and shows the newest record of each.
///
/// Reads come from any number of threads and may touch the disk. Writes come from one thread, the one of the
/// [`Committer`](crate::Committer).
pub trait FeatureStore: Send + Sync {
    /// The newest committed record of `scope`; the default record when it was never written.
    ///
    /// A record that was seen once stays: no crash takes it back.
    ///
    /// # Errors
    /// [`StoreError::DamagedRecord`] or [`StoreError::Projection`] when the record cannot be read. A record that
    /// cannot be trusted is never answered, nor is a default in its place.
    fn record(&self, scope: &Scope) -> Result<Record, StoreError>;

    /// The newest committed records of a selection. They need not be of one moment:
    /// [`Versioned`](crate::Versioned) has reads that are.
    ///
    /// * `after`: the scope after which they come, of those that the selection covers.
    /// * `limit`: about so many records are looked at.
    ///
    /// # Errors
    /// As for [`FeatureStore::record`].
    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError>;

    /// The revision of the last committed event; 0 when there is none. Its records are visible.
    fn revision(&self) -> u64;

    /// Adds a batch, which must follow [`FeatureStore::revision`].
    ///
    /// All or nothing: with `Ok` all events are durable and visible, with an error none is visible. (After a crash
    /// within the call a part of the events, from the first on, may be there.)
    ///
    /// # Errors
    /// When [`StoreError::is_refusal`] holds, the store has changed nothing, and the next append may succeed. After
    /// [`StoreError::OutcomeUnknown`] the events may be there, or come yet; later appends may succeed. After any other
    /// error the content of the disk is unknown: [`FeatureStore::write_failure`] has the cause from then on, further
    /// appends fail with [`StoreError::RefusingWrites`], and reads go on.
    fn append(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Takes in what other writers have added, so that a batch that met [`StoreError::Overtaken`] can be decided again.
    /// `misses`: how often it has met that so far.
    ///
    /// # Errors
    /// [`StoreError`] when that is not possible now.
    fn catch_up(&self, _misses: u32) -> Result<(), StoreError> {
        Ok(())
    }

    /// What an operator watches, from memory.
    fn status(&self) -> StoreStatus {
        StoreStatus { revision: self.revision(), ..StoreStatus::default() }
    }

    /// The bytes that are free on the disk; `None` without a disk, or if it does not say so. Waits for the disk.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// The failure since which the store refuses all writes; `None` while it accepts them.
    fn write_failure(&self) -> Option<StoreError>;

    /// Makes the end of the history recognisable as a clean one, and flushes everything. Called once, last.
    ///
    /// # Errors
    /// [`StoreError`] when that fails. Every event is durable nevertheless.
    fn close(&self) -> Result<(), StoreError>;
}

/// What an operator watches of a store. What a store does not know or have stays 0 or `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// The revision of the last committed event.
    pub revision: u64,
    /// The time of the last committed event.
    pub newest_event: Option<Timestamp>,
    /// The bytes of the journal, without the space for later events.
    pub journal_bytes: u64,
    /// Events that are visible, and that the projection on the disk does not have yet.
    pub projection_lag: u64,
}
