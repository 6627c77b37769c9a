//! A store in front of a slower one. An appended batch is visible at once; a thread appends it to the slower store a
//! little later, together with the batches that came meanwhile.
//!
//! sled takes one batch of a hundred records far more cheaply than a hundred batches of one: for each batch it wakes
//! its threads and writes its log. This store adds no durability: the journal before it has that, and gives the
//! projection after a crash what it lacks.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io, mem};

use feature_core::{Record, Scope};

use crate::error::StoreError;
use crate::store::batch::Batch;
use crate::store::selection::{Selected, Selection};
use crate::store::{FeatureStore, StoreStatus};

/// How long batches wait for more, so that all events of a scope are one change to sled. While sled works, calls wait
/// for a core, and that should happen to far fewer than one in a hundred.
const PAUSE: Duration = Duration::from_secs(2);

/// Batches that change so many scopes are handed on without waiting for more: readers wait while sled takes a batch,
/// for some milliseconds with this many.
const GROUP_SCOPES: usize = 1024;

/// The memory that batches may take, waiting or on their way, in bytes. Above it writers wait, so that memory stays
/// bounded when the disk is slow.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Batches of so many bytes are handed on without waiting for more, before writers have to wait.
const GROUP_BYTES: usize = QUEUE_BYTES / 2;

/// A store that shows at once what the slower store gets later.
pub(crate) struct WriteBehind {
    handover: Arc<Handover>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Handover {
    slower: Box<dyn FeatureStore>,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Why the slower store takes no more batches. Set with the queue locked.
    failed: OnceLock<StoreError>,
}

struct Queue {
    /// The batches that the slower store will get next, merged.
    waiting: Batch,
    /// The batch that the slower store is taking, or has failed to take.
    leaving: Option<Arc<Batch>>,
    closed: bool,
}

impl WriteBehind {
    /// Starts the thread that hands batches on.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub(crate) fn start(slower: Box<dyn FeatureStore>) -> io::Result<Self> {
        let store = Self::new(slower);
        let handover = Arc::clone(&store.handover);
        let thread = thread::Builder::new().name("projection".to_owned()).spawn(move || handover.run())?;
        *store.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(store)
    }

    /// The store without its thread: the caller hands batches on.
    pub(crate) fn new(slower: Box<dyn FeatureStore>) -> Self {
        let queue = Mutex::new(Queue { waiting: Batch::empty(slower.revision()), leaving: None, closed: false });
        let handover = Arc::new(Handover { slower, queue, changed: Condvar::new(), failed: OnceLock::new() });
        Self { handover, thread: Mutex::default() }
    }

    /// Appends all that waits to the slower store.
    #[cfg(test)]
    pub(crate) fn hand_on(&self) -> Result<(), StoreError> {
        self.handover.hand_on()
    }

    /// Ends the thread and hands on what is left.
    fn finish(&self) -> Result<(), StoreError> {
        self.handover.queue().closed = true;
        self.handover.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches the panics of the slower store.
            let _ = thread.join();
        }
        self.handover.hand_on()
    }
}

impl FeatureStore for WriteBehind {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        match self.handover.queue().record(scope) {
            Some(record) => Ok(Record::clone(&record)),
            // A batch leaves the queue after the slower store has taken it.
            None => self.handover.slower.record(scope),
        }
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        // Those of the queue first: what leaves it meanwhile is in the slower store.
        let newer = self.handover.queue().covered(selection, after);
        let mut selected = self.handover.slower.select(selection, after, limit)?;
        selected.update(selection, newer.into_iter().map(|(scope, record)| (scope, Record::clone(&record))));
        Ok(selected)
    }

    fn revision(&self) -> u64 {
        self.handover.queue().waiting.revision()
    }

    fn free_bytes(&self) -> Option<u64> {
        self.handover.slower.free_bytes()
    }

    fn status(&self) -> StoreStatus {
        let revision = self.revision();
        let projection_lag = revision.saturating_sub(self.handover.slower.revision());
        StoreStatus { revision, projection_lag, ..StoreStatus::default() }
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let full = |queue: &mut Queue| queue.is_full() && self.handover.failed.get().is_none();
        let queue = self.handover.changed.wait_while(self.handover.queue(), full);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        if let Some(cause) = self.handover.failed.get() {
            return Err(cause.refusing_writes());
        }
        batch.check_follows(queue.waiting.revision())?;
        let (was_empty, was_small) = (queue.waiting.is_empty(), queue.is_small());
        queue.waiting.extend(batch);
        let has_grown = was_small && !queue.is_small();
        drop(queue);
        // Each of these wakes the thread once; batches between them do not wake it.
        if was_empty || has_grown {
            self.handover.changed.notify_all();
        }
        Ok(())
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.handover.failed.get().cloned()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.finish()?;
        self.handover.slower.close()
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        // A failure is in the log, and the journal has every event.
        let _ = self.finish();
    }
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").finish_non_exhaustive()
    }
}

impl Queue {
    fn record(&self, scope: &Scope) -> Option<Arc<Record>> {
        self.waiting.record(scope).or_else(|| self.leaving.as_ref()?.record(scope)).cloned()
    }

    /// The records that a selection may include, and those that it may have included.
    fn covered(&self, selection: Selection<'_>, after: Option<&Scope>) -> BTreeMap<Scope, Arc<Record>> {
        // The older batch first.
        let batches = self.leaving.as_deref().into_iter().chain([&self.waiting]);
        let is_after = |scope: &Scope| after.is_none_or(|after| scope > after);
        let records = batches.flat_map(Batch::records);
        let records = records.filter(|(scope, _)| selection.covers(scope) && is_after(scope));
        records.map(|(scope, record)| (scope.clone(), Arc::clone(record))).collect()
    }

    /// Whether the thread may wait for more.
    fn is_small(&self) -> bool {
        self.waiting.scopes() < GROUP_SCOPES && self.waiting.bytes() < GROUP_BYTES
    }

    fn is_full(&self) -> bool {
        self.waiting.bytes() + self.leaving.as_ref().map_or(0, |batch| batch.bytes()) >= QUEUE_BYTES
    }
}

impl Handover {
    /// Hands batches on until the store is closed or the slower store fails.
    fn run(&self) {
        while self.wait() && self.hand_on().is_ok() {}
    }

    /// Waits for a batch, and then for more; `false` when the store is closed.
    fn wait(&self) -> bool {
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.closed;
        let queue = self.changed.wait_while(self.queue(), idle).unwrap_or_else(PoisonError::into_inner);
        let small = |queue: &mut Queue| queue.is_small() && !queue.closed;
        let waited = self.changed.wait_timeout_while(queue, PAUSE, small);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Appends all that waits to the slower store.
    fn hand_on(&self) -> Result<(), StoreError> {
        if let Some(cause) = self.failed.get() {
            return Err(cause.clone());
        }
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            return Ok(());
        }
        let next = Batch::empty(queue.waiting.revision());
        let batch = Arc::new(mem::replace(&mut queue.waiting, next));
        queue.leaving = Some(Arc::clone(&batch));
        drop(queue);
        let appended = catch_unwind(AssertUnwindSafe(|| self.slower.append(&batch)));
        let panicked = |_| Err(StoreError::Projection { reason: "it panicked".to_owned() });
        let appended = appended.unwrap_or_else(panicked);
        let mut queue = self.queue();
        match &appended {
            Ok(()) => queue.leaving = None,
            Err(error) => {
                tracing::error!(%error, "the projection takes no more events, reads go on");
                // Only this call sets it.
                let _ = self.failed.set(error.clone());
            }
        }
        drop(queue);
        self.changed.notify_all();
        appended
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
