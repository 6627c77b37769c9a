//! The events behind a store, to read: one after another, or those that concern a scope, a feature or an actor.

pub(crate) mod erasures;
pub(crate) mod index;
pub(crate) mod parts;
pub(crate) mod past;
pub(crate) mod term;

use feature_core::Event;
use uuid::Uuid;

use crate::error::StoreError;
use term::Term;

/// The most revisions that [`EventLog::find`] returns at once.
pub(crate) const FOUND_MAX: usize = if cfg!(test) { 3 } else { 1_000 };

/// The bytes of stored events after which a read ends.
pub(crate) const READ_BYTES: usize = 4 * 1024 * 1024;

/// The history of a store. Its reads may touch the disk or the database.
///
/// Revisions above [`EventLog::newest`] and below [`EventLog::oldest`] have no events here.
pub trait EventLog: Send + Sync {
    /// The id of the store, which it keeps for life.
    fn store_id(&self) -> Uuid;

    /// The revision of the oldest event that can be read; one more than that of the newest when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    fn oldest(&self) -> Result<u64, StoreError>;

    /// The revision of the newest event; 0 without any. The store shows this event, and records that were read before
    /// have no newer one.
    fn newest(&self) -> u64;

    /// The events from this revision on, in order: at most `limit`, and fewer when they are large or stored in several
    /// places. None: there is none.
    ///
    /// # Errors
    /// [`StoreError::DamagedEvent`] when one cannot be read; [`StoreError::Compacted`] when some are not kept any more;
    /// [`StoreError::NotUnderstood`]; [`StoreError::Unreachable`].
    fn events(&self, from: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The events with these revisions, which ascend: at least the first one, and fewer than all when they are large.
    /// Those that are not kept any more are left out.
    ///
    /// # Errors
    /// As for [`EventLog::events`].
    fn events_at(&self, revisions: &[u64]) -> Result<Vec<Event>, StoreError>;

    /// Where to look for events that concern all of these terms, beginning at the revision `from`. With some
    /// probability, an event at such a revision does not concern them.
    ///
    /// # Errors
    /// As for [`EventLog::events`].
    fn find(&self, terms: &[Term], from: u64, order: Order) -> Result<Found, StoreError>;
}

/// The order of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the revision where it begins to the oldest one.
    NewestFirst,
    /// From the revision where it begins to the newest one.
    OldestFirst,
}

/// A part of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Revisions, in the order of the search.
    pub revisions: Vec<u64>,
    /// Where the search goes on; `None` at the end of the history.
    pub next: Option<u64>,
}

impl Found {
    /// Takes at most [`FOUND_MAX`] of these revisions, which are in the order of the search, and all that there are up
    /// to `last`.
    ///
    /// `range`: the oldest and the newest revision of the history.
    pub(crate) fn of(
        revisions: impl Iterator<Item = u64>,
        last: u64,
        order: Order,
        (oldest, newest): (u64, u64),
    ) -> Self {
        let revisions: Vec<_> = revisions.take(FOUND_MAX).collect();
        let last = if revisions.len() == FOUND_MAX { revisions[FOUND_MAX - 1] } else { last };
        let next = match order {
            Order::NewestFirst => last.checked_sub(1).filter(|next| *next >= oldest),
            Order::OldestFirst => Some(last + 1).filter(|next| *next <= newest),
        };
        Self { revisions, next }
    }
}
