//! A process of the simulation: the store with its committer as production makes them, but for the threads, and for the
//! projection, which is in memory. So it ends with the process.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use feature_core::{Details, Event, Record, Scope, Timestamp, Write};
use tokio::sync::oneshot::Receiver;
use uuid::Uuid;

use super::disk::Disk;
use super::switch;
use crate::committer::Worker;
use crate::error::{OpenError, StoreError};
use crate::store::limits::Limits;
use crate::tests::fixtures::records;
use crate::{CommitError, Committer, FeatureStore, JournalStore, MemoryStore};

/// A segment takes a few groups, so that there are many segments.
pub(super) const LIMITS: Limits = Limits { segment_bytes: 600, reserve_bytes: 1000, cache_bytes: 0 };

/// How many writes may wait.
const QUEUE: NonZeroUsize = NonZeroUsize::new(4).expect("it is not 0");

pub(super) struct Process {
    disk: Disk,
    store: Arc<JournalStore>,
    projection: Arc<Projection>,
    committer: Committer,
    worker: Worker,
    waiting: Vec<(Write, Answer)>,
    sights: Arc<Mutex<Vec<Sight>>>,
}

type Answer = Receiver<Result<Details, CommitError>>;

/// What a reader sees at one moment: the revision, then all records.
pub(super) type Sight = (u64, Vec<Record>);

/// What has become of the writes that waited.
pub(super) struct Turn {
    pub(super) answers: Vec<Result<Details, CommitError>>,
    /// What readers saw meanwhile, in this order.
    pub(super) sights: Vec<Sight>,
}

impl Process {
    pub(super) fn open(disk: &Disk) -> Result<Self, OpenError> {
        let projection = Arc::new(Projection::new(disk));
        let store = switch::on(disk, || {
            JournalStore::open_over(Path::new("/some/data"), LIMITS, Uuid::from_u128(7), |journal| {
                journal.replay(0, 3, |events| projection.append(&events).map_err(|error| unreachable!("{error}")))?;
                Ok(Box::new(projection.clone()))
            })
        })?;
        let store = Arc::new(store);
        let (committer, worker) = Committer::new(store.clone(), QUEUE);
        let sights = Arc::default();
        Ok(Self { disk: disk.clone(), store, projection, committer, worker, waiting: Vec::new(), sights })
    }

    /// The whole history that the store has found and added.
    pub(super) fn history(&self) -> Vec<Event> {
        self.projection.history.lock().expect("nobody panics with it").clone()
    }

    pub(super) fn sight(&self) -> Sight {
        (self.store.revision(), records(&*self.store))
    }

    pub(super) fn accepts_writes(&self) -> bool {
        *self.committer.accepts_writes().borrow()
    }

    pub(super) fn fail_projection(&self) {
        self.projection.fails.store(true, Ordering::Relaxed);
    }

    /// Queues a write, or says that the queue is full.
    pub(super) fn send(&mut self, write: Write) -> Result<(), CommitError> {
        let answer = self.committer.send(write.clone())?;
        self.waiting.push((write, answer));
        Ok(())
    }

    pub(super) fn waiting(&self) -> Vec<Write> {
        self.waiting.iter().map(|(write, _)| write.clone()).collect()
    }

    /// Lets the committer take its turn, while readers look all the time.
    pub(super) fn turn(&mut self, now: Timestamp) -> Turn {
        let (store, sights) = (self.store.clone(), self.sights.clone());
        let look = move || {
            let (mut sights, sight) =
                (sights.lock().expect("nobody panics with it"), (store.revision(), records(&*store)));
            if sights.last() != Some(&sight) {
                sights.push(sight);
            }
        };
        self.disk.set_witness(Some(Arc::new(look)));
        if let Ok(first) = self.worker.waiting.try_recv() {
            switch::on(&self.disk, || self.worker.turn(first, now));
        }
        self.disk.set_witness(None);
        let answer = |(_, mut answer): (_, Answer)| answer.try_recv().expect("all that waited is answered");
        let answers = self.waiting.drain(..).map(answer).collect();
        Turn { answers, sights: std::mem::take(&mut *self.sights.lock().expect("nobody panics with it")) }
    }

    pub(super) fn close(self) -> Result<(), StoreError> {
        switch::on(&self.disk, || self.store.close())
    }
}

/// A memory store that keeps what it was given and can fail.
struct Projection {
    disk: Disk,
    records: MemoryStore,
    history: Mutex<Vec<Event>>,
    fails: AtomicBool,
}

impl Projection {
    fn new(disk: &Disk) -> Self {
        let (records, history, fails) = Default::default();
        Self { disk: disk.clone(), records, history, fails }
    }
}

impl FeatureStore for Arc<Projection> {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.records.record(scope)
    }

    fn revision(&self) -> u64 {
        self.records.revision()
    }

    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Projection { reason: "as planned".to_owned() });
        }
        self.records.append(events)?;
        self.disk.look();
        self.history.lock().expect("nobody panics with it").extend_from_slice(events);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
