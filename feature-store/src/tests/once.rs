//! A write makes its record once: every layer of a store takes it from the batch.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use feature_core::{Record, Scope, Timestamp, Value};
use uuid::Uuid;

use super::fixtures::{scopes, write};
use crate::committer::NoObserver;
use crate::committer::reply::NoEventLoops;
use crate::format::encoding::tests::ENCODED;
use crate::projection::Projection;
use crate::store::fold::APPLIED;
use crate::store::limits::SIZES;
use crate::store::write_behind::WriteBehind;
use crate::{Batch, Committer, FeatureStore, JournalStore, Selected, Selection, StoreError, Versioned};

/// Passes everything on, counts the records that are read, and keeps the batches.
struct Spy<S> {
    inner: S,
    reads: AtomicUsize,
    batches: Mutex<Vec<Batch>>,
}

impl<S: FeatureStore> Spy<S> {
    fn new(inner: S) -> Arc<Self> {
        Arc::new(Self { inner, reads: AtomicUsize::new(0), batches: Mutex::default() })
    }

    fn record_in_batch(&self, scope: &Scope) -> Arc<Record> {
        let batches = self.batches.lock().unwrap();
        Arc::clone(batches.last().unwrap().record(scope).unwrap())
    }
}

impl<S: FeatureStore> FeatureStore for Spy<S> {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.batches.lock().unwrap().push(batch.clone());
        self.inner.append(batch)
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.inner.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

#[test]
fn a_record_is_made_once_for_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let (mut below, mut handing_on) = (None, None);
    let store = JournalStore::open_over(folder.path(), SIZES, Uuid::nil(), |journal| {
        let projection = Projection::open(&folder.path().join("projection"), journal, SIZES.cache_bytes)?;
        let spy = below.insert(Spy::new(projection));
        let write_behind = handing_on.insert(Arc::new(WriteBehind::new(Box::new(Arc::clone(spy)))));
        Ok(Box::new(Arc::clone(write_behind)))
    });
    let (above, below, handing_on) = (Spy::new(store.unwrap()), below.unwrap(), handing_on.unwrap());
    let store = Versioned::new(above.clone());
    let (committer, mut worker) =
        Committer::new(Arc::new(NoEventLoops), Arc::new(NoObserver), store, NonZeroUsize::MIN.saturating_add(9));

    // Five writes to two scopes, in one group: four of them change something.
    let (one, other) = (&scopes()[1], &scopes()[4]);
    let writes = [(one, "a"), (one, "b"), (other, "a"), (one, "a"), (one, "c")];
    let send = |(scope, key)| committer.send(vec![write(scope, key, Some(Value::Flag(true)))]).unwrap();
    let mut replies = writes.map(send);
    let first = worker.waiting.try_recv().unwrap();
    worker.turn(first, Timestamp::from_unix_nanos(1));
    assert!(replies.iter_mut().all(|reply| reply.try_recv().unwrap().is_ok()));
    assert_eq!(APPLIED.get(), 4, "each event is applied once");
    assert_eq!(ENCODED.get(), 0, "no writer waits while a record is encoded");
    handing_on.hand_on().unwrap();
    assert_eq!(ENCODED.get(), 2, "each record is encoded once");
    assert_eq!(APPLIED.get(), 4, "the projection applies no event again");
    assert_eq!(below.reads.load(Ordering::SeqCst), 2, "only the committer reads a record, each once");
    for scope in [one, other] {
        let (decided, projected) = (above.record_in_batch(scope), below.record_in_batch(scope));
        assert!(Arc::ptr_eq(&decided, &projected), "the record of the group is the one that the projection gets");
        assert_eq!(below.inner.record(scope).unwrap(), *decided);
    }
}
