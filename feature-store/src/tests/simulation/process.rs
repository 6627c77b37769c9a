//! A process of the simulation: the store as production puts it together, with write-behind and versions, and its
//! committer. The simulation takes the turns of their threads.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use feature_core::{Details, Event, Timestamp, Write};
use tokio::sync::oneshot::Receiver;
use uuid::Uuid;

use super::disk::Disk;
use super::projection::{Faulty, Projections};
use super::reader::{Reader, Sight};
use super::switch;
use crate::committer::NoObserver;
use crate::committer::Worker;
use crate::committer::reply::NoEventLoops;
use crate::error::{OpenError, StoreError};
use crate::journal::check_whole;
use crate::store::limits::{Keep, Sizes};
use crate::store::write_behind::WriteBehind;
use crate::{CommitError, CommittedBatch, Committer, EventLog, FeatureStore, JournalStore, Versioned};

/// A segment takes a few groups, so that there are many segments.
pub(super) const SIZES: Sizes =
    Sizes { segment_bytes: 600, reserve_bytes: 1000, cache_bytes: 1024 * 1024, keep: Keep::Forever };

/// The same, with a part of the history.
pub(super) const SHORT: Sizes = Sizes { keep: Keep::Bytes(1_600), ..SIZES };

/// How many writes may wait.
const QUEUE: NonZeroUsize = NonZeroUsize::new(4).expect("it is not 0");

pub(super) struct Process {
    disk: Disk,
    journal: Arc<JournalStore>,
    store: Arc<Versioned>,
    projection: Arc<Faulty>,
    write_behind: Arc<WriteBehind>,
    committer: Committer,
    worker: Worker,
    waiting: Vec<(Vec<Write>, Reply)>,
    pub(super) reader: Arc<Reader>,
    /// The history that the journal had at the start, as far as it was kept, or why it cannot be read.
    pub(super) found: Result<Vec<Event>, String>,
    /// The last revision at the start.
    pub(super) revision: u64,
}

type Reply = Receiver<Result<CommittedBatch, CommitError>>;

/// The outcome of a turn of the committer.
pub(super) struct Turn {
    pub(super) answers: Vec<Result<Vec<Details>, CommitError>>,
    /// What a reader saw meanwhile, in this order.
    pub(super) sights: Vec<Sight>,
}

impl Process {
    pub(super) fn open(disk: &Disk, projections: &Projections, sizes: Sizes) -> Result<Self, OpenError> {
        let (mut found, mut layers) = (Ok(Vec::new()), None);
        let store = switch::on(disk, || {
            JournalStore::open_over(Path::new("/some/data"), sizes, Uuid::from_u128(7), |journal| {
                let mut all = Vec::new();
                let read = journal.replay(0, 3, |events| {
                    all.extend(events);
                    Ok(())
                });
                match read {
                    Err(OpenError::Io(error)) => return Err(OpenError::Io(error)),
                    read => found = read.map(|()| all).map_err(|error| error.to_string()),
                }
                let projection = Arc::new(projections.open(journal, disk)?);
                let write_behind = Arc::new(WriteBehind::new(Box::new(Arc::clone(&projection))));
                layers = Some((projection, Arc::clone(&write_behind)));
                Ok(Box::new(write_behind))
            })
        })?;
        let (projection, write_behind) = layers.expect("an open store has a projection");
        let journal = Arc::new(store);
        let store = Versioned::new(Arc::clone(&journal) as _);
        let revision = store.revision();
        let reader = Arc::new(Reader::new(Arc::clone(&store)));
        let (committer, worker) =
            Committer::new(Arc::new(NoEventLoops), Arc::new(NoObserver), Arc::clone(&store) as _, QUEUE);
        let (disk, waiting) = (disk.clone(), Vec::new());
        Ok(Self { disk, journal, store, projection, write_behind, committer, worker, waiting, reader, found, revision })
    }

    /// Checks the whole journal of a process that has ended.
    pub(super) fn check_whole(disk: &Disk) -> Result<(), OpenError> {
        switch::on(disk, || check_whole(Path::new("/some/data")))
    }

    pub(super) fn accepts_writes(&self) -> bool {
        *self.committer.accepts_writes().borrow()
    }

    pub(super) fn fail_projection(&self) {
        self.projection.fail();
    }

    /// The number of events that the projection lacks.
    pub(super) fn behind(&self) -> u64 {
        self.write_behind.revision() - self.projection.revision()
    }

    /// Queues a batch of writes, or says that the queue is full.
    pub(super) fn send(&mut self, batch: Vec<Write>) -> Result<(), CommitError> {
        let reply = self.committer.send(batch.clone())?;
        self.waiting.push((batch, reply));
        Ok(())
    }

    pub(super) fn waiting(&self) -> Vec<Vec<Write>> {
        self.waiting.iter().map(|(batch, _)| batch.clone()).collect()
    }

    /// The committer takes its turn, while a reader looks all the time.
    pub(super) fn turn(&mut self, now: Timestamp) -> Turn {
        let first = self.worker.waiting.try_recv().expect("a write waits");
        let (disk, reader, worker) = (self.disk.clone(), &self.reader, &mut self.worker);
        let ((), sights) = watched(&disk, reader, || worker.turn(first, now));
        let answer = |(_, mut reply): (_, Reply)| {
            let committed = reply.try_recv().expect("every batch has its reply")?;
            Ok(committed.details)
        };
        Turn { answers: self.waiting.drain(..).map(answer).collect(), sights }
    }

    /// The write-behind thread takes its turn, while a reader looks all the time.
    pub(super) fn hand_on(&self) -> (Result<(), StoreError>, Vec<Sight>) {
        watched(&self.disk, &self.reader, || self.write_behind.hand_on())
    }

    /// The thread for checkpoints takes its turn, while a reader looks all the time.
    pub(super) fn checkpoint(&self, now: Timestamp) -> (Result<(), String>, Vec<Sight>) {
        watched(&self.disk, &self.reader, || self.journal.checkpoint(now))
    }

    /// Whether the store will refuse the next write.
    pub(super) fn refuses_writes(&self) -> bool {
        self.journal.write_failure().is_some()
    }

    /// Whether erasures are yet to be carried out.
    pub(super) fn owes_erasures(&self) -> bool {
        self.journal.owes_erasures()
    }

    /// All events that are kept.
    pub(super) fn kept(&self) -> Result<Vec<Event>, StoreError> {
        switch::on(&self.disk, || {
            let mut kept = Vec::new();
            let mut from = self.journal.oldest()?;
            while from <= EventLog::newest(&*self.journal) {
                kept.extend(self.journal.events(from, 7)?);
                from = kept.last().map_or(from, |last: &Event| last.revision) + 1;
            }
            Ok(kept)
        })
    }

    pub(super) fn close(self) -> Result<(), StoreError> {
        switch::on(&self.disk, || self.store.close())
    }
}

impl Drop for Process {
    /// A process that ends hands nothing on any more. After a close there is nothing left.
    fn drop(&mut self) {
        self.projection.fail();
    }
}

/// Runs something on the disk, and returns also what a reader saw meanwhile.
fn watched<T>(disk: &Disk, reader: &Arc<Reader>, run: impl FnOnce() -> T) -> (T, Vec<Sight>) {
    let sights: Arc<Mutex<Vec<Sight>>> = Arc::default();
    let (seen, reader) = (Arc::clone(&sights), Arc::clone(reader));
    let look = move || {
        let mut sights = seen.lock().expect("a look does not panic");
        for sight in [reader.fresh(), reader.kept()] {
            if sights.last() != Some(&sight) {
                sights.push(sight);
            }
        }
    };
    disk.set_witness(Some(Arc::new(look)));
    let outcome = switch::on(disk, run);
    disk.set_witness(None);
    let sights = std::mem::take(&mut *sights.lock().expect("a look does not panic"));
    (outcome, sights)
}
