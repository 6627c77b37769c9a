//! Idempotency keys ([AIP-155](https://google.aip.dev/155)): a client that repeats a request, because it has not seen
//! the answer, does not change anything twice.

use crate::event::Event;
use crate::time::Timestamp;

/// How long a request is remembered, in nanoseconds: an hour.
const REMEMBERED_NANOS: i64 = 3_600 * 1_000_000_000;

/// The most requests that a scope remembers. Of more within an hour, the oldest ones are forgotten.
const REMEMBERED_MAX: usize = 32;

/// What a client calls a request that it may repeat: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub [u8; 16]);

/// A request with a key that has changed a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Its key.
    pub key: IdempotencyKey,
    /// The scope's sequence after it.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
}

/// Adds the request of an event to those that its scope remembers, and forgets what is too old.
pub(crate) fn remember(completed: &mut Vec<Completed>, event: &Event) {
    completed.retain(|request| is_remembered(request, event.time));
    if let Some(key) = event.idempotency_key {
        let excess = (completed.len() + 1).saturating_sub(REMEMBERED_MAX);
        completed.drain(..excess);
        completed.push(Completed { key, sequence: event.sequence, time: event.time });
    }
}

/// The request with this key among those that a scope remembers.
pub(crate) fn find(completed: &[Completed], key: Option<IdempotencyKey>, now: Timestamp) -> Option<&Completed> {
    completed.iter().find(|request| Some(request.key) == key && is_remembered(request, now))
}

fn is_remembered(request: &Completed, now: Timestamp) -> bool {
    now.unix_nanos().saturating_sub(request.time.unix_nanos()) <= REMEMBERED_NANOS
}
