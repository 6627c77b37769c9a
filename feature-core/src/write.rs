//! Writes: the change that a caller requests for a scope, and the pure function that decides its outcome.

use crate::event::{Credential, Event, EventKind, FeatureChange};
use crate::feature::OwnKey;
use crate::id::OrganizationId;
use crate::patch::Patch;
use crate::record::Record;
use crate::record::idempotency::IdempotencyKey;
use crate::scope::Scope;
use crate::time::Timestamp;

/// The change to the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Set and unset features.
    Set(Patch),
    /// Unset every feature.
    Reset,
    /// Erase what is known of a user. It always makes an event: the user may be the actor of changes elsewhere.
    Erase,
}

/// The organization to record for a user. Writes to other levels use [`Placement::Keep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Keeps the recorded organization, if there is one: the caller named none.
    Keep,
    /// Records this organization unless one is recorded already: the caller's credential implies it.
    Initial(OrganizationId),
    /// Records this organization, even if another one is recorded: the caller may move users within the instance.
    Move(OrganizationId),
    /// Records this organization, but fails if another one is recorded: the caller has rights on this one only.
    Within(OrganizationId),
}

impl Placement {
    /// The organization that the caller named or that the credential implied.
    pub fn organization(&self) -> Option<&OrganizationId> {
        match self {
            Placement::Keep => None,
            Placement::Initial(named) | Placement::Move(named) | Placement::Within(named) => Some(named),
        }
    }
}

/// What a write was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// A record is still the same, such as the definition that values were checked against.
    Unchanged {
        /// The scope of the record.
        scope: Scope,
        /// The sequence that the record must have.
        sequence: u64,
    },
    /// No instance has a definition of this key, which is in lower case.
    DefinedByNoInstance(OwnKey),
}

/// A write that a caller requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The scope to change.
    pub scope: Scope,
    /// The change.
    pub operation: Operation,
    /// The sequence that the scope must have now; 0 for a scope that was never written. `None` accepts any sequence.
    pub expected_sequence: Option<u64>,
    /// The organization to record for a user.
    pub placement: Placement,
    /// Checks the write and changes nothing.
    pub validate_only: bool,
    /// The subject of the caller's credential.
    pub actor: String,
    /// The caller's credential; `None` for a write of the server itself.
    pub credential: Option<Credential>,
    /// The id of the request.
    pub request_id: String,
    /// What the client calls the request, if it may repeat it. When the scope remembers a request with this key, the
    /// write, and all writes of its batch, have happened already.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The caller's reason for the write; empty without one.
    pub comment: String,
    /// The write is refused when one of these does not hold any more.
    pub requires: Vec<Requirement>,
}

/// Why a write is refused. A refused write changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The sequence of the scope differs from the one that the caller expects.
    #[error("expected_sequence is {expected}, but the sequence is {actual}: read again, then repeat the change")]
    SequenceMismatch {
        /// The sequence that the caller expects.
        expected: u64,
        /// The sequence of the scope.
        actual: u64,
    },
    /// The user is recorded under an organization on which the caller has no rights.
    #[error("the user belongs to another organization")]
    OtherOrganization,
    /// Something that the write requires does not hold any more.
    #[error("what the write was made for has changed")]
    RequirementChanged,
}

/// Decides the outcome of a write, given the latest record of its scope.
///
/// * `now`: the time of the clock. If the clock went back, the event gets the time of the previous event.
/// * `revision`: the event's position in the history.
///
/// `None` means success without a change: the scope has all requested values already, or the write is `validate_only`.
///
/// # Errors
/// [`Rejection`] says why the write is refused.
pub fn decide(write: &Write, record: &Record, now: Timestamp, revision: u64) -> Result<Option<Event>, Rejection> {
    let organization = place(&write.placement, record)?;
    if let Some(expected) = write.expected_sequence
        && expected != record.sequence
    {
        return Err(Rejection::SequenceMismatch { expected, actual: record.sequence });
    }
    let (kind, changes, steps) = match &write.operation {
        Operation::Set(patch) => {
            let changes = patch.changes_to(&record.layer);
            let steps = changes.len() as u64;
            (EventKind::Set, changes, steps)
        }
        Operation::Reset if record.layer.is_empty() => return Ok(None),
        Operation::Reset => (EventKind::Reset, unset_all(record), 1),
        Operation::Erase => (EventKind::Erase, unset_all(record).into_iter().map(blank).collect(), 1),
    };
    // A write that sets nothing creates no record for a user who has none.
    let moves = record.sequence > 0 && organization != record.organization;
    if write.validate_only || (changes.is_empty() && !moves && kind != EventKind::Erase) {
        return Ok(None);
    }
    let is_erased = kind == EventKind::Erase;
    Ok(Some(Event {
        revision,
        scope: write.scope.clone(),
        kind,
        sequence: record.sequence + steps,
        time: record.changed.map_or(now, |changed| changed.max(now)),
        actor: write.actor.clone(),
        credential: write.credential.clone(),
        request_id: write.request_id.clone(),
        idempotency_key: write.idempotency_key,
        organization,
        changes,
        comment: write.comment.clone(),
        continues: false,
        is_erased,
    }))
}

fn place(placement: &Placement, record: &Record) -> Result<Option<OrganizationId>, Rejection> {
    match (placement, &record.organization) {
        (Placement::Keep, recorded) | (Placement::Initial(_), recorded @ Some(_)) => Ok(recorded.clone()),
        (Placement::Within(own), Some(recorded)) if own != recorded => Err(Rejection::OtherOrganization),
        (Placement::Initial(named) | Placement::Move(named) | Placement::Within(named), _) => Ok(Some(named.clone())),
    }
}

fn blank(change: FeatureChange) -> FeatureChange {
    FeatureChange { old: None, new: None, ..change }
}

fn unset_all(record: &Record) -> Vec<FeatureChange> {
    record
        .layer
        .iter()
        .map(|(key, value)| FeatureChange { key: key.clone(), old: Some(value.clone()), new: None })
        .collect()
}
