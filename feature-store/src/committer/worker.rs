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
use super::{CommitError, Committed, GroupCommit, GroupObserver};
use crate::committer::reply::{EventLoops, ReplySender, send_all};
use crate::committer::write_health::{Watchdog, WriteHealth};
use crate::error::StoreError;
use crate::store::FeatureStore;
use crate::store::batch::Batch;

type CloseReply = oneshot::Sender<Result<(), StoreError>>;

#[derive(Debug)]
pub(crate) enum Job {
    Commit(Box<Write>, ReplySender),
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
        let mut senders = Vec::new();
        let mut next = Some(first);
        // A group is what waits right now: no write waits for company.
        while let Some(job) = next {
            match job {
                // A caller that has left gets no reply, and so no write either.
                Job::Commit(_, sender) if sender.is_abandoned() => {}
                Job::Commit(write, sender) => {
                    group.add(&write, now);
                    senders.push(sender);
                }
                Job::Close(reply) => {
                    self.waiting.close();
                    self.closing = Some(reply);
                }
            }
            next = if group.is_full() { None } else { self.waiting.try_recv().ok() };
        }
        let (batch, outcomes) = group.finish();
        let outcomes = self.commit(&batch, outcomes);
        send_all(senders.into_iter().zip(outcomes), &*self.event_loops);
    }

    /// Makes a batch durable. When that fails, all writes of the group fail, since each was decided on top of the
    /// others.
    fn commit(
        &self,
        batch: &Batch,
        outcomes: Vec<Result<Details, CommitError>>,
    ) -> Vec<Result<Committed, CommitError>> {
        let appended = match self.store.write_failure() {
            Some(cause) => Err(cause.refusing_writes()),
            None if batch.is_empty() => Ok(None),
            None => self.append(batch).map(Some),
        };
        let error = match appended {
            Ok(append) => {
                let group = GroupCommit { writes: outcomes.len(), revision: batch.revision(), append };
                self.observer.committed(&group);
                let committed = |details| Committed { details, group };
                return outcomes.into_iter().map(|outcome| outcome.map(committed)).collect();
            }
            Err(error) => error,
        };
        if !error.is_refusal() && self.health.stop() {
            tracing::error!(%error, "writes are refused from now on, reads go on");
        }
        outcomes.iter().map(|_| Err(error.clone().into())).collect()
    }

    /// Returns when the append began and when it ended.
    fn append(&self, batch: &Batch) -> Result<(Instant, Instant), StoreError> {
        let began = Instant::now();
        self.store.append(batch)?;
        Ok((began, Instant::now()))
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
