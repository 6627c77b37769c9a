//! A store in front of a slower one: what is appended is visible at once, and handed on a little later, many writes at a
//! time. Durability is not known here: whoever appends has seen to it, and can append again what the slower one lacks.
//!
//! A batch of a hundred records costs sled far less than a hundred of one: for each it wakes its threads and writes its
//! log. So no writer waits for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

use feature_core::{Event, Record, Scope};

use crate::error::StoreError;
use crate::format::encoding::value_bytes;
use crate::store::{FeatureStore, check_values};

/// How long events wait for more to be handed on with them, at least and at most. All events of a scope are one change to
/// sled.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Between the shortest and the longest pause, so many times what the last batch took: calls that come while a batch has
/// a core wait for it, and they are to be far fewer than one in a hundred. Where so much is written that the events of a
/// pause would be more than a group, its limits end the pause.
const PAUSE_TO_BATCH: u32 = 500;

/// Events of so many scopes are handed on without waiting for more: readers wait while sled takes a batch, for some
/// milliseconds with this many.
const GROUP_SCOPES: usize = 1024;

/// What events and the records that they made may take, waiting or on their way, in bytes. A writer who finds more waits,
/// so that memory stays bounded when the disk is slow.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// So much is handed on without waiting for more, before writers have to wait.
const GROUP_BYTES: usize = QUEUE_BYTES / 2;

/// What an event takes beside its values, at most about.
const EVENT_BYTES: usize = 1024;

/// A store that follows a journal at its own pace, and looks as if it kept up with it.
pub(crate) struct WriteBehind {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    slower: Box<dyn FeatureStore>,
    /// The newest records that the slower store does not have yet, each with the revision of its last event.
    ahead: RwLock<HashMap<Scope, (u64, Record)>>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    events: Vec<Event>,
    /// How many scopes they belong to, roughly.
    scopes: usize,
    /// What they take, with the records that they made.
    bytes: usize,
    /// The same of those that the slower store is taking.
    leaving_bytes: usize,
    /// The last event that was appended.
    revision: u64,
    /// Why the slower store takes nothing any more.
    failed: Option<StoreError>,
    closed: bool,
}

impl WriteBehind {
    /// Starts the thread that hands events on.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub(crate) fn start(slower: Box<dyn FeatureStore>) -> io::Result<Self> {
        let queue = Mutex::new(Queue { revision: slower.revision(), ..Queue::default() });
        let shared = Arc::new(Shared { slower, ahead: RwLock::default(), queue, changed: Condvar::new() });
        let handing_on = Arc::clone(&shared);
        let thread = thread::Builder::new().name("projection".to_owned()).spawn(move || handing_on.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands on what is left, and ends the thread.
    fn finish(&self) {
        self.shared.queue().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches the panics of the slower store.
            let _ = thread.join();
        }
    }
}

impl FeatureStore for WriteBehind {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        let ahead = self.shared.ahead.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, record)) = ahead.get(scope) {
            return Ok(record.clone());
        }
        // What is taken out of `ahead` from here on is in the slower store already.
        drop(ahead);
        self.shared.slower.record(scope)
    }

    fn revision(&self) -> u64 {
        self.shared.queue().revision
    }

    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let (mut records, mut bytes) = (HashMap::with_capacity(events.len()), 0);
        for event in events {
            let (revision, record) = match records.entry(event.scope.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert((0, self.record(&event.scope)?)),
            };
            record.apply(event);
            *revision = event.revision;
            bytes += EVENT_BYTES + check_values(event)?;
        }
        bytes += records.values().map(|(_, record)| values_bytes(record)).sum::<usize>();
        self.shared.wait_for_room()?;
        // Before they are handed on, which takes them out again.
        let mut ahead = self.shared.ahead.write().unwrap_or_else(PoisonError::into_inner);
        ahead.extend(records);
        let scopes = ahead.len();
        drop(ahead);
        self.shared.push(events, scopes, bytes);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        self.finish();
        match &self.shared.queue().failed {
            Some(error) => Err(error.clone()),
            None => self.shared.slower.close(),
        }
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.finish();
    }
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").finish_non_exhaustive()
    }
}

impl Queue {
    /// Whether more may be waited for.
    fn is_small(&self) -> bool {
        self.scopes < GROUP_SCOPES && self.bytes < GROUP_BYTES
    }

    fn is_full(&self) -> bool {
        self.bytes + self.leaving_bytes >= QUEUE_BYTES
    }
}

impl Shared {
    fn wait_for_room(&self) -> Result<(), StoreError> {
        let full = |queue: &mut Queue| queue.is_full() && queue.failed.is_none();
        let queue = self.changed.wait_while(self.queue(), full).unwrap_or_else(PoisonError::into_inner);
        queue.failed.clone().map_or(Ok(()), Err)
    }

    fn push(&self, events: &[Event], scopes: usize, bytes: usize) {
        let mut queue = self.queue();
        let (was_empty, was_small) = (queue.events.is_empty(), queue.is_small());
        queue.events.extend_from_slice(events);
        queue.scopes = scopes;
        queue.bytes += bytes;
        queue.revision = events.last().map_or(queue.revision, |event| event.revision);
        let has_grown = was_small && !queue.is_small();
        drop(queue);
        // Each of these wakes the thread once, and what comes between them not at all.
        if was_empty || has_grown {
            self.changed.notify_all();
        }
    }

    /// Hands events on until the end, or until the slower store fails.
    fn run(&self) {
        let mut pause = SHORTEST_PAUSE;
        while let Some(events) = self.next(pause) {
            let begun = Instant::now();
            let appended = catch_unwind(AssertUnwindSafe(|| self.slower.append(&events)));
            let panicked = |_| Err(StoreError::Projection { reason: "it panicked".to_owned() });
            if let Err(error) = appended.unwrap_or_else(panicked) {
                tracing::error!(%error, "the projection takes no more events, reads go on");
                self.queue().failed = Some(error);
                self.changed.notify_all();
                return;
            }
            pause = pause_after(begun.elapsed());
            let applied = events.last().map_or(0, |event| event.revision);
            let mut ahead = self.ahead.write().unwrap_or_else(PoisonError::into_inner);
            ahead.retain(|_, (revision, _)| *revision > applied);
            let scopes = ahead.len();
            drop(ahead);
            let mut queue = self.queue();
            (queue.scopes, queue.leaving_bytes) = (scopes, 0);
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// The events to hand on next, with those that come within `pause`; `None` when there will be none any more.
    fn next(&self, pause: Duration) -> Option<Vec<Event>> {
        let empty = |queue: &mut Queue| queue.events.is_empty() && !queue.closed;
        let queue = self.changed.wait_while(self.queue(), empty).unwrap_or_else(PoisonError::into_inner);
        let small = |queue: &mut Queue| queue.is_small() && !queue.closed;
        let waited = self.changed.wait_timeout_while(queue, pause, small);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let events = mem::take(&mut queue.events);
        (queue.scopes, queue.bytes, queue.leaving_bytes) = (0, 0, queue.bytes);
        (!events.is_empty()).then_some(events)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nobody panics with the queue in hand.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the next events wait for more, when the slower store took the last ones for `took`.
pub(crate) fn pause_after(took: Duration) -> Duration {
    (took * PAUSE_TO_BATCH).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// What the values of a record take, about.
fn values_bytes(record: &Record) -> usize {
    record.layer.iter().map(|(_, value)| value_bytes(value)).sum()
}
