//! Counts calls. Each core has counters of its own, so that cores do not wait for each other's cache lines; they are
//! summed up when they are read.
//!
//! The counters are aligned to 128 bytes, so that those of two cores share no cache line: a line has 64 bytes or 128,
//! and processors load lines of 64 in pairs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grpc_transcoding::Protocol;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use super::histogram::{Buckets, Histogram};
use super::watch_counters::WatchCounters;

/// The protocols of requests. The last one stands for pages, probes, and requests that are no call.
pub const PROTOCOLS: [&str; 5] = ["grpc", "grpc-web", "connect", "rest", "none"];

/// The reasons of refused credentials and rights. The last one stands for any other.
pub const AUTH_FAILURES: [&str; 8] = [
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "TOKEN_EXPIRED",
    "CERTIFICATE_EXPIRED",
    "PERMISSION_MISSING",
    "INSTANCE_UNKNOWN",
    "METHOD_WITHOUT_ACCESS",
    "OTHER",
];

/// The status codes of gRPC are 0 to 16.
pub const CODES: usize = 17;

/// How long calls take, in nanoseconds: from a cached answer to the longest deadline.
pub static CALL_SECONDS: Buckets = Buckets {
    limits: &[
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    divisor: 1e9,
};

/// The methods whose calls are counted, in the order of their numbers.
pub fn methods_in(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// The number of the protocol in [`PROTOCOLS`].
fn number_of(protocol: &Protocol) -> usize {
    match protocol {
        Protocol::Grpc => 0,
        Protocol::GrpcWeb | Protocol::GrpcWebText => 1,
        Protocol::Connect(_) => 2,
        Protocol::Rest(_) => 3,
    }
}

/// The counters of one core.
#[derive(Debug)]
#[repr(align(128))]
pub struct CallCounters {
    /// By the method's number; the last one counts calls of unknown methods.
    pub(super) methods: Box<[MethodCounters]>,
    pub(super) requests: [AtomicU64; PROTOCOLS.len()],
    pub(super) auth_failures: [AtomicU64; AUTH_FAILURES.len()],
    pub(super) rate_limited: AtomicU64,
    /// Answers to Gets: made anew, and from the cache.
    pub(super) answers: [AtomicU64; 2],
    /// Streams of values and of changes.
    pub watches: WatchCounters,
}

/// The counters of one method.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct MethodCounters {
    pub(super) started: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) codes: [AtomicU64; CODES],
    pub(super) seconds: Histogram,
}

impl CallCounters {
    /// Counters for so many methods.
    pub fn new(methods: usize) -> Self {
        let method = |_| MethodCounters {
            started: AtomicU64::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            codes: Default::default(),
            seconds: Histogram::new(&CALL_SECONDS),
        };
        Self {
            methods: (0..=methods).map(method).collect(),
            requests: Default::default(),
            auth_failures: Default::default(),
            rate_limited: AtomicU64::default(),
            answers: Default::default(),
            watches: WatchCounters::default(),
        }
    }

    /// The number that stands for all unknown methods.
    pub fn unknown_method(&self) -> usize {
        self.methods.len() - 1
    }

    /// Counts a request that calls no method.
    pub fn other_request(&self) {
        add(&self.requests[PROTOCOLS.len() - 1], 1);
    }

    /// Counts the start of a call.
    pub fn started(&self, method: usize, protocol: &Protocol) {
        add(&self.requests[number_of(protocol)], 1);
        add(&self.methods[method].started, 1);
    }

    /// Counts messages that the service has received. Those outside of a call do not count.
    pub fn received(&self, method: usize, messages: u64) {
        if let Some(method) = self.methods.get(method) {
            add(&method.received, messages);
        }
    }

    /// Counts messages that the service has sent. Those outside of a call do not count.
    pub fn sent(&self, method: usize, messages: u64) {
        if let Some(method) = self.methods.get(method) {
            add(&method.sent, messages);
        }
    }

    /// Counts the end of a call.
    pub fn handled(&self, method: usize, code: Code, took: Duration) {
        let method = &self.methods[method];
        add(&method.codes[code as usize], 1);
        method.seconds.observe(took.as_nanos() as u64);
    }

    /// Counts a call that was refused for its credential or for a missing right.
    pub fn auth_failure(&self, reason: &str) {
        let number = AUTH_FAILURES.iter().position(|known| *known == reason).unwrap_or(AUTH_FAILURES.len() - 1);
        add(&self.auth_failures[number], 1);
    }

    /// Counts a call that was refused for the rate of its identity.
    pub fn rate_limited(&self) {
        add(&self.rate_limited, 1);
    }

    /// Counts the answer to a Get.
    pub fn answered(&self, from_cache: bool) {
        add(&self.answers[usize::from(from_cache)], 1);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn counters_of_two_cores_share_no_cache_line() {
        for core in [0, 1].map(|_| Arc::new(CallCounters::new(3))) {
            assert_eq!(align_of_val(&*core), 128);
            let own = &raw const *core as usize;
            for method in &core.methods {
                let begin = &raw const *method as usize;
                let counts = method.seconds.counts().as_ptr() as usize;
                assert!(
                    (begin..begin + size_of_val(method)).contains(&counts),
                    "the counts of a histogram lie elsewhere"
                );
            }
            let methods = core.methods.iter().map(|method| (&raw const *method as usize, size_of_val(method)));
            for (begin, size) in methods.chain([(own, size_of_val(&*core))]) {
                assert_eq!((begin % 128, size % 128), (0, 0), "other data begin or end within its lines");
            }
        }
    }
}
