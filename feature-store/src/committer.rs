//! The committer: one thread that owns all writes. It takes what is waiting, commits it as one group and answers.
//!
//! Here are the queue and the threads. What happens in a turn stands in [`worker`], what becomes of the writes of a
//! group in [`group`]; neither needs threads or clocks. Nothing here reads for callers: they ask the store.

mod group;
mod reply;
mod worker;
mod write_health;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use feature_core::{Details, Rejection, Write};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::StoreError;
use crate::store::FeatureStore;
use reply::{Answered, Caller};
pub(crate) use worker::{Job, Worker};

/// How long a turn may take before writes count as not accepted. A healthy disk takes milliseconds, a busy one now and
/// then a second or two. Half of the usual deadline of a call: so the health tells before the first caller gives up.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

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

impl Committer {
    /// Starts the threads. At most `queue` writes wait; more are turned away at once.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(store: Arc<dyn FeatureStore>, queue: NonZeroUsize) -> io::Result<Self> {
        Self::start_with(store, queue, TURN_TIMEOUT)
    }

    pub(crate) fn start_with(store: Arc<dyn FeatureStore>, queue: NonZeroUsize, timeout: Duration) -> io::Result<Self> {
        let (committer, worker) = Self::new(store, queue);
        let watchdog = worker.watchdog();
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || watchdog.run(timeout))?;
        thread::Builder::new().name("committer".to_owned()).spawn(move || worker.run())?;
        Ok(committer)
    }

    /// A committer with the worker that somebody has to run.
    pub(crate) fn new(store: Arc<dyn FeatureStore>, queue: NonZeroUsize) -> (Self, Worker) {
        let (jobs, waiting) = mpsc::channel(queue.get());
        let worker = Worker::new(store, waiting);
        (Self { jobs, accepts_writes: worker.accepts_writes() }, worker)
    }

    /// Commits a write and returns the details of its scope, once the write and all that it was decided upon are
    /// durable and visible. When a caller stops waiting before the write's turn has come, nothing is written; after
    /// that it does not stop its write.
    ///
    /// # Errors
    /// [`CommitError`] says what is known of the write. A full queue is told at once.
    pub async fn commit(&self, write: Write) -> Result<Details, CommitError> {
        self.send(write)?.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Queues a write, and returns where the answer will be.
    pub(crate) fn send(&self, write: Write) -> Result<Answered, CommitError> {
        let (caller, answered) = Caller::new();
        self.jobs.try_send(Job::Commit(Box::new(write), caller)).map_err(|error| match error {
            TrySendError::Full(_) => CommitError::QueueFull,
            TrySendError::Closed(_) => CommitError::Closed,
        })?;
        Ok(answered)
    }

    /// Whether writes are accepted: `false` while a write has been under way for more than five seconds, and for good
    /// after a failed append, after closing, and should the thread ever end by a defect.
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
