//! Worker threads that serve connections: one for each core of the machine, each with a runtime of its own.
//!
//! A connection stays on its worker. So calls never move between cores, and no thread wakes another one for a call. The
//! price: a worker with busy connections gets no help from the others.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::middleware::fair_share;
use crate::permit::decode_pool;

/// How many ready tasks run before the runtime polls for new I/O. A task is a connection with all the calls that it has
/// received: with tokio's default of 61, a good client waits twice as long while others connect in masses.
const TASKS_BETWEEN_LOOKS: u32 = 11;

/// The blocking threads of each worker, for work that blocks or computes for long: large messages, and key files, whose
/// disk may hang.
const BLOCKING_THREADS: usize = 2;

/// The worker threads of a server.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Each connection on this worker holds a clone.
    connections: Arc<()>,
    /// Ends the thread when it is dropped.
    _running: Option<oneshot::Sender<()>>,
}

impl Workers {
    /// Starts the threads. Dropping this ends them, with all tasks that still run on them.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        (0..count.get()).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// A single worker, on the current runtime.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        Self(vec![Worker { runtime: Handle::current(), connections: Arc::default(), _running: None }])
    }

    /// The runtime of each thread.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.0.iter().map(|worker| worker.runtime.clone()).collect()
    }

    /// The runtime of the worker with the fewest connections, and the slot of a connection there, until it is dropped.
    pub(crate) fn slot(&self) -> (Handle, Arc<()>) {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        let Worker { runtime, connections, .. } = worker.expect("there is at least one");
        (runtime.clone(), connections.clone())
    }
}

/// Before a worker sleeps, calls that wait for their fair share may continue. Other threads also get to run, because
/// they may be about to send this worker something: a wake-up for each call costs more than one more look.
fn before_sleep() {
    fair_share::idle();
    thread::yield_now();
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().event_interval(TASKS_BETWEEN_LOOKS);
        builder.on_thread_park(before_sleep);
        builder.on_thread_start(decode_pool::lower_priority).max_blocking_threads(BLOCKING_THREADS);
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("core-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            // Does not wait for a blocking thread that reads a file on a disk that hangs.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), _running: Some(running) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> Workers {
        Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
    }

    #[test]
    fn a_connection_goes_to_the_worker_with_the_fewest() {
        let workers = workers(3);
        let mut slots: Vec<_> = (0..7).map(|_| workers.slot()).collect();
        let counts = || workers.0.iter().map(|worker| Arc::strong_count(&worker.connections) - 1).collect::<Vec<_>>();
        assert_eq!(counts(), [3, 2, 2]);
        // Both are connections of the second worker.
        drop((slots.remove(4), slots.remove(1)));
        let _more = [workers.slot(), workers.slot()];
        assert_eq!(counts(), [3, 2, 2]);
    }

    #[tokio::test]
    async fn each_worker_is_a_thread_that_ends_with_all_its_tasks() {
        let workers = workers(2);
        let thread = async || {
            let slot = workers.slot();
            (slot.0.spawn(async { thread::current().id() }).await.unwrap(), slot)
        };
        let ((first, _slot), (second, _other)) = (thread().await, thread().await);
        assert!(first != second && first != thread::current().id());

        let (held, released) = oneshot::channel::<()>();
        workers.slot().0.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        released.await.unwrap_err();
    }
}
