//! Whether an event goes on from a record: what [`decide`](crate::decide) always brings about, and what damaged or
//! foreign history does not. Pure; nothing is repaired here.

use crate::event::{Event, EventKind};
use crate::record::Record;

/// Why an event does not go on from the record of its scope. Each names the part of the event that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// The scope's sequence has a gap or a repeat.
    #[error("is {actual}, but {expected} continues the scope's history")]
    Sequence {
        /// What continues the history.
        expected: u64,
        /// What the event has.
        actual: u64,
    },
    /// The event is earlier than the one before it.
    #[error("is earlier than that of the scope's event before")]
    Time,
    /// The change at this index, counted from 0, does not start from what the scope has set.
    #[error("is not what the scope had set before")]
    Old(
        /// The index.
        usize,
    ),
    /// The change at this index, counted from 0, changes nothing, or its feature was changed already.
    #[error("changes nothing, or repeats a feature")]
    Change(
        /// The index.
        usize,
    ),
    /// The first event of a scope changes nothing. Then a later one could pass for the first
    /// ([`Event::is_first`]).
    #[error("are missing, though the scope was never written before")]
    Empty,
    /// A reset leaves something set.
    #[error("of a reset have to unset all that the scope had set")]
    Reset,
}

/// Checks that `event` goes on from `record`, the record of its scope.
///
/// # Errors
/// [`Discontinuity`], the first one found.
pub fn check_continuity(record: &Record, event: &Event) -> Result<(), Discontinuity> {
    let expected = record.sequence.saturating_add(event.steps());
    if event.sequence != expected {
        return Err(Discontinuity::Sequence { expected, actual: event.sequence });
    }
    if record.changed.is_some_and(|changed| event.time < changed) {
        return Err(Discontinuity::Time);
    }
    if record.sequence == 0 && event.changes.is_empty() {
        return Err(Discontinuity::Empty);
    }
    for (index, change) in event.changes.iter().enumerate() {
        if record.layer.get(change.key.as_str()) != change.old.as_ref() {
            return Err(Discontinuity::Old(index));
        }
        if change.old == change.new || event.changes[..index].iter().any(|earlier| earlier.key == change.key) {
            return Err(Discontinuity::Change(index));
        }
    }
    if event.kind == EventKind::Reset {
        let all = event.changes.len() == record.layer.iter().count();
        if !all || event.changes.iter().any(|change| change.new.is_some()) {
            return Err(Discontinuity::Reset);
        }
    }
    Ok(())
}
