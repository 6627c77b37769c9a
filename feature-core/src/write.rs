//! Writes: what a caller wants done to a scope, and the pure decision what becomes of it.

use crate::event::{Event, EventKind, FeatureChange};
use crate::id::OrganizationId;
use crate::patch::Patch;
use crate::record::Record;
use crate::scope::Scope;
use crate::time::Timestamp;

/// What is to be done to the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Set and unset features.
    Set(Patch),
    /// Unset everything.
    Reset,
}

/// Which organization a user is recorded under from now on. Writes to other levels use [`Placement::Keep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// The one that is recorded already, if any: the caller has named none.
    Keep,
    /// This one when none is recorded yet: the caller's credential implies it.
    Initial(OrganizationId),
    /// This one, wherever the user was before: the caller may move users within the instance.
    Move(OrganizationId),
    /// This one, and only when the user is recorded under it or not at all: the caller is bound to it.
    Within(OrganizationId),
}

impl Placement {
    /// The organization that the caller named, or whose credential implied it.
    pub fn organization(&self) -> Option<&OrganizationId> {
        match self {
            Placement::Keep => None,
            Placement::Initial(named) | Placement::Move(named) | Placement::Within(named) => Some(named),
        }
    }
}

/// A write as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What to write to.
    pub scope: Scope,
    /// What to do.
    pub operation: Operation,
    /// The sequence that the scope must have now; 0 for one that was never written. `None` takes any.
    pub expected_sequence: Option<u64>,
    /// Where a user belongs.
    pub placement: Placement,
    /// Check everything and change nothing.
    pub validate_only: bool,
    /// Who writes: the subject of the credential.
    pub actor: String,
    /// The id of the request.
    pub request_id: String,
}

/// Why a write is refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The scope has another sequence than the caller expects.
    #[error("expected_sequence is {expected}, but the sequence is {actual}: read again, then repeat the change")]
    SequenceMismatch {
        /// What the caller expected.
        expected: u64,
        /// What the scope has.
        actual: u64,
    },
    /// The user is recorded under an organization that the caller has no rights on.
    #[error("the user belongs to another organization")]
    OtherOrganization,
}

/// Decides a write against the newest record of its scope.
///
/// * `now`: the clock's time. An event is never earlier than the one before it, whatever the clock says.
/// * `revision`: the position that the event gets in the history.
///
/// `None` means that all is well and nothing changes: everything holds already, or the write is `validate_only`.
///
/// # Errors
/// [`Rejection`] says why the write must not happen.
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
    };
    // A user who was never set is not recorded anywhere by a Set that sets nothing.
    let moves = record.sequence > 0 && organization != record.organization;
    if write.validate_only || (changes.is_empty() && !moves) {
        return Ok(None);
    }
    Ok(Some(Event {
        revision,
        scope: write.scope.clone(),
        kind,
        sequence: record.sequence + steps,
        time: record.changed.map_or(now, |changed| changed.max(now)),
        actor: write.actor.clone(),
        request_id: write.request_id.clone(),
        organization,
        changes,
    }))
}

fn place(placement: &Placement, record: &Record) -> Result<Option<OrganizationId>, Rejection> {
    match (placement, &record.organization) {
        (Placement::Keep, recorded) | (Placement::Initial(_), recorded @ Some(_)) => Ok(recorded.clone()),
        (Placement::Within(own), Some(recorded)) if own != recorded => Err(Rejection::OtherOrganization),
        (Placement::Initial(named) | Placement::Move(named) | Placement::Within(named), _) => Ok(Some(named.clone())),
    }
}

fn unset_all(record: &Record) -> Vec<FeatureChange> {
    record
        .layer
        .iter()
        .map(|(key, value)| FeatureChange { key: key.clone(), old: Some(value.clone()), new: None })
        .collect()
}
