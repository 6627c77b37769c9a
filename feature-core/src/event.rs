//! Events: the history of the settings. The journal stores them, and a record is the sum of the events of its scope.

pub(crate) mod erasure;

use crate::feature::FeatureKey;
use crate::id::OrganizationId;
use crate::record::idempotency::IdempotencyKey;
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::value::Value;

/// One change of one feature. `None` means that the level does not set the feature and inherits its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureChange {
    /// The feature.
    pub key: FeatureKey,
    /// The value before the write.
    pub old: Option<Value>,
    /// The value after the write.
    pub new: Option<Value>,
}

impl FeatureChange {
    /// Whether an erasure has taken out the values. Any other change has at least one.
    pub fn is_blank(&self) -> bool {
        self.old.is_none() && self.new.is_none()
    }
}

/// The credential of a caller, as far as the history names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token {
        /// Who has issued it.
        issuer: String,
    },
    /// A client certificate.
    Certificate,
}

/// The kind of write that an event records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Set or unset single features.
    Set,
    /// Unset every feature that the scope had set.
    Reset,
    /// Unset every feature that a user had set, and take out of all earlier events what is known of the user: an
    /// [`Erasure`](crate::Erasure). The event itself has no values.
    Erase,
}

/// One write that changed something: what changed, when, and who changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's position in the history of the whole store. The first event has 1, each later event one more.
    pub revision: u64,
    /// The scope that was written.
    pub scope: Scope,
    /// The kind of write.
    pub kind: EventKind,
    /// The scope's sequence after the write.
    pub sequence: u64,
    /// The time of the write; never earlier than the previous event of the same scope.
    pub time: Timestamp,
    /// The subject of the credential of the write.
    pub actor: String,
    /// The credential. `None` when it is not known, and for a write of the server itself.
    pub credential: Option<Credential>,
    /// The id of the request.
    pub request_id: String,
    /// What the client calls the request, if it may repeat it.
    pub idempotency_key: Option<IdempotencyKey>,
    /// For a user: the organization recorded for the user after the write.
    pub organization: Option<OrganizationId>,
    /// The features that changed. Empty when only the organization changed.
    pub changes: Vec<FeatureChange>,
    /// The caller's reason for the write; empty without one.
    pub comment: String,
    /// Whether the next event belongs to the same batch of writes: either all events of a batch happen, or none.
    pub continues: bool,
    /// Whether an erasure has taken something out of the event: the values of changes, the comment, the actor.
    pub is_erased: bool,
}

impl Event {
    /// The number of steps by which the event raises the scope's sequence: one for each changed feature, one for a
    /// reset or an erasure.
    pub fn steps(&self) -> u64 {
        match self.kind {
            EventKind::Set => self.changes.len() as u64,
            EventKind::Reset | EventKind::Erase => 1,
        }
    }

    /// Whether the scope had no history before this event. Valid only for an event that [`decide`](crate::decide) made
    /// or that passed [`check_continuity`](crate::check_continuity).
    pub fn is_first(&self) -> bool {
        self.sequence == self.steps()
    }
}
