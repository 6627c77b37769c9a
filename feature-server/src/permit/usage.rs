//! What the calls of one identity use, and how much of everything one identity may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Permits;
use crate::error::Failure;

/// Of the places and the room for those with a token, one identity gets at most one part in so many.
const PARTS: usize = 4;

/// A request of fewer bytes costs hardly more than its call.
pub(crate) const LARGE_BYTES: usize = 4 * 1024;

/// A large request costs one more call for each of so many bytes, decompressed: they take about as long as a call.
const BYTES_OF_A_CALL: u64 = 8 * 1024;

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

/// A place among the jobs of large work, until it is dropped.
pub(crate) struct Job {
    pub(crate) permits: Arc<Permits>,
    pub(crate) identity: Arc<Usage>,
}

impl Drop for Job {
    fn drop(&mut self) {
        give_back(&self.permits.used.jobs, 1);
        give_back(&self.identity.jobs, 1);
    }
}
