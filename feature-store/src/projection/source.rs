//! The history that a projection shows: that of a journal, or that of a log which a fleet shares.

use feature_core::Event;
use uuid::Uuid;

use crate::engine::{BaseRecord, Chain};
use crate::error::OpenError;
use crate::journal::Journal;

/// A history that can be read from any event on.
pub(crate) trait EventSource: Sync {
    /// The store's id.
    fn store(&self) -> Uuid;

    /// The revision up to which events are replayed.
    fn revision(&self) -> u64;

    /// Checks that this history continues what a projection has applied: everything up to `revision`, with this chain.
    ///
    /// # Errors
    /// [`OpenError::Projection`] when the projection has to be built anew, and another error when this must not happen.
    fn check_continues(&self, revision: u64, chain: Option<Chain>) -> Result<(), OpenError>;

    /// The revision of the base, if the history has one, else 0. Events up to it need not be replayed.
    ///
    /// # Errors
    /// [`OpenError`] when the base cannot be read.
    fn base_revision(&self) -> Result<u64, OpenError>;

    /// Hands over the records of the base. A record may have events after the base's revision, up to its own.
    ///
    /// # Errors
    /// [`OpenError`] when a record cannot be read, and the errors of `take`.
    fn base(&self, take: &mut dyn FnMut(BaseRecord) -> Result<(), OpenError>) -> Result<(), OpenError>;

    /// Hands over all events after revision `after`, in order, in parts of at most `part`, each with the chain after
    /// it.
    ///
    /// # Errors
    /// [`OpenError`] when an event cannot be read, and the errors of `take`.
    fn replay(&self, after: u64, part: usize, take: Take<'_>) -> Result<(), OpenError>;
}

/// Takes a part of a history.
pub(crate) type Take<'a> = &'a mut dyn FnMut(Vec<Event>, Option<Chain>) -> Result<(), OpenError>;

/// A journal needs no chain: its folder is locked, and a checksum of each frame has the store's id in it.
impl EventSource for Journal {
    fn store(&self) -> Uuid {
        Self::store(self)
    }

    fn revision(&self) -> u64 {
        Self::revision(self)
    }

    fn check_continues(&self, revision: u64, _: Option<Chain>) -> Result<(), OpenError> {
        let oldest = self.segments()[0];
        match revision {
            // The journal has lost acknowledged events: an operator must decide.
            ahead if ahead > Self::revision(self) => Err(self.cut_short(ahead)),
            behind if behind > 0 && behind + 1 < oldest => Err(OpenError::Projection {
                reason: format!("it ends at revision {behind}, and the journal begins at {oldest}"),
            }),
            _ => Ok(()),
        }
    }

    fn base_revision(&self) -> Result<u64, OpenError> {
        Self::base_revision(self)
    }

    fn base(&self, take: &mut dyn FnMut(BaseRecord) -> Result<(), OpenError>) -> Result<(), OpenError> {
        Self::base(self, take)
    }

    fn replay(&self, after: u64, part: usize, take: Take<'_>) -> Result<(), OpenError> {
        Self::replay(self, after, part, |events| take(events, None))
    }
}
