//! Now, as an argument: rules about time take a moment and never read a clock themselves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One point in time on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The calendar's time, which tokens speak of, in seconds since 1970-01-01T00:00:00Z.
    pub unix_s: u64,
    /// The time that never jumps, which intervals are measured with.
    pub steady: Instant,
}

impl Moment {
    /// Reads both clocks.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // Before 1970 no token is valid yet, so 0 refuses all whose claims say when they begin.
        Self { unix_s: since.map_or(0, |since| since.as_secs()), steady: Instant::now() }
    }

    /// This much later.
    pub fn after(self, by: Duration) -> Self {
        Self { unix_s: self.unix_s + by.as_secs(), steady: self.steady + by }
    }
}
