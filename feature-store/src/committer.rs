//! The committer: one thread that makes all writes. It takes what is waiting, commits it as one group and replies.
//!
//! Here are the queue and the threads. [`worker`] has the turns of the thread, [`group`] the writes of one turn. Reads
//! do not pass here.

mod group;
pub(crate) mod reply;
mod worker;
mod write_health;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use feature_core::{Details, Rejection, Write};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::StoreError;
use crate::store::FeatureStore;
use crate::store::limits::BATCH_MAX_EVENTS;
use reply::{EventLoops, NoEventLoops, Reply, ReplySender};
pub(crate) use worker::{Job, Worker};

/// After so long a turn counts as hanging, and writes as not accepted. A healthy disk takes milliseconds, a busy one
/// now and then a second or two. It is half of the usual deadline of a call: the health changes before the first caller
/// gives up.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a write was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A write is refused, and with it all of its batch. Nothing was written.
    #[error("{rejection}")]
    Rejected {
        /// The write in its batch, counted from 0.
        index: usize,
        /// Why.
        rejection: Rejection,
    },
    /// Two writes of a batch have the same scope. Nothing was written.
    #[error("the write at index {index} has the scope of an earlier one")]
    ScopeRepeated {
        /// The second of them in its batch, counted from 0.
        index: usize,
    },
    /// A batch has too many writes or too large values. Nothing was written.
    #[error(
        "a batch has at most {BATCH_MAX_EVENTS} writes, whose values, the earlier ones included, take at most 4 MiB"
    )]
    BatchTooLarge,
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

/// A write that is durable and visible.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The details of its scope.
    pub details: Details,
    /// The group that it was committed with.
    pub group: GroupCommit,
}

/// A batch of writes that is durable and visible.
#[derive(Debug, Clone)]
pub struct CommittedBatch {
    /// The details of each write's scope, in the order of the writes.
    pub details: Vec<Details>,
    /// The group that it was committed with.
    pub group: GroupCommit,
}

/// A group of writes that was committed.
#[derive(Debug, Clone, Copy)]
pub struct GroupCommit {
    /// How many writes it had, refused ones included.
    pub writes: usize,
    /// The revision of the store after it.
    pub revision: u64,
    /// When its append began, and when its events were durable and visible. `None`: it had no events.
    pub append: Option<(Instant, Instant)>,
}

/// Makes all writes to a store. Dropping it lets the queued writes finish, but does not close the store.
pub struct Committer {
    jobs: mpsc::Sender<Job>,
    event_loops: Arc<dyn EventLoops>,
    accepts_writes: watch::Receiver<bool>,
}

/// Observes the groups of a committer, on its thread.
pub trait GroupObserver: Send + Sync {
    /// A group was committed.
    fn committed(&self, group: &GroupCommit);
}

/// Observes nothing.
pub(crate) struct NoObserver;

impl GroupObserver for NoObserver {
    fn committed(&self, _: &GroupCommit) {}
}

impl Committer {
    /// Starts the threads. At most `queue` writes wait; more are turned away at once.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(store: Arc<dyn FeatureStore>, queue: NonZeroUsize) -> io::Result<Self> {
        Self::start_for(Arc::new(NoEventLoops), Arc::new(NoObserver), store, queue)
    }

    /// As [`Committer::start`], for callers in these event loops: the replies of a group reach them through those.
    ///
    /// `observer`: observes the groups.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start_for(
        event_loops: Arc<dyn EventLoops>,
        observer: Arc<dyn GroupObserver>,
        store: Arc<dyn FeatureStore>,
        queue: NonZeroUsize,
    ) -> io::Result<Self> {
        Self::start_with_timeout(event_loops, observer, store, queue, TURN_TIMEOUT)
    }

    pub(crate) fn start_with_timeout(
        event_loops: Arc<dyn EventLoops>,
        observer: Arc<dyn GroupObserver>,
        store: Arc<dyn FeatureStore>,
        queue: NonZeroUsize,
        timeout: Duration,
    ) -> io::Result<Self> {
        let (committer, worker) = Self::new(event_loops, observer, store, queue);
        let watchdog = worker.watchdog();
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || watchdog.run(timeout))?;
        thread::Builder::new().name("committer".to_owned()).spawn(move || worker.run())?;
        Ok(committer)
    }

    /// A committer without its threads: the caller runs the worker.
    pub(crate) fn new(
        event_loops: Arc<dyn EventLoops>,
        observer: Arc<dyn GroupObserver>,
        store: Arc<dyn FeatureStore>,
        queue: NonZeroUsize,
    ) -> (Self, Worker) {
        let (jobs, waiting) = mpsc::channel(queue.get());
        let worker = Worker::new(store, waiting, Arc::clone(&event_loops), observer);
        (Self { jobs, event_loops, accepts_writes: worker.accepts_writes() }, worker)
    }

    /// Commits a write. Returns once the write and all that it was decided upon are durable and visible. When a caller
    /// stops waiting before the write's turn has come, nothing is written; after that it does not stop its write.
    ///
    /// # Errors
    /// [`CommitError`]. A full queue is an error at once.
    pub async fn commit(&self, write: Write) -> Result<Committed, CommitError> {
        let CommittedBatch { mut details, group } = self.commit_batch(vec![write]).await?;
        Ok(Committed { details: details.pop().expect("one write has one outcome"), group })
    }

    /// Commits a batch of writes to different scopes as [`Committer::commit`] commits one: all of them, or none, also
    /// through a power cut.
    ///
    /// # Errors
    /// [`CommitError`], as for [`Committer::commit`]. One write that is refused refuses the batch.
    pub async fn commit_batch(&self, writes: Vec<Write>) -> Result<CommittedBatch, CommitError> {
        if writes.len() > BATCH_MAX_EVENTS {
            return Err(CommitError::BatchTooLarge);
        }
        self.send(writes)?.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Queues a batch of writes, and returns its future reply.
    pub(crate) fn send(&self, writes: Vec<Write>) -> Result<Reply, CommitError> {
        let (sender, reply) = ReplySender::new(&*self.event_loops);
        self.jobs.try_send(Job::Commit(writes, sender)).map_err(|error| match error {
            TrySendError::Full(_) => CommitError::QueueFull,
            TrySendError::Closed(_) => CommitError::Closed,
        })?;
        Ok(reply)
    }

    /// How many writes wait for their turn.
    pub fn queue_length(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
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

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}
