//! The readers: a few threads that read from the store, so that the threads that answer calls never wait for a disk.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::store::FeatureStore;

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too many reads are waiting. A later attempt may succeed.
    #[error("too many reads are waiting")]
    QueueFull,
    /// The read panicked.
    #[error("a read panicked")]
    Panicked,
}

/// Runs reads on threads of its own. Dropping it ends them.
pub struct Readers {
    queue: Arc<Queue>,
}

type Job = Box<dyn FnOnce(&dyn FeatureStore) + Send>;

struct Queue {
    limit: NonZeroUsize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Readers {
    /// Starts the threads.
    ///
    /// * `threads`: their number. One is enough for a healthy disk; more keep reads going while some are slow.
    /// * `queue`: the most reads that wait; further reads fail at once.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(store: Arc<dyn FeatureStore>, threads: NonZeroUsize, queue: NonZeroUsize) -> io::Result<Self> {
        let queue = Queue { limit: queue, waiting: Mutex::default(), changed: Condvar::new() };
        let readers = Self { queue: Arc::new(queue) };
        for number in 1..=threads.get() {
            let (queue, store) = (Arc::clone(&readers.queue), Arc::clone(&store));
            thread::Builder::new().name(format!("reader-{number}")).spawn(move || queue.serve(&*store))?;
        }
        Ok(readers)
    }

    /// Runs `read` on one of the threads and returns its result. A call should read all that it needs in one `read`,
    /// since each goes to a thread and back.
    ///
    /// A caller may stop waiting at any time, at its deadline for instance. A read that has not begun by then never
    /// begins.
    ///
    /// # Errors
    /// [`ReadError`]. A full queue is an error at once.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn FeatureStore) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let (answer, answered) = oneshot::channel();
        let span = tracing::Span::current();
        let job = move |store: &dyn FeatureStore| {
            if !answer.is_closed() {
                // A caller that has left needs no answer.
                let _ = answer.send(span.in_scope(|| read(store)));
            }
        };
        self.queue.push(Box::new(job))?;
        answered.await.map_err(|_| ReadError::Panicked)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.waiting().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), ReadError> {
        let mut waiting = self.waiting();
        if waiting.jobs.len() >= self.limit.get() {
            return Err(ReadError::QueueFull);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    fn serve(&self, store: &dyn FeatureStore) {
        while let Some(job) = self.next() {
            // sled panics on some damage. This read fails, since its answer is dropped, and later ones go on.
            let _ = catch_unwind(AssertUnwindSafe(|| job(store)));
        }
    }

    /// Waits for a job; `None` when the readers are closed and none is left.
    fn next(&self) -> Option<Job> {
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.closed;
        let waiting = self.changed.wait_while(self.waiting(), idle);
        waiting.unwrap_or_else(PoisonError::into_inner).jobs.pop_front()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
