//! The threads that connections are served on: one for each core of the machine, with a runtime of its own. What is done on
//! a connection is not known here.
//!
//! A connection stays where it was put. So nothing of a call is handed from one core to another, and no thread wakes
//! another one for it. The price: a core whose connections have much to do gets no help from the others.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::middleware::fair_share;
use crate::permit::decode_pool;

/// How many tasks run, where many can, before it is looked who has sent something meanwhile. A task is a connection with all
/// the calls that it has brought: with tokio's 61 of them a good client waits twice as long while others connect in masses.
const TASKS_BETWEEN_LOOKS: u32 = 11;

/// The threads of each core for what blocks or computes for long: large messages, and files of keys, whose disk may hang.
const BLOCKING_THREADS: usize = 2;

/// The places where connections can be served.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Each connection that is served here holds one.
    connections: Arc<()>,
    /// Dropped, it ends the thread.
    _running: Option<oneshot::Sender<()>>,
}

/// A place for one connection. It counts there until this is dropped.
pub(crate) struct WorkerSlot {
    pub(crate) runtime: Handle,
    _connection: Arc<()>,
}

impl Workers {
    /// Starts the threads. They end when this is dropped, with all that is still running on them.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        (0..count.get()).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// Only the runtime of the caller.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        Self(vec![Worker { runtime: Handle::current(), connections: Arc::default(), _running: None }])
    }

    /// A place for a connection, where there are the fewest.
    pub(crate) fn slot(&self) -> WorkerSlot {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        let Worker { runtime, connections, .. } = worker.expect("there is at least one");
        WorkerSlot { runtime: runtime.clone(), _connection: connections.clone() }
    }
}

/// Before a core sleeps, calls that wait for others may go on. It also lets other threads run that may be about to send it
/// something: to be woken for each call costs more than to look once more.
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
            // Whoever still reads a file on a disk that hangs is not waited for.
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
    fn a_connection_goes_where_there_are_the_fewest() {
        let workers = workers(3);
        let mut slots: Vec<_> = (0..7).map(|_| workers.slot()).collect();
        let counts = || workers.0.iter().map(|worker| Arc::strong_count(&worker.connections) - 1).collect::<Vec<_>>();
        assert_eq!(counts(), [3, 2, 2]);
        // Those of the second core.
        drop((slots.remove(4), slots.remove(1)));
        let _more = [workers.slot(), workers.slot()];
        assert_eq!(counts(), [3, 2, 2]);
    }

    #[tokio::test]
    async fn each_core_is_a_thread_that_ends_with_all_that_runs_on_it() {
        let workers = workers(2);
        let thread = async || {
            let slot = workers.slot();
            (slot.runtime.spawn(async { thread::current().id() }).await.unwrap(), slot)
        };
        let ((first, _slot), (second, _other)) = (thread().await, thread().await);
        assert!(first != second && first != thread::current().id());

        let (held, released) = oneshot::channel::<()>();
        workers.slot().runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        released.await.unwrap_err();
    }
}
