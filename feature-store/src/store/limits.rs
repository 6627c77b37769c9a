//! The sizes that bound a store: those of values, which callers meet, and those of files and memory.

use std::time::Duration;

/// The most bytes that one value may take in its stored form.
pub const VALUE_MAX_BYTES: usize = 32 * 1024;

/// How deep messages and lists may lie within each other in a value. Far deeper ones could be written but not read
/// again.
pub const VALUE_MAX_DEPTH: usize = 16;

/// The most bytes of the comment on a write.
pub(crate) const COMMENT_MAX_BYTES: usize = 4 * 1024;

/// The most events of a batch, which stand in one segment of the journal.
pub(crate) const BATCH_MAX_EVENTS: usize = 16_384;

/// What sled may keep in memory where everything is read or written once, in order.
pub(crate) const SMALL_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// How much of its history a store keeps in its data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    Forever,
    /// The events of this time, and those of up to an eighth more.
    For(Duration),
    /// The newest events, in segments of so many bytes together, and those of up to an eighth more.
    Bytes(u64),
}

/// So many segments the time or the bytes of [`Keep`] are divided into at least: segments are dropped whole.
const KEPT_SEGMENTS: u32 = 8;

impl Keep {
    /// The bytes of a segment that takes no further group, if `usual` are so without a [`Keep`].
    pub(crate) fn segment_bytes(self, usual: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => usual.min(bytes / u64::from(KEPT_SEGMENTS)),
            Self::Forever | Self::For(_) => usual,
        }
    }

    /// How old a segment becomes that still takes groups.
    pub(crate) fn segment_age(self) -> Option<Duration> {
        match self {
            Self::For(time) => Some(time / KEPT_SEGMENTS),
            Self::Forever | Self::Bytes(_) => None,
        }
    }
}

/// The sizes of files and caches, which tests change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A journal segment of this many bytes takes no further group.
    pub(crate) segment_bytes: u64,
    /// Appends are refused while fewer bytes are free.
    pub(crate) reserve_bytes: u64,
    /// The projection keeps about so many bytes of records in memory.
    pub(crate) cache_bytes: u64,
    /// How much of the history is kept.
    pub(crate) keep: Keep,
}

/// The sizes in production.
pub(crate) const SIZES: Sizes = Sizes {
    segment_bytes: 64 * 1024 * 1024,
    reserve_bytes: 64 * 1024 * 1024,
    cache_bytes: SMALL_CACHE_BYTES,
    keep: Keep::Forever,
};
