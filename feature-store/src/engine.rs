//! The contract of an engine: an ordered log that the replicas of a fleet share, such as a PostgreSQL.
//!
//! An engine is small on purpose, so that another one is another file. It orders groups of entries by comparing, and
//! knows nothing of features. What it promises:
//!
//! - The log has no gaps: an entry is visible only when all entries before it are, and it stays, unless the database is
//!   taken back as a whole (a backup restored, a failover that lost writes). The [`Chain`] shows that.
//! - [`Engine::append`] compares and adds in one step. With [`Append::Added`] the entries survive what the database's
//!   settings promise.
//! - A call ends within a deadline of the engine's own.

pub(crate) mod chain;
pub(crate) mod postgres;

use std::time::Duration;

use feature_core::Event;
use uuid::Uuid;

use crate::error::StoreError;
use crate::format::encoding::decode_event;

pub use chain::Chain;

/// A shared, ordered log.
pub trait Engine: Send + Sync {
    /// The end of the log.
    ///
    /// # Errors
    /// [`EngineError`].
    fn head(&self) -> Result<Head, EngineError>;

    /// Adds a group after `base`, if that is the end of the log; without entries, only compares. The comparison is made
    /// by a write, so a database that has been replaced by another one does not pass.
    ///
    /// # Errors
    /// [`EngineError`]: nothing was added, and nothing will be.
    fn append(&self, base: Position, group: &[Entry]) -> Result<Append, EngineError>;

    /// Finds out whether a group was added after [`Append::Unknown`]. Waits until the attempt has ended.
    ///
    /// # Errors
    /// [`EngineError`]: it is still unknown.
    fn outcome(&self, base: Position, group: &[Entry]) -> Result<Outcome, EngineError>;

    /// Waits for the turn to append alone, and returns the end of the log: until the next [`Engine::append`], which
    /// ends the turn, no other replica adds anything. A turn also ends by itself after a moment. An engine without
    /// turns only returns the end.
    ///
    /// # Errors
    /// [`EngineError`]; then the replica has no turn.
    fn take_turn(&self) -> Result<Position, EngineError>;

    /// Writes that this replica lives and has read up to `position`. Returns what the log was when it was written.
    ///
    /// The write is the proof: a database that was replaced by another one still answers reads, and not this.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing is proved.
    fn beat(&self, replica: Uuid, position: Position) -> Result<Beat, EngineError>;

    /// Entries of revoked tokens with numbers below `before`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`EngineError`].
    fn revocations(&self, before: i64, limit: usize) -> Result<Vec<(i64, String)>, EngineError>;

    /// Adds the entry of a revoked token, unless it is there.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been added.
    fn revoke(&self, entry: &str) -> Result<(), EngineError>;

    /// Gives up the database that has answered the last read: writes do not lead there. The next calls look for another
    /// one. If all connections have left that database already, it does nothing.
    fn leave_reads(&self) {}

    /// Records of the base after this scope's key, in the order of the keys, at most `limit`. The base has all events
    /// up to [`Head::folded`]; while another replica brings it forward, some records may have later ones.
    ///
    /// # Errors
    /// [`EngineError`].
    fn base(&self, after: &[u8], limit: usize) -> Result<Vec<BaseRecord>, EngineError>;

    /// The records of the base with these keys, those that it has.
    ///
    /// # Errors
    /// [`EngineError`].
    fn base_of(&self, keys: &[&[u8]]) -> Result<Vec<BaseRecord>, EngineError>;

    /// Replaces records of the base, which has all events up to `to` then. Does nothing if it does not
    /// have exactly those up to `from` now, or if the log has another entry at `to`.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been done.
    fn fold(&self, from: u64, to: Position, records: &[BaseRecord]) -> Result<(), EngineError>;

    /// Begins a log without entries after `at`, and adds records to its base, which has all of them with the last part.
    /// Until then no replica can begin. Does nothing if the log is another one; the same part may come again.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been done.
    fn begin(&self, at: Position, records: &[BaseRecord], is_last: bool) -> Result<(), EngineError>;

    /// Drops the entries up to this revision, if the base has them.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been done.
    fn drop_entries(&self, up_to: u64) -> Result<(), EngineError>;

    /// Returns when the log may have grown, with the revision up to which it has, or `None` after `timeout`. A hint may
    /// be missing, so nothing relies on it.
    fn wait_for_hint(&self, timeout: Duration) -> Option<u64>;

    /// Entries from this revision on, in order, at most `limit`, and fewer when they are large; a page that is
    /// [the last](is_last_page) ends where the log ends. None: the log ends before, or keeps only later ones.
    ///
    /// # Errors
    /// [`EngineError`].
    fn read(&self, from: u64, limit: usize) -> Result<Vec<Entry>, EngineError>;

    /// The entries with these revisions, which ascend: at least the first one, and fewer than all when they are large.
    /// Those that the log keeps no longer are left out.
    ///
    /// # Errors
    /// [`EngineError`].
    fn read_each(&self, revisions: &[u64]) -> Result<Vec<Entry>, EngineError>;

    /// Replaces the bodies of entries, from which an erasure has taken something; their chains stay. The indexes of the
    /// parts that begin at `firsts` go.
    ///
    /// * `at`: the entry of the erasure. If the log does not have it any more, nothing is done.
    /// * `entries`: each with its body before. One with another body, or another chain, is left out.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been done.
    fn erase(&self, at: Position, entries: &[(Vec<u8>, Entry)], firsts: &[u64]) -> Result<(), EngineError>;

    /// The stored index of the part of the log that begins at this revision.
    ///
    /// # Errors
    /// [`EngineError`].
    fn index(&self, first: u64) -> Result<Option<Vec<u8>>, EngineError>;

    /// Stores the index of the part of the log that begins at this revision, in place of an earlier one.
    ///
    /// # Errors
    /// [`EngineError`]: it may have been stored.
    fn store_index(&self, first: u64, index: &[u8]) -> Result<(), EngineError>;
}

/// A page of entries has no further entry after so many bytes.
pub(crate) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Whether a page of [`Engine::read`] with this limit goes to the end of the log.
pub(crate) fn is_last_page(page: &[Entry], limit: usize) -> bool {
    page.len() < limit && page.iter().map(|entry| entry.body.len()).sum::<usize>() < PAGE_BYTES
}

/// A point in a history: a revision, and the chain of everything up to it. Two histories that differ anywhere before
/// have different chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The revision of the last entry.
    pub revision: u64,
    /// The chain after it.
    pub chain: Chain,
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The store's id, which it keeps for life.
    pub store: Uuid,
    /// The last entry.
    pub end: Position,
    /// The revision of the first entry that is kept.
    pub kept_from: u64,
    /// The revision up to which the base has all events.
    pub folded: u64,
}

/// What a replica learns when it writes that it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// The end of the log.
    pub head: Head,
    /// Whether the replica's position is one of this log. Entries that the log keeps no longer are none.
    pub has_position: bool,
    /// The number of the newest entry of a revoked token; 0 without any.
    pub newest_revocation: i64,
}

/// A record of the base, from which a new replica begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRecord {
    /// The stored form of the scope.
    pub key: Vec<u8>,
    /// The revision of the last event in the record.
    pub revision: u64,
    /// The stored form of the record, the same as in a projection.
    pub body: Vec<u8>,
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event's revision, and the chain after it.
    pub position: Position,
    /// The stored form of the event, the same as in a journal.
    pub body: Vec<u8>,
}

impl Entry {
    /// The event. Fails with [`StoreError::NotUnderstood`] when a newer binary wrote it.
    pub(crate) fn event(&self) -> Result<Event, StoreError> {
        let revision = self.position.revision;
        decode_event(revision, &self.body).map_err(|_| StoreError::NotUnderstood { revision })
    }
}

/// The outcome of an attempt to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// The log ended at the base, and has the group now.
    Added,
    /// The log does not end at the base. Nothing was added, and nothing will be.
    Overtaken,
    /// The connection was lost. The group may be there, or come yet.
    Unknown {
        /// What the connection said.
        reason: String,
    },
}

/// What has become of a group whose outcome was unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The log has the group.
    Added,
    /// The log has something else in its place.
    Overtaken,
    /// The log still ends at the base. The same group may be sent again: whichever copy comes first is added, once.
    Open,
}

/// The engine cannot be reached, or does not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EngineError {
    /// What the connection said.
    pub reason: String,
}
