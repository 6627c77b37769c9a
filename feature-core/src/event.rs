//! Events: the history of the settings. The journal holds them, and records are their sum.

use crate::feature::FeatureKey;
use crate::id::OrganizationId;
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::value::Value;

/// One change of one feature. `None` means that the level inherits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureChange {
    /// The feature.
    pub key: FeatureKey,
    /// What the level had set before.
    pub old: Option<Value>,
    /// What the level has set since.
    pub new: Option<Value>,
}

/// What kind of write an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Features were set or unset one by one.
    Set,
    /// Everything that the scope had set was unset.
    Reset,
}

/// One write that changed something: what changed, when and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the history of the whole store: 1 for the first event, one more for each later one.
    pub revision: u64,
    /// The scope that was written.
    pub scope: Scope,
    /// What kind of write this was.
    pub kind: EventKind,
    /// The scope's sequence after the write.
    pub sequence: u64,
    /// When it was written; never before an earlier event of the same scope.
    pub time: Timestamp,
    /// Who wrote: the subject of the credential.
    pub actor: String,
    /// The id of the request that wrote.
    pub request_id: String,
    /// For a user: the organization that is recorded for them after the write.
    pub organization: Option<OrganizationId>,
    /// The features that changed. Empty when only the organization did.
    pub changes: Vec<FeatureChange>,
}

impl Event {
    /// By how much the event raises the scope's sequence: each feature that was set or unset counts, a reset once.
    pub fn steps(&self) -> u64 {
        match self.kind {
            EventKind::Set => self.changes.len() as u64,
            EventKind::Reset => 1,
        }
    }

    /// Whether the scope had no history before this event, which somebody has decided or found to continue the history.
    pub fn is_first(&self) -> bool {
        self.sequence == self.steps()
    }
}
