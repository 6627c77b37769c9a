//! The sizes that bound a store: those of values, which callers meet, and those of files and memory.

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

/// The sizes of files and caches, which tests change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A journal segment of this many bytes takes no further group.
    pub(crate) segment_bytes: u64,
    /// Appends are refused while fewer bytes are free.
    pub(crate) reserve_bytes: u64,
    /// The projection keeps about so many bytes of records in memory.
    pub(crate) cache_bytes: u64,
}

/// The sizes in production.
pub(crate) const SIZES: Sizes =
    Sizes { segment_bytes: 64 * 1024 * 1024, reserve_bytes: 64 * 1024 * 1024, cache_bytes: SMALL_CACHE_BYTES };
