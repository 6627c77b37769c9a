//! What the committer's thread does, turn by turn, without the thread: the rule of poisoning, the answers, the end.
//!
//! A turn knows neither clocks nor threads: the same jobs, times and store give the same outcome.

use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use feature_core::{Details, Timestamp, Write};
use tokio::sync::{mpsc, oneshot, watch};

use super::CommitError;
use super::group::Group;
use crate::committer::reply::{self, Caller};
use crate::committer::write_health::{Watchdog, WriteHealth};
use crate::error::StoreError;
use crate::store::FeatureStore;

type Answer = oneshot::Sender<Result<(), StoreError>>;

#[derive(Debug)]
pub(crate) enum Job {
    Commit(Box<Write>, Caller),
    Close(Answer),
}

pub(crate) struct Worker {
    pub(crate) store: Arc<dyn FeatureStore>,
    pub(crate) waiting: mpsc::Receiver<Job>,
    health: WriteHealth,
    /// Why writes are refused, after an append has failed.
    poison: Option<StoreError>,
    closing: Option<Answer>,
}

impl Worker {
    pub(super) fn new(store: Arc<dyn FeatureStore>, waiting: mpsc::Receiver<Job>) -> Self {
        Self { store, waiting, health: WriteHealth::new(), poison: None, closing: None }
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
            // Where the cores are busy, those who were just told bring their next writes now: they make one larger group.
            thread::yield_now();
        }
        self.finish();
    }

    /// One turn: takes what is waiting after `first`, commits it as one group and answers.
    pub(crate) fn turn(&mut self, first: Job, now: Timestamp) {
        let mut group = Group::new(self.store.revision());
        let mut callers = Vec::new();
        let mut next = Some(first);
        // A group is what waits right now: nobody is made to wait for company.
        while let Some(job) = next {
            match job {
                // Whoever has given up by now gets no answer, and so no write either.
                Job::Commit(_, caller) if caller.has_gone() => {}
                Job::Commit(write, caller) => {
                    group.add(&*self.store, &write, now);
                    callers.push(caller);
                }
                Job::Close(answer) => {
                    self.waiting.close();
                    self.closing = Some(answer);
                }
            }
            next = if group.is_full() { None } else { self.waiting.try_recv().ok() };
        }
        reply::tell(callers.into_iter().zip(self.commit(group)));
    }

    fn commit(&mut self, group: Group) -> Vec<Result<Details, CommitError>> {
        if let Some(cause) = &self.poison {
            return group.fail(&StoreError::RefusingWrites { cause: Box::new(cause.clone()) });
        }
        let Err(error) = group.commit(&*self.store) else { return group.answers() };
        if !error.is_refusal() {
            tracing::error!(%error, "writes are refused from now on, reads go on");
            self.health.stop();
            self.poison = Some(error.clone());
        }
        group.fail(&error)
    }

    fn finish(mut self) {
        if let Some(answer) = self.closing.take() {
            let outcome = self.store.close();
            // The store is let go before the answer, so that whoever closes can open it again.
            drop(self);
            let _ = answer.send(outcome);
        }
    }
}
