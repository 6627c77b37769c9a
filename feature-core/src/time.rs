//! A point in time. The crate reads no clock: callers pass the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time, in nanoseconds since 1970-01-01T00:00:00Z; negative before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    unix_nanos: i64,
}

impl Timestamp {
    /// The point in time `unix_nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_nanos(unix_nanos: i64) -> Self {
        Self { unix_nanos }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_nanos(self) -> i64 {
        self.unix_nanos
    }
}

/// A time outside of the years 1677 to 2262 becomes the nearest end of that range.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let unix_nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        };
        Self { unix_nanos }
    }
}
