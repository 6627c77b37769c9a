//! Checks that an event continues the record of its scope. Events of [`decide`](crate::decide) always do; events of a
//! damaged or foreign history may not.
//!
//! Blank changes fit to any record: erasures take values out of the newest events first, so older ones may still have
//! theirs.

use crate::event::{Event, EventKind, FeatureChange};
use crate::record::Record;
use crate::scope::Scope;

/// Why an event does not continue the record of its scope. Each variant names the part of the event that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// The scope's sequence has a gap or a repeat.
    #[error("is {actual}, but {expected} continues the scope's history")]
    Sequence {
        /// The sequence that continues the history.
        expected: u64,
        /// The sequence of the event.
        actual: u64,
    },
    /// The event is earlier than the previous event of its scope.
    #[error("is earlier than that of the scope's event before")]
    Time,
    /// The old value of the change at this index (from 0) is not the value that the scope has set.
    #[error("is not what the scope had set before")]
    Old(
        /// The index.
        usize,
    ),
    /// The change at this index (from 0) changes nothing, or an earlier change of the event has the same feature.
    #[error("changes nothing, or repeats a feature")]
    Change(
        /// The index.
        usize,
    ),
    /// The first event of a scope has no changes. A later event of another history could then pass for the first one
    /// ([`Event::is_first`]).
    #[error("are missing, though the scope was never written before")]
    Empty,
    /// An erasure is not one of a user, has values, or goes on as a batch.
    #[error("is an erasure, which is one of a user, without values and alone")]
    Erasure,
    /// A reset does not unset every feature that the scope has set.
    #[error("of a reset have to unset all that the scope had set")]
    Reset,
}

/// Checks that `event` continues `record`, the record of its scope.
///
/// # Errors
/// [`Discontinuity`]: the first one found.
pub fn check_continuity(record: &Record, event: &Event) -> Result<(), Discontinuity> {
    let expected = record.sequence.saturating_add(event.steps());
    if event.sequence != expected {
        return Err(Discontinuity::Sequence { expected, actual: event.sequence });
    }
    if record.changed.is_some_and(|changed| event.time < changed) {
        return Err(Discontinuity::Time);
    }
    if record.sequence == 0 && event.changes.is_empty() && event.kind != EventKind::Erase {
        return Err(Discontinuity::Empty);
    }
    for (index, change) in event.changes.iter().enumerate() {
        let is_erased = event.is_erased && change.is_blank();
        if !is_erased && record.layer.get(change.key.as_str()) != change.old.as_ref() {
            return Err(Discontinuity::Old(index));
        }
        let is_none = change.old == change.new && !is_erased;
        if is_none || event.changes[..index].iter().any(|earlier| earlier.key == change.key) {
            return Err(Discontinuity::Change(index));
        }
    }
    if event.kind == EventKind::Erase {
        let is_alone = matches!(event.scope, Scope::User(..)) && !event.continues;
        if !is_alone || !event.changes.iter().all(FeatureChange::is_blank) {
            return Err(Discontinuity::Erasure);
        }
    }
    if event.kind == EventKind::Reset && !event.changes.iter().any(FeatureChange::is_blank) {
        let all = event.changes.len() == record.layer.iter().count();
        if !all || event.changes.iter().any(|change| change.new.is_some()) {
            return Err(Discontinuity::Reset);
        }
    }
    Ok(())
}
