//! How many calls a second one identity may make, where that is configured, and what its calls hold.
//!
//! Each identity has a bucket that fills with calls at an even rate (GCRA). How full it is, is one number, the time at
//! which it will be full again, so taking a call from it is one atomic step and no lock.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use feature_auth::Identity;
use quick_cache::sync::Cache;

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

/// The share of each identity.
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

    /// Takes one call from the share of this identity, and what its large requests before it have cost. Returns what
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
    /// The bytes of large requests that no call has been charged for.
    large_bytes: AtomicU64,
}

impl Usage {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::new("issuer", name, None)
    }

    #[test]
    fn an_identity_has_its_even_rate_and_two_seconds_of_it_at_once() {
        let start = Instant::now();
        let rates = CallRates::new(10, start);
        #[rustfmt::skip]
        let table = [
            // at ms    who    calls   let through   then wait ms
            (0,         "ann", 30,     20,           100),
            (0,         "bob", 5,      5,            0),
            (99,        "ann", 1,      0,            1),
            (100,       "ann", 3,      1,            100),
            (350,       "ann", 5,      2,            50),
            (350,       "bob", 20,     18,           50),
            (3_600_000, "ann", 25,     20,           100),
        ];
        for (at_ms, who, calls, let_through, wait_ms) in table {
            let at = start + Duration::from_millis(at_ms);
            let outcomes: Vec<_> = (0..calls).map(|_| rates.take(&identity(who), at)).collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), let_through, "{who} at {at_ms} ms");
            let wait = outcomes.last().unwrap().as_ref().err().copied().unwrap_or_default();
            assert_eq!(wait, Duration::from_millis(wait_ms), "{who} at {at_ms} ms");
        }
    }

    #[test]
    fn large_requests_cost_more_calls() {
        let start = Instant::now();
        let table = [
            // calls a second, bytes of the first call, calls let through at once after it
            (10, 0, 19),
            (10, 8 * 1024 - 1, 19),
            (10, 8 * 1024, 18),
            (10, 80 * 1024, 9),
            (10, 8 << 20, 0),
            (0, 8 << 20, 100),
        ];
        for (calls_per_second, bytes, let_through) in table {
            let rates = CallRates::new(calls_per_second, start);
            rates.take(&identity("ann"), start).unwrap().0.add_large_bytes(bytes);
            let calls = (0..100).filter(|_| rates.take(&identity("ann"), start).is_ok()).count();
            assert_eq!(calls, let_through, "{calls_per_second} calls a second, {bytes} bytes");
        }
    }

    #[test]
    fn calls_at_once_share_one_bucket() {
        let start = Instant::now();
        let rates = CallRates::new(100, start);
        let let_through: usize = std::thread::scope(|scope| {
            let caller = || (0..100).filter(|_| rates.take(&identity("ann"), start).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(caller)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_through, 200);
    }

    #[test]
    fn an_identity_is_an_issuer_a_subject_and_an_instance() {
        use feature_core::InstanceId;

        let demo = InstanceId::new("demo").unwrap();
        let parts = [("i", "ann", None), ("ia", "nn", None), ("j", "ann", None), ("i", "ann", Some(&demo))];
        for (index, one) in parts.iter().enumerate() {
            for (other_index, other) in parts.iter().enumerate() {
                let [one, other] =
                    [one, other].map(|(issuer, subject, instance)| Identity::new(issuer, subject, *instance));
                assert_eq!(one == other, index == other_index);
            }
        }
    }
}
