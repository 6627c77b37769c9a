//! The contract of a store, and the checks that every store makes before it writes. No store lives here.

pub(crate) mod fold;
pub(crate) mod limits;

use feature_core::{Event, Record, Scope, Value};

use crate::error::StoreError;
use crate::format::encoding;
pub use limits::{VALUE_MAX_BYTES, VALUE_MAX_DEPTH};

/// Keeps the history of all scopes and shows the newest record of each.
///
/// Reads come from any number of threads and may touch the disk. Writes come from one thread, the one of the
/// [`Committer`](crate::Committer).
pub trait FeatureStore: Send + Sync {
    /// The newest committed record of `scope`; the default record when it was never written.
    ///
    /// A record that was seen once stays: no crash takes it back.
    ///
    /// # Errors
    /// [`StoreError::DamagedRecord`] or [`StoreError::Projection`] when the record cannot be read. A record that
    /// cannot be trusted is never answered, nor is a default in its place.
    fn record(&self, scope: &Scope) -> Result<Record, StoreError>;

    /// The revision of the last committed event; 0 when there is none. Its records are visible.
    fn revision(&self) -> u64;

    /// Adds events, whose revisions continue those of the store: `revision() + 1` and so on.
    ///
    /// All or nothing: with `Ok` all events are durable and visible, with an error none is visible. (After a crash
    /// within the call a part of the events, from the first on, may be there.)
    ///
    /// # Errors
    /// When [`StoreError::is_refusal`] holds, nothing was attempted, and the next append may succeed. After any
    /// other error it is not known what the disk holds: the store refuses all further appends, and reads go on.
    fn append(&self, events: &[Event]) -> Result<(), StoreError>;

    /// Makes the end of the history recognisable as a clean one, and flushes everything. Called once, last.
    ///
    /// # Errors
    /// [`StoreError`] when that fails. Every event is durable nevertheless.
    fn close(&self) -> Result<(), StoreError>;
}

/// Checks that a store at revision `newest` may append these events.
pub(crate) fn check_append(newest: u64, events: &[Event]) -> Result<(), StoreError> {
    for (event, expected) in events.iter().zip(newest + 1..) {
        if event.revision != expected {
            return Err(StoreError::WrongRevision { expected, actual: event.revision });
        }
        check_values(event)?;
    }
    Ok(())
}

/// Checks the limits of an event's values and returns how many bytes all of them take in their stored form.
pub(crate) fn check_values(event: &Event) -> Result<usize, StoreError> {
    let mut total = 0;
    for change in &event.changes {
        for value in [&change.old, &change.new].into_iter().flatten() {
            if is_deeper_than(VALUE_MAX_DEPTH, value) {
                return Err(StoreError::ValueTooDeep { key: change.key.clone() });
            }
            let bytes = encoding::value_bytes(value);
            if bytes > VALUE_MAX_BYTES {
                return Err(StoreError::ValueTooLarge { key: change.key.clone(), bytes });
            }
            total += bytes;
        }
    }
    Ok(total)
}

fn is_deeper_than(depth: usize, value: &Value) -> bool {
    match value {
        Value::Message(parts) => depth == 0 || parts.values().any(|part| is_deeper_than(depth - 1, part)),
        Value::Flag(_) | Value::Text(_) | Value::Numbers(_) => false,
    }
}
