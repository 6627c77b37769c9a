//! A store that tells whether what was read of it is still so, without reading it again. What is remembered on the
//! strength of that, and how, is up to the caller.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use feature_core::{Event, Record, Scope};

use crate::error::StoreError;
use crate::store::FeatureStore;

/// How many versions there are. Scopes that share one cost each other a second reading after a write, and nothing else.
const STRIPES: usize = 65_536;

/// A store whose records have versions. All writes must go through it.
pub struct Versioned {
    store: Arc<dyn FeatureStore>,
    /// For each stripe of scopes twice the number of writes that there were, and one more while a write is under way.
    counts: Box<[AtomicU64]>,
}

/// The version that the record of a scope had at a moment when nobody was writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    stripe: usize,
    count: u64,
}

impl Versioned {
    /// Gives the records of a store versions.
    pub fn new(store: Arc<dyn FeatureStore>) -> Arc<Self> {
        let counts = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { store, counts })
    }

    /// The version of the record of `scope`, to be asked for before the record is read; `None` while it may be changing.
    pub fn version(&self, scope: &Scope) -> Option<Version> {
        let stripe = self.stripe(scope);
        let count = self.counts[stripe].load(Ordering::Acquire);
        count.is_multiple_of(2).then_some(Version { stripe, count })
    }

    /// Whether nobody has written the record since it had this version, or is doing so now. Once the writer is
    /// answered, and as soon as anybody can see what was written, this is `false`.
    pub fn is_current(&self, version: Version) -> bool {
        self.counts[version.stripe].load(Ordering::Acquire) == version.count
    }

    fn stripe(&self, scope: &Scope) -> usize {
        // Always the same: who finds scopes that share a stripe gains nothing by it.
        BuildHasherDefault::<DefaultHasher>::default().hash_one(scope) as usize % STRIPES
    }
}

impl FeatureStore for Versioned {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.store.record(scope)
    }

    fn revision(&self) -> u64 {
        self.store.revision()
    }

    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let stripes: BTreeSet<_> = events.iter().map(|event| self.stripe(&event.scope)).collect();
        let _changing = Changing::begin(stripes.into_iter().map(|stripe| &self.counts[stripe]).collect());
        self.store.append(events)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }
}

/// Counts that are odd until this is dropped. They go on however the write ends: it costs a reading too many at worst.
struct Changing<'a>(Vec<&'a AtomicU64>);

impl<'a> Changing<'a> {
    fn begin(counts: Vec<&'a AtomicU64>) -> Self {
        for count in &counts {
            // Nothing of the write that follows can be seen before this.
            count.fetch_add(1, Ordering::AcqRel);
        }
        Self(counts)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_add(1, Ordering::Release);
        }
    }
}
