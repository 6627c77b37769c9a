//! The current time, as an argument: no rule about time reads a clock itself, so tests choose the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in time on the wall clock and on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    /// The wall clock, which tokens refer to, in seconds since 1970-01-01T00:00:00Z.
    pub unix_s: u64,
    /// The monotonic clock, which intervals are measured with.
    pub monotonic: Instant,
}

impl Timestamp {
    /// Reads both clocks.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 counts as 0: at that time no token with `nbf` or `iat` is valid yet.
        Self { unix_s: since.map_or(0, |since| since.as_secs()), monotonic: Instant::now() }
    }
}
