//! The turns of the committer, without its thread: one group, its append, its replies, and the end.
//!
//! A turn has no thread. The same jobs, times and store give the same outcome, but for the moments in a
//! [`GroupCommit`].

use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use feature_core::{Details, Timestamp, Write};
use tokio::sync::{mpsc, oneshot, watch};

use super::group::Group;
use super::{CommitError, CommittedBatch, GroupCommit, GroupObserver};
use crate::committer::reply::{EventLoops, ReplySender, send_all};
use crate::committer::write_health::{Watchdog, WriteHealth};
use crate::error::StoreError;
use crate::store::FeatureStore;
use crate::store::batch::Batch;

/// How often a group may be decided again because another writer was faster.
const MISSES_MAX: u32 = 20;

type CloseReply = oneshot::Sender<Result<(), StoreError>>;

#[derive(Debug)]
pub(crate) enum Job {
    Commit(Vec<Write>, ReplySender),
    Close(CloseReply),
}

pub(crate) struct Worker {
    store: Arc<dyn FeatureStore>,
    pub(crate) waiting: mpsc::Receiver<Job>,
    event_loops: Arc<dyn EventLoops>,
    observer: Arc<dyn GroupObserver>,
    health: WriteHealth,
    closing: Option<CloseReply>,
}

impl Worker {
    pub(super) fn new(
        store: Arc<dyn FeatureStore>,
        waiting: mpsc::Receiver<Job>,
        event_loops: Arc<dyn EventLoops>,
        observer: Arc<dyn GroupObserver>,
    ) -> Self {
        Self { store, waiting, event_loops, observer, health: WriteHealth::new(), closing: None }
    }

    pub(super) fn accepts_writes(&self) -> watch::Receiver<bool> {
        self.health.watch()
    }

    pub(super) fn watchdog(&self) -> Watchdog {
        self.health.watchdog()
    }

    /// Takes turns until the committer is closed or dropped.
    pub(super) fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            self.health.turn_started();
            self.turn(first, SystemTime::now().into());
            self.health.turn_ended();
            // On busy cores the callers that just got a reply bring their next writes now, which makes a larger group.
            thread::yield_now();
        }
        self.finish();
    }

    /// One turn: takes what is waiting after `first`, commits it as one group and replies.
    pub(crate) fn turn(&mut self, first: Job, now: Timestamp) {
        let store = Arc::clone(&self.store);
        let mut group = Group::new(&*store);
        let (mut batches, mut senders) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        // A group is what waits right now: no write waits for company.
        while let Some(job) = next {
            match job {
                // A caller that has left gets no reply, and so no write either.
                Job::Commit(_, sender) if sender.is_abandoned() => {}
                Job::Commit(batch, sender) => {
                    group.add(&batch, now);
                    batches.push(batch);
                    senders.push(sender);
                }
                Job::Close(reply) => {
                    self.waiting.close();
                    self.closing = Some(reply);
                }
            }
            next = if group.is_full() { None } else { self.waiting.try_recv().ok() };
        }
        let outcomes = self.commit(&*store, group, &batches, now);
        send_all(senders.into_iter().zip(outcomes), &*self.event_loops);
    }

    /// Makes a group durable. When another writer was faster, its writes are decided again.
    fn commit<'a>(
        &self,
        store: &'a dyn FeatureStore,
        mut group: Group<'a>,
        batches: &[Vec<Write>],
        now: Timestamp,
    ) -> Vec<Result<CommittedBatch, CommitError>> {
        for misses in 1..=MISSES_MAX {
            let writes = group.writes();
            let (batch, outcomes) = group.finish();
            let error = match self.append(&batch) {
                Ok(append) => {
                    return self.committed(GroupCommit { writes, revision: batch.revision(), append }, outcomes);
                }
                Err(StoreError::Overtaken) => match store.catch_up(misses) {
                    Ok(()) => {
                        group = Group::new(store);
                        batches.iter().for_each(|batch| group.add(batch, now));
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            return self.failed(&error, batches.len());
        }
        // The store's turns to append alone make this a defect of the database.
        let reason = format!("other writers were faster {MISSES_MAX} times in a row");
        self.failed(&StoreError::Unreachable { reason }, batches.len())
    }

    fn committed(
        &self,
        group: GroupCommit,
        outcomes: Vec<Result<Vec<Details>, CommitError>>,
    ) -> Vec<Result<CommittedBatch, CommitError>> {
        self.observer.committed(&group);
        let committed = |details| CommittedBatch { details, group };
        outcomes.into_iter().map(|outcome| outcome.map(committed)).collect()
    }

    /// All writes of a group fail together, since each was decided on top of the others.
    fn failed(&self, error: &StoreError, batches: usize) -> Vec<Result<CommittedBatch, CommitError>> {
        if error.ends_writes() && self.health.stop() {
            tracing::error!(%error, "writes are refused from now on, reads go on");
        }
        (0..batches).map(|_| Err(error.clone().into())).collect()
    }

    /// Appends a batch; one without events is confirmed, since its outcomes hold only if no other writer was faster.
    /// Returns when the append of events began and when it ended.
    fn append(&self, batch: &Batch) -> Result<Option<(Instant, Instant)>, StoreError> {
        if let Some(cause) = self.store.write_failure() {
            return Err(cause.refusing_writes());
        }
        let began = Instant::now();
        self.store.append(batch)?;
        Ok((!batch.is_empty()).then(|| (began, Instant::now())))
    }

    fn finish(mut self) {
        if let Some(reply) = self.closing.take() {
            let outcome = self.store.close();
            // The store is dropped before the reply, so that the caller can open it again.
            drop(self);
            let _ = reply.send(outcome);
        }
    }
}
