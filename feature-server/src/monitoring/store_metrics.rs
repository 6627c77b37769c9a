//! The metrics of the store and of its writes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use feature_store::{Committer, FeatureStore, GroupCommit, GroupObserver};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::time::sleep;

use super::call_counters::CALL_SECONDS;
use super::histogram::{Buckets, Histogram, Total};
use super::metrics::Family;

/// The time between two looks at the free space of the disk.
const FREE_SPACE_INTERVAL: Duration = Duration::from_secs(10);

/// Stands for a free space that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// The writes of a group.
static GROUP_WRITES: Buckets = Buckets { limits: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], divisor: 1.0 };

/// Counts the groups of a committer.
#[derive(Debug)]
pub struct GroupCounters {
    /// In the buckets of calls: a sync is the longest part of a write's call.
    durable: Histogram,
    writes: Histogram,
}

impl Default for GroupCounters {
    fn default() -> Self {
        Self { durable: Histogram::new(&CALL_SECONDS), writes: Histogram::new(&GROUP_WRITES) }
    }
}

impl GroupObserver for GroupCounters {
    /// A group without events needs no sync, and counts as none.
    fn committed(&self, group: &GroupCommit) {
        if let Some((began, durable)) = group.append {
            self.durable.observe(durable.duration_since(began).as_nanos() as u64);
            self.writes.observe(group.writes as u64);
        }
    }
}

/// A store with its committer.
pub struct StoreMetrics {
    store: Arc<dyn FeatureStore>,
    committer: Arc<Committer>,
    groups: Arc<GroupCounters>,
    free_bytes: Arc<AtomicU64>,
}

impl StoreMetrics {
    /// The metrics of a store. Must be called on a tokio runtime, where it looks at the disk's free space from time to
    /// time.
    ///
    /// `groups`: the observer of the committer.
    pub fn new(store: Arc<dyn FeatureStore>, committer: Arc<Committer>, groups: Arc<GroupCounters>) -> Self {
        let free_bytes = Arc::new(AtomicU64::new(UNKNOWN));
        tokio::spawn(watch_free_space(Arc::downgrade(&store), Arc::clone(&free_bytes)));
        Self { store, committer, groups, free_bytes }
    }
}

/// A disk may hang, so no scrape waits for it: the last known value is shown. It ends with the store.
async fn watch_free_space(store: Weak<dyn FeatureStore>, free_bytes: Arc<AtomicU64>) {
    while let Some(store) = store.upgrade() {
        // Fails only when the runtime ends.
        let Ok(free) = tokio::task::spawn_blocking(move || store.free_bytes()).await else { return };
        free_bytes.store(free.unwrap_or(UNKNOWN), Ordering::Relaxed);
        sleep(FREE_SPACE_INTERVAL).await;
    }
}

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (encoder, status) = (&mut encoder, self.store.status());
        Family::gauge(encoder, "feature_store_revision", "The revision of the newest event")?
            .value(status.revision as f64)?;
        if let Some(time) = status.newest_event {
            let help = "When the newest event was written, in seconds since 1970";
            Family::gauge(encoder, "feature_store_newest_event_timestamp_seconds", help)?
                .value(time.unix_nanos() as f64 / 1e9)?;
        }
        Family::histogram(encoder, "feature_store_durable_seconds", "How long a group of writes took to be durable")?
            .total(&Total::of(&CALL_SECONDS, [&self.groups.durable]))?;
        Family::histogram(encoder, "feature_store_group_size", "Writes decided together, with one sync")?
            .total(&Total::of(&GROUP_WRITES, [&self.groups.writes]))?;
        Family::gauge(encoder, "feature_store_queue_length", "Writes that wait for their turn")?
            .value(self.committer.queue_length() as f64)?;
        let poisoned = self.store.write_failure().is_some();
        Family::gauge(encoder, "feature_store_poisoned", "1 after a write has failed: no writes until a restart")?
            .value(f64::from(u8::from(poisoned)))?;
        let accepts = *self.committer.accepts_writes().borrow();
        Family::gauge(encoder, "feature_store_accepts_writes", "0 while writes are refused, or one hangs")?
            .value(f64::from(u8::from(accepts)))?;
        Family::gauge(encoder, "feature_store_journal_bytes", "The bytes of the journal")?
            .value(status.journal_bytes as f64)?;
        let free = self.free_bytes.load(Ordering::Relaxed);
        if free != UNKNOWN {
            Family::gauge(encoder, "feature_store_free_bytes", "Free bytes on the disk of the data folder")?
                .value(free as f64)?;
        }
        Family::gauge(encoder, "feature_store_projection_lag", "Durable events that sled does not have yet")?
            .value(status.projection_lag as f64)
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreMetrics").finish_non_exhaustive()
    }
}
