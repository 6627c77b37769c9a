//! The stored form of a request that a scope remembers.

use feature_core::{Completed, IdempotencyKey, Timestamp};
use prost::Message;

use super::NotUnderstood;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredCompleted {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(sfixed64, tag = "3")]
    time: i64,
}

/// The key with these 16 bytes.
pub(super) fn idempotency_key(bytes: &[u8]) -> Result<IdempotencyKey, NotUnderstood> {
    bytes.try_into().map(IdempotencyKey).map_err(|_| NotUnderstood)
}

impl From<&Completed> for StoredCompleted {
    fn from(completed: &Completed) -> Self {
        let Completed { key, sequence, time } = completed;
        Self { key: key.0.to_vec(), sequence: *sequence, time: time.unix_nanos() }
    }
}

impl TryFrom<StoredCompleted> for Completed {
    type Error = NotUnderstood;

    fn try_from(stored: StoredCompleted) -> Result<Self, NotUnderstood> {
        let StoredCompleted { key, sequence, time } = stored;
        Ok(Self { key: idempotency_key(&key)?, sequence, time: Timestamp::from_unix_nanos(time) })
    }
}
