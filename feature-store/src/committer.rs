//! The committer: one thread that owns all writes. It takes what is waiting, commits it as one group and answers.
//!
//! Here are the queue, the thread and the rule of poisoning. What becomes of the writes of a group is decided in
//! [`group`], which knows neither threads nor clocks. Nothing here reads for callers: they ask the store.

mod group;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;
use std::{io, thread};

use feature_core::{Details, Rejection, Write};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::StoreError;
use crate::store::FeatureStore;
use group::Group;

/// Why a write was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The write itself is refused. Nothing was written.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too many writes are waiting. Nothing was written; a later attempt may succeed.
    #[error("too many writes are waiting")]
    QueueFull,
    /// The store failed. Nothing was written when [`StoreError::is_refusal`] holds or when it is
    /// [`StoreError::RefusingWrites`]; else the write may turn out to be there after a restart.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The committer takes no writes any more, because it was closed or has ended.
    #[error("the store is closed for writes")]
    Closed,
}

/// Owns all writes to a store. Dropping it lets the writes that are queued finish, but does not close the store.
#[derive(Debug)]
pub struct Committer {
    jobs: mpsc::Sender<Job>,
    accepts_writes: watch::Receiver<bool>,
}

type Answer<T, E> = oneshot::Sender<Result<T, E>>;

#[derive(Debug)]
enum Job {
    Commit(Box<Write>, Answer<Details, CommitError>),
    Close(Answer<(), StoreError>),
}

impl Committer {
    /// Starts the thread. At most `queue` writes wait for it; more are turned away at once.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(store: Arc<dyn FeatureStore>, queue: NonZeroUsize) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(queue.get());
        let (accepting, accepts_writes) = watch::channel(true);
        let worker = Worker { store, accepting: Accepting(accepting), poison: None };
        thread::Builder::new().name("committer".to_owned()).spawn(move || worker.run(waiting))?;
        Ok(Self { jobs, accepts_writes })
    }

    /// Commits a write and returns the details of its scope, once the write and all that it was decided upon are
    /// durable and visible. A caller that stops waiting does not stop its write.
    ///
    /// # Errors
    /// [`CommitError`] says what is known of the write. A full queue is told at once.
    pub async fn commit(&self, write: Write) -> Result<Details, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job::Commit(Box::new(write), answer)).map_err(|error| match error {
            TrySendError::Full(_) => CommitError::QueueFull,
            TrySendError::Closed(_) => CommitError::Closed,
        })?;
        answered.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Whether writes are accepted: `false` for good after a failed append, after closing, and should the thread
    /// ever end by a defect.
    pub fn accepts_writes(&self) -> watch::Receiver<bool> {
        self.accepts_writes.clone()
    }

    /// Finishes the writes that are queued, takes no more, and closes the store.
    ///
    /// # Errors
    /// [`CommitError::Store`] when closing the store failed, [`CommitError::Closed`] when it was closed before.
    pub async fn close(&self) -> Result<(), CommitError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Close(answer)).await.map_err(|_| CommitError::Closed)?;
        Ok(answered.await.map_err(|_| CommitError::Closed)??)
    }
}

struct Worker {
    store: Arc<dyn FeatureStore>,
    accepting: Accepting,
    /// Why writes are refused, after an append has failed.
    poison: Option<StoreError>,
}

/// Says that no writes are accepted as soon as the worker is gone, also when it has panicked.
struct Accepting(watch::Sender<bool>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut closing = None;
        while let Some(first) = waiting.blocking_recv() {
            let mut group = Group::new(self.store.revision());
            let mut answers = Vec::new();
            let mut next = Some(first);
            // A group is what waits right now: nobody is made to wait for company.
            while let Some(job) = next {
                match job {
                    Job::Commit(write, answer) => {
                        group.add(&*self.store, &write, SystemTime::now().into());
                        answers.push(answer);
                    }
                    Job::Close(answer) => {
                        waiting.close();
                        closing = Some(answer);
                    }
                }
                next = if group.is_full() { None } else { waiting.try_recv().ok() };
            }
            for (answer, outcome) in answers.into_iter().zip(self.commit(group)) {
                // A caller that is gone needs no answer.
                let _ = answer.send(outcome);
            }
        }
        if let Some(answer) = closing {
            let outcome = self.store.close();
            // The store is let go before the answer, so that whoever closes can open it again.
            drop(self);
            let _ = answer.send(outcome);
        }
    }

    fn commit(&mut self, group: Group) -> Vec<Result<Details, CommitError>> {
        if let Some(cause) = &self.poison {
            return group.fail(&StoreError::RefusingWrites { cause: Box::new(cause.clone()) });
        }
        let Err(error) = group.commit(&*self.store) else { return group.answers() };
        if !error.is_refusal() {
            tracing::error!(%error, "writes are refused from now on, reads go on");
            self.accepting.0.send_replace(false);
            self.poison = Some(error.clone());
        }
        group.fail(&error)
    }
}
