//! The stored form of events and records: protobuf messages of this crate's own, and the conversions.
//!
//! The tags are the on-disk format: they are never reused. A change that an older binary would misread, such as a new
//! kind of value, needs a new kind of frame in the journal, so that the older binary refuses it. [`is_plain`] tells the
//! events that the first binaries understand.

mod completed;
mod credential;
mod value;

use std::collections::BTreeMap;

use feature_core::{
    Completed, Credential, Event, EventKind, FeatureChange, FeatureKey, Layer, OrganizationId, Record, Scope,
    Timestamp, Value,
};
use prost::Message;

use crate::format::scope_key;
use completed::{StoredCompleted, idempotency_key};
use credential::StoredCredential;
use value::StoredValue;

pub(crate) use value::value_bytes;

/// The stored bytes are intact, but of a form that this version does not write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

const KIND_SET: u32 = 1;
const KIND_RESET: u32 = 2;
/// The same with what the first binaries do not know. In the log of a fleet, which has no frames, they refuse it so.
const KIND_RICH_SET: u32 = 3;
const KIND_RICH_RESET: u32 = 4;
const KIND_ERASE: u32 = 5;

/// An event without its revision, which the frame around it has.
#[derive(Clone, PartialEq, Message)]
struct StoredEvent {
    #[prost(bytes = "vec", tag = "1")]
    scope: Vec<u8>,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(sfixed64, tag = "4")]
    unix_nanos: i64,
    #[prost(string, tag = "5")]
    actor: String,
    #[prost(string, tag = "6")]
    request_id: String,
    #[prost(string, optional, tag = "7")]
    organization: Option<String>,
    #[prost(message, repeated, tag = "8")]
    changes: Vec<StoredChange>,
    #[prost(string, tag = "9")]
    comment: String,
    #[prost(bool, tag = "10")]
    continues: bool,
    /// 16 bytes, or none.
    #[prost(bytes = "vec", tag = "11")]
    idempotency_key: Vec<u8>,
    #[prost(oneof = "StoredCredential", tags = "12, 13")]
    credential: Option<StoredCredential>,
    #[prost(bool, tag = "15")]
    is_erased: bool,
}

/// As much of a [`StoredEvent`] as its scope needs.
#[derive(Clone, PartialEq, Message)]
struct StoredScope {
    #[prost(bytes = "vec", tag = "1")]
    scope: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredChange {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    old: Option<StoredValue>,
    #[prost(message, optional, tag = "3")]
    new: Option<StoredValue>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRecord {
    #[prost(btree_map = "string, message", tag = "1")]
    layer: BTreeMap<String, StoredValue>,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(sfixed64, optional, tag = "3")]
    created: Option<i64>,
    #[prost(sfixed64, optional, tag = "4")]
    changed: Option<i64>,
    #[prost(string, optional, tag = "5")]
    organization: Option<String>,
    #[prost(message, repeated, tag = "6")]
    completed: Vec<StoredCompleted>,
}

/// As much of a [`StoredRecord`] as the keys of its layer need.
#[derive(Clone, PartialEq, Message)]
struct StoredKeys {
    #[prost(btree_map = "string, message", tag = "1")]
    layer: BTreeMap<String, NoValue>,
}

#[derive(Clone, PartialEq, Message)]
struct NoValue {}

/// The stored form of an event, without its revision.
pub(crate) fn encode_event(event: &Event) -> Vec<u8> {
    StoredEvent {
        scope: scope_key::encode(&event.scope),
        kind: match (event.kind, is_plain(event)) {
            (EventKind::Set, true) => KIND_SET,
            (EventKind::Reset, true) => KIND_RESET,
            (EventKind::Set, false) => KIND_RICH_SET,
            (EventKind::Reset, false) => KIND_RICH_RESET,
            (EventKind::Erase, _) => KIND_ERASE,
        },
        sequence: event.sequence,
        unix_nanos: event.time.unix_nanos(),
        actor: event.actor.clone(),
        request_id: event.request_id.clone(),
        organization: event.organization.as_ref().map(OrganizationId::to_string),
        changes: event.changes.iter().map(StoredChange::from).collect(),
        comment: event.comment.clone(),
        continues: event.continues,
        idempotency_key: event.idempotency_key.map_or_else(Vec::new, |key| key.0.to_vec()),
        credential: event.credential.as_ref().map(StoredCredential::from),
        is_erased: event.is_erased,
    }
    .encode_to_vec()
}

/// Whether the stored form of an event is one that the first binaries understand.
pub(crate) fn is_plain(event: &Event) -> bool {
    let mut values = event.changes.iter().flat_map(|change| [&change.old, &change.new]).flatten();
    let is_new = !event.comment.is_empty()
        || event.continues
        || event.idempotency_key.is_some()
        || event.credential.is_some()
        || matches!(event.scope, Scope::Definition(..));
    let is_of_erasure = event.is_erased || event.kind == EventKind::Erase;
    !is_new && !is_of_erasure && values.all(value::is_plain)
}

/// The event of this revision.
pub(crate) fn decode_event(revision: u64, bytes: &[u8]) -> Result<Event, NotUnderstood> {
    let stored = StoredEvent::decode(bytes).map_err(|_| NotUnderstood)?;
    Ok(Event {
        revision,
        scope: scope_key::decode(&stored.scope).ok_or(NotUnderstood)?,
        kind: match stored.kind {
            KIND_SET | KIND_RICH_SET => EventKind::Set,
            KIND_RESET | KIND_RICH_RESET => EventKind::Reset,
            KIND_ERASE => EventKind::Erase,
            _ => return Err(NotUnderstood),
        },
        sequence: stored.sequence,
        time: Timestamp::from_unix_nanos(stored.unix_nanos),
        actor: stored.actor,
        request_id: stored.request_id,
        organization: organization(stored.organization)?,
        changes: stored.changes.into_iter().map(FeatureChange::try_from).collect::<Result<_, _>>()?,
        comment: stored.comment,
        continues: stored.continues,
        idempotency_key: match &stored.idempotency_key[..] {
            [] => None,
            key => Some(idempotency_key(key)?),
        },
        credential: stored.credential.map(Credential::try_from).transpose()?,
        is_erased: stored.is_erased,
    })
}

/// The stored form of the scope of an event.
pub(crate) fn scope_of_event(bytes: &[u8]) -> Result<Vec<u8>, NotUnderstood> {
    StoredScope::decode(bytes).map(|stored| stored.scope).map_err(|_| NotUnderstood)
}

/// The stored form of a record.
pub(crate) fn encode_record(record: &Record) -> Vec<u8> {
    #[cfg(test)]
    tests::ENCODED.set(tests::ENCODED.get() + 1);
    let stored = |(key, value): (&FeatureKey, &Value)| {
        let revision = record.revisions.get(key).copied().unwrap_or_default();
        (key.to_string(), StoredValue { revision, ..value.into() })
    };
    StoredRecord {
        layer: record.layer.iter().map(stored).collect(),
        sequence: record.sequence,
        created: record.created.map(Timestamp::unix_nanos),
        changed: record.changed.map(Timestamp::unix_nanos),
        organization: record.organization.as_ref().map(OrganizationId::to_string),
        completed: record.completed.iter().map(StoredCompleted::from).collect(),
    }
    .encode_to_vec()
}

/// The record with this stored form.
pub(crate) fn decode_record(bytes: &[u8]) -> Result<Record, NotUnderstood> {
    let stored = StoredRecord::decode(bytes).map_err(|_| NotUnderstood)?;
    let (mut layer, mut revisions) = (Vec::with_capacity(stored.layer.len()), BTreeMap::new());
    for (key, value) in stored.layer {
        let key = FeatureKey::from(key.as_str());
        if value.revision > 0 {
            revisions.insert(key.clone(), value.revision);
        }
        layer.push((key, value.try_into()?));
    }
    Ok(Record {
        layer: Layer::from_iter(layer),
        revisions,
        sequence: stored.sequence,
        created: stored.created.map(Timestamp::from_unix_nanos),
        changed: stored.changed.map(Timestamp::from_unix_nanos),
        organization: organization(stored.organization)?,
        completed: stored.completed.into_iter().map(Completed::try_from).collect::<Result<_, _>>()?,
    })
}

/// The keys of what the record with this stored form sets, in order.
pub(crate) fn keys_of_record(bytes: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let stored = StoredKeys::decode(bytes).map_err(|_| NotUnderstood)?;
    Ok(stored.layer.into_keys().collect())
}

fn organization(id: Option<String>) -> Result<Option<OrganizationId>, NotUnderstood> {
    id.map(|id| OrganizationId::new(&id)).transpose().map_err(|_| NotUnderstood)
}

impl From<&FeatureChange> for StoredChange {
    fn from(change: &FeatureChange) -> Self {
        Self {
            key: change.key.to_string(),
            old: change.old.as_ref().map(StoredValue::from),
            new: change.new.as_ref().map(StoredValue::from),
        }
    }
}

impl TryFrom<StoredChange> for FeatureChange {
    type Error = NotUnderstood;

    fn try_from(stored: StoredChange) -> Result<Self, NotUnderstood> {
        Ok(Self {
            key: stored.key.as_str().into(),
            old: stored.old.map(Value::try_from).transpose()?,
            new: stored.new.map(Value::try_from).transpose()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
