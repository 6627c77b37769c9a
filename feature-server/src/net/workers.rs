//! Worker threads that serve connections: one for each core of the machine, each with a runtime of its own.
//!
//! A connection stays on its worker. So calls never move between cores, and no thread wakes another one for a call. The
//! price: a worker with busy connections gets no help from the others.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::config::settings::Limits;
use crate::middleware::identity_share;
use crate::monitoring::call_counters::CallCounters;
use crate::net::slots::{Slot, Slots};
use crate::permit::decode_pool;

/// How many ready tasks run before the runtime polls for new I/O. A task is a connection with all the calls that it has
/// received: with tokio's default of 61, a good client waits twice as long while others connect in masses.
const TASKS_BETWEEN_LOOKS: u32 = 11;

/// The blocking threads of each worker, for work that blocks or computes for long: large messages, and key files, whose
/// disk may hang.
const BLOCKING_THREADS: usize = 2;

/// The worker threads of a server, and the connections that they may have.
pub struct Workers {
    threads: Vec<Worker>,
    slots: Arc<Slots>,
}

struct Worker {
    runtime: Handle,
    counters: Arc<CallCounters>,
    /// Each connection on this worker holds a clone.
    connections: Arc<()>,
    /// Ends the thread when it is dropped.
    _running: Option<oneshot::Sender<()>>,
}

/// The worker of one connection. The connection counts, there and in all, until this is dropped.
pub(crate) struct WorkerSlot {
    pub(crate) runtime: Handle,
    /// Counts the calls of the connection.
    pub(crate) counters: Arc<CallCounters>,
    _connection: (Arc<()>, Slot),
}

impl Workers {
    /// Starts the threads. Dropping this ends them, with all tasks that still run on them.
    ///
    /// * `methods`: how many methods have calls to count.
    /// * `limits`: bound the connections.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn start(count: NonZeroUsize, methods: usize, limits: &Limits) -> io::Result<Self> {
        let threads = (0..count.get()).map(|number| Worker::start(number, methods)).collect::<io::Result<_>>()?;
        Ok(Self { threads, slots: Slots::new(limits.connections, limits.connections_per_address) })
    }

    /// Counts the connections.
    pub fn connections(&self) -> Arc<Slots> {
        Arc::clone(&self.slots)
    }

    /// The counters of each thread.
    pub fn counters(&self) -> Vec<Arc<CallCounters>> {
        self.threads.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }

    /// A single worker, on the current runtime.
    #[cfg(test)]
    pub(crate) fn here(limits: &Limits) -> Self {
        let counters = Arc::new(CallCounters::new(64));
        let worker = Worker { runtime: Handle::current(), counters, connections: Arc::default(), _running: None };
        Self { threads: vec![worker], slots: Slots::new(limits.connections, limits.connections_per_address) }
    }

    /// The runtime of each thread.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.threads.iter().map(|worker| worker.runtime.clone()).collect()
    }

    /// A slot on the worker with the fewest connections, for a client's address. If there is none, the error is the
    /// number of refusals so far.
    pub(crate) fn slot(&self, address: IpAddr) -> Result<WorkerSlot, u64> {
        let slot = self.slots.take(address, 1)?;
        let worker = self.threads.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        let Worker { runtime, counters, connections, .. } = worker.expect("there is at least one");
        let _connection = (connections.clone(), slot);
        Ok(WorkerSlot { runtime: runtime.clone(), counters: counters.clone(), _connection })
    }
}

/// Before a worker sleeps, calls that wait for their fair share may continue. Other threads also get to run, because
/// they may be about to send this worker something: a wake-up for each call costs more than one more look.
fn before_sleep() {
    identity_share::idle();
    thread::yield_now();
}

impl Worker {
    fn start(number: usize, methods: usize) -> io::Result<Self> {
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
        let counters = Arc::new(CallCounters::new(methods));
        Ok(Self { runtime: handle, counters, connections: Arc::default(), _running: Some(running) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::settings::Settings;

    fn workers(count: usize) -> Workers {
        Workers::start(NonZeroUsize::new(count).unwrap(), 0, &Settings::default().limits).unwrap()
    }

    fn slot(workers: &Workers) -> WorkerSlot {
        workers.slot(Ipv4Addr::LOCALHOST.into()).unwrap()
    }

    #[test]
    fn a_connection_goes_to_the_worker_with_the_fewest() {
        let workers = workers(3);
        let mut slots: Vec<_> = (0..7).map(|_| slot(&workers)).collect();
        let counts =
            || workers.threads.iter().map(|worker| Arc::strong_count(&worker.connections) - 1).collect::<Vec<_>>();
        assert_eq!(counts(), [3, 2, 2]);
        // Both are connections of the second worker.
        drop((slots.remove(4), slots.remove(1)));
        let _more = [slot(&workers), slot(&workers)];
        assert_eq!(counts(), [3, 2, 2]);
    }

    #[tokio::test]
    async fn each_worker_is_a_thread_that_ends_with_all_its_tasks() {
        let workers = workers(2);
        let thread = async || {
            let slot = slot(&workers);
            (slot.runtime.spawn(async { thread::current().id() }).await.unwrap(), slot)
        };
        let ((first, _slot), (second, _other)) = (thread().await, thread().await);
        assert!(first != second && first != thread::current().id());

        let (held, released) = oneshot::channel::<()>();
        slot(&workers).runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        released.await.unwrap_err();
    }
}
