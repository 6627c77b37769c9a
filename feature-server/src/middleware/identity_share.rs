//! What one identity gets of the server: its rate of calls, its part of the slots and the memory, and its turns on a
//! busy worker. A large request costs as much as several calls.
//!
//! - Each identity has a bucket that fills with calls at an even rate (GCRA), where that is configured. How full it is,
//!   is one number, the time at which it will be full again, so taking a call from it is one atomic step and no lock.
//! - On a busy worker, calls of identities that have had less than others go first. An identity that calls alone gets
//!   the whole worker.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use feature_auth::Identity;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use crate::error::Failure;

/// The buckets that are kept. The one of an identity that calls seldom is forgotten first, and is full the next time.
const BUCKETS: usize = 65_536;

/// How long an identity that was quiet can save up calls.
const SAVED_UP: Duration = Duration::from_secs(2);

/// Of the places and the room for those with a token, one identity gets at most one part in so many.
const PARTS: usize = 4;

/// A request of fewer bytes costs hardly more than its call.
pub(crate) const LARGE_BYTES: usize = 4 * 1024;

/// A large request costs one more call for each of so many bytes, decompressed: they take about as long as a call.
const BYTES_OF_A_CALL: u64 = 8 * 1024;

/// A worker is busy after this many calls without an idle moment: a few milliseconds.
const BUSY: u64 = 256;

/// The length of a window, in calls. Each window counts anew.
const WINDOW: u64 = 1_024;

/// How many waiting calls are released at once.
const RELEASED: usize = 64;

/// The rate of each identity.
#[derive(Debug)]
pub struct CallRates {
    /// The time between two calls at the even rate; none where identities have no such rate.
    interval_ns: Option<u64>,
    /// All times are counted from here.
    start: Instant,
    buckets: Cache<Identity, Arc<Bucket>>,
}

/// What is known of one identity.
#[derive(Debug, Default)]
struct Bucket {
    /// When it is full again, in nanoseconds from the start.
    full_ns: AtomicU64,
    usage: Arc<Usage>,
}

impl CallRates {
    /// So many calls a second for each identity; 0 for no such limit.
    pub fn new(calls_per_second: u32, now: Instant) -> Self {
        let interval_ns = 1_000_000_000_u64.checked_div(calls_per_second.into());
        Self { interval_ns, start: now, buckets: Cache::new(BUCKETS) }
    }

    /// Takes one call from the bucket of this identity, and what its large requests before it have cost. Returns what
    /// its calls hold, and the cost, in calls. When none is left, the error is how long to wait for the next one.
    pub fn take(&self, identity: &Identity, now: Instant) -> Result<(Arc<Usage>, u64), Duration> {
        let Ok(bucket) = self.buckets.get_or_insert_with(identity, || Ok::<Arc<Bucket>, Infallible>(Arc::default()));
        let cost = bucket.usage.take_cost();
        if let Some(interval_ns) = self.interval_ns {
            let now_ns = nanoseconds(now.saturating_duration_since(self.start));
            bucket.take(now_ns, interval_ns, cost)?;
        }
        Ok((Arc::clone(&bucket.usage), cost))
    }
}

impl Bucket {
    fn take(&self, now_ns: u64, interval_ns: u64, cost: u64) -> Result<(), Duration> {
        let latest_ns = now_ns + nanoseconds(SAVED_UP);
        let after = |full_ns: u64, calls: u64| full_ns.max(now_ns) + calls * interval_ns;
        let update = |calls: u64, within: u64| {
            let later = |full_ns| Some(after(full_ns, calls)).filter(|after| *after <= within);
            self.full_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later)
        };
        // What has been done already is a debt, however large it is.
        if cost > 1 {
            // Without a bound it always succeeds.
            let _ = update(cost - 1, u64::MAX);
        }
        let taken = update(1, latest_ns);
        taken.map(drop).map_err(|full_ns| Duration::from_nanos(after(full_ns, 1) - latest_ns))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("no process runs for 500 years")
}

/// What calls with a valid token hold together: all of them, or those of one identity.
#[derive(Debug, Default)]
pub struct Usage {
    pub(crate) calls: AtomicUsize,
    pub(crate) request_bytes: AtomicUsize,
    pub(crate) jobs: AtomicUsize,
    /// Calls that last until their clients end them. They are not among `calls`.
    pub(crate) watches: AtomicUsize,
    /// The bytes of large requests that no call has been charged for.
    large_bytes: AtomicU64,
}

impl Usage {
    /// A number that no other identity has at the same time.
    pub(crate) fn number(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// What the next call costs, in calls: one, and what the large requests before it have cost.
    pub fn take_cost(&self) -> u64 {
        // Mostly there are none, and looking costs less than taking.
        let is_none = self.large_bytes.load(Ordering::Relaxed) == 0;
        let large = if is_none { 0 } else { self.large_bytes.swap(0, Ordering::Relaxed) };
        1 + large / BYTES_OF_A_CALL
    }

    /// Notes the bytes of a large request, or of a part of it.
    pub fn add_large_bytes(&self, bytes: usize) {
        self.large_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    in_all: usize,
    per_identity: usize,
}

impl Bound {
    /// * `least`: what one identity gets, however small its part is.
    pub(crate) fn new(in_all: usize, least: usize) -> Self {
        Self { in_all, per_identity: least.max(in_all / PARTS).min(in_all) }
    }

    pub(crate) fn take(self, count: usize, all: &AtomicUsize, identity: &AtomicUsize) -> Result<(), Failure> {
        take(identity, count, self.per_identity)?;
        take(all, count, self.in_all).inspect_err(|_| give_back(identity, count))
    }
}

fn take(from: &AtomicUsize, count: usize, limit: usize) -> Result<(), Failure> {
    // Counted first and taken back when it was too much, so that two calls never permit what is left.
    let before = from.fetch_add(count, Ordering::Relaxed);
    if before + count <= limit {
        return Ok(());
    }
    give_back(from, count);
    Err(Failure::Overloaded)
}

pub(crate) fn give_back(to: &AtomicUsize, count: usize) {
    to.fetch_sub(count, Ordering::Relaxed);
}

/// The turn of a call that waits: it resolves when the call may continue. The sender is dropped only when the server
/// ends.
pub(crate) type Turn = oneshot::Receiver<()>;

/// Counts a call of an identity, by its [`Usage::number`], on this worker, with its cost in calls. Returns the turn
/// that it has to wait for, if it has to.
pub(crate) fn begin_call(identity: usize, cost: u64) -> Option<Turn> {
    WORKER.with_borrow_mut(|worker| worker.begin(identity, cost))
}

/// Releases waiting calls. The runtime of this thread calls it before it sleeps.
pub(crate) fn idle() {
    WORKER.with_borrow_mut(|worker| worker.restart(0));
}

thread_local! {
    static WORKER: RefCell<WorkerCalls> = RefCell::default();
}

/// The calls of one worker since it was last idle.
#[derive(Default)]
struct WorkerCalls {
    /// The sum of the calls' costs.
    served: u64,
    /// The same for each identity, by its number, once the worker is busy.
    of_identities: HashMap<usize, u64>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl WorkerCalls {
    /// See [`begin_call`]. `identity`: a number that stands for it.
    fn begin(&mut self, identity: usize, cost: u64) -> Option<Turn> {
        self.served += cost;
        if self.served <= BUSY {
            return None;
        }
        if self.served > BUSY + WINDOW {
            self.restart(BUSY + cost);
        }
        let had = self.of_identities.entry(identity).or_default();
        *had += cost;
        // An equal part of the cost since the worker became busy.
        let part = (self.served - BUSY) / self.of_identities.len() as u64;
        if self.of_identities.len() == 1 || self.of_identities[&identity] <= part + RELEASED as u64 {
            return None;
        }
        let (released, turn) = oneshot::channel();
        self.waiting.push_back(released);
        Some(turn)
    }

    /// Counts anew, and releases calls that wait.
    fn restart(&mut self, served: u64) {
        self.served = served;
        self.of_identities.clear();
        let mut released = 0;
        while released < RELEASED
            && let Some(waiting) = self.waiting.pop_front()
        {
            // A call that was cancelled leaves its turn to another one.
            released += usize::from(waiting.send(()).is_ok());
        }
    }
}

#[cfg(test)]
mod tests;
