//! The stored form of events and records: protobuf messages of this crate's own, and the conversions.
//!
//! The tags are the on-disk format: they are never reused. A change that an older binary would misread, such as a new
//! kind of value, needs a new kind of frame in the journal, so that the older binary refuses it. [`is_plain`] tells the
//! events that the first binaries understand.

use std::collections::BTreeMap;

use feature_core::{
    Double, Event, EventKind, FeatureChange, FeatureKey, Layer, OrganizationId, Record, Scope, Timestamp, Value,
};
use prost::encoding::encoded_len_varint;
use prost::{Message, length_delimiter_len};

use crate::format::scope_key;

/// The stored bytes are intact, but of a form that this version does not write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

const KIND_SET: u32 = 1;
const KIND_RESET: u32 = 2;

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
}

#[derive(Clone, PartialEq, Message)]
struct StoredValue {
    #[prost(oneof = "StoredKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<StoredKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum StoredKind {
    #[prost(bool, tag = "1")]
    Flag(bool),
    #[prost(string, tag = "2")]
    Text(String),
    #[prost(message, tag = "3")]
    Numbers(StoredNumbers),
    #[prost(message, tag = "4")]
    Message(StoredParts),
    #[prost(sint64, tag = "5")]
    Integer(i64),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(message, tag = "7")]
    List(StoredList),
}

#[derive(Clone, PartialEq, Message)]
struct StoredNumbers {
    #[prost(sint32, repeated, tag = "1")]
    numbers: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<StoredValue>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredParts {
    #[prost(btree_map = "string, message", tag = "1")]
    parts: BTreeMap<String, StoredValue>,
}

/// The stored form of an event, without its revision.
pub(crate) fn encode_event(event: &Event) -> Vec<u8> {
    StoredEvent {
        scope: scope_key::encode(&event.scope),
        kind: match event.kind {
            EventKind::Set => KIND_SET,
            EventKind::Reset => KIND_RESET,
        },
        sequence: event.sequence,
        unix_nanos: event.time.unix_nanos(),
        actor: event.actor.clone(),
        request_id: event.request_id.clone(),
        organization: event.organization.as_ref().map(OrganizationId::to_string),
        changes: event.changes.iter().map(StoredChange::from).collect(),
        comment: event.comment.clone(),
        continues: event.continues,
    }
    .encode_to_vec()
}

/// Whether the stored form of an event is one that the first binaries understand.
pub(crate) fn is_plain(event: &Event) -> bool {
    fn is_plain_value(value: &Value) -> bool {
        match value {
            Value::Flag(_) | Value::Text(_) | Value::Numbers(_) => true,
            Value::Message(parts) => parts.values().all(is_plain_value),
            Value::Integer(_) | Value::Double(_) | Value::List(_) => false,
        }
    }
    let mut values = event.changes.iter().flat_map(|change| [&change.old, &change.new]).flatten();
    let is_definition = matches!(event.scope, Scope::Definition(..));
    event.comment.is_empty() && !event.continues && !is_definition && values.all(is_plain_value)
}

/// The event of this revision.
pub(crate) fn decode_event(revision: u64, bytes: &[u8]) -> Result<Event, NotUnderstood> {
    let stored = StoredEvent::decode(bytes).map_err(|_| NotUnderstood)?;
    Ok(Event {
        revision,
        scope: scope_key::decode(&stored.scope).ok_or(NotUnderstood)?,
        kind: match stored.kind {
            KIND_SET => EventKind::Set,
            KIND_RESET => EventKind::Reset,
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
    })
}

/// The stored form of a record.
pub(crate) fn encode_record(record: &Record) -> Vec<u8> {
    #[cfg(test)]
    tests::ENCODED.set(tests::ENCODED.get() + 1);
    StoredRecord {
        layer: record.layer.iter().map(|(key, value)| (key.to_string(), value.into())).collect(),
        sequence: record.sequence,
        created: record.created.map(Timestamp::unix_nanos),
        changed: record.changed.map(Timestamp::unix_nanos),
        organization: record.organization.as_ref().map(OrganizationId::to_string),
    }
    .encode_to_vec()
}

/// The record with this stored form.
pub(crate) fn decode_record(bytes: &[u8]) -> Result<Record, NotUnderstood> {
    let stored = StoredRecord::decode(bytes).map_err(|_| NotUnderstood)?;
    let values = stored.layer.into_iter().map(|(key, value)| Ok((FeatureKey::from(key.as_str()), value.try_into()?)));
    Ok(Record {
        layer: values.collect::<Result<Layer, _>>()?,
        sequence: stored.sequence,
        created: stored.created.map(Timestamp::from_unix_nanos),
        changed: stored.changed.map(Timestamp::from_unix_nanos),
        organization: organization(stored.organization)?,
    })
}

/// The number of bytes that a value takes in its stored form, found without making that form.
pub(crate) fn value_bytes(value: &Value) -> usize {
    // Each tag takes one byte.
    match value {
        Value::Flag(_) => 2,
        Value::Text(text) => 1 + delimited(text.len()),
        Value::Numbers(numbers) => {
            let zigzag = |number: i32| u64::from(((number << 1) ^ (number >> 31)) as u32);
            let packed = numbers.iter().map(|&number| encoded_len_varint(zigzag(number))).sum();
            1 + delimited(if numbers.is_empty() { 0 } else { 1 + delimited(packed) })
        }
        Value::Integer(number) => 1 + encoded_len_varint(((number << 1) ^ (number >> 63)) as u64),
        Value::Double(_) => 9,
        Value::List(values) => 1 + delimited(values.iter().map(|value| 1 + delimited(value_bytes(value))).sum()),
        Value::Message(parts) => {
            let part_bytes = |(name, part): (&String, &Value)| {
                let name_bytes = if name.is_empty() { 0 } else { 1 + delimited(name.len()) };
                1 + delimited(name_bytes + 1 + delimited(value_bytes(part)))
            };
            1 + delimited(parts.iter().map(part_bytes).sum())
        }
    }
}

/// So many bytes with their length before them.
fn delimited(bytes: usize) -> usize {
    length_delimiter_len(bytes) + bytes
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

impl From<&Value> for StoredValue {
    fn from(value: &Value) -> Self {
        let kind = match value {
            Value::Flag(flag) => StoredKind::Flag(*flag),
            Value::Text(text) => StoredKind::Text(text.clone()),
            Value::Numbers(numbers) => StoredKind::Numbers(StoredNumbers { numbers: numbers.clone() }),
            Value::Message(parts) => {
                let parts = parts.iter().map(|(name, part)| (name.clone(), part.into())).collect();
                StoredKind::Message(StoredParts { parts })
            }
            Value::Integer(number) => StoredKind::Integer(*number),
            Value::Double(number) => StoredKind::Double(number.get()),
            Value::List(values) => StoredKind::List(StoredList { values: values.iter().map(Self::from).collect() }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<StoredValue> for Value {
    type Error = NotUnderstood;

    fn try_from(stored: StoredValue) -> Result<Self, NotUnderstood> {
        // A kind that a newer binary has added decodes as an absent one.
        Ok(match stored.kind.ok_or(NotUnderstood)? {
            StoredKind::Flag(flag) => Value::Flag(flag),
            StoredKind::Text(text) => Value::Text(text),
            StoredKind::Numbers(stored) => Value::Numbers(stored.numbers),
            StoredKind::Message(stored) => {
                let parts = stored.parts.into_iter().map(|(name, part)| Ok((name, part.try_into()?)));
                Value::Message(parts.collect::<Result<_, NotUnderstood>>()?)
            }
            StoredKind::Integer(number) => Value::Integer(number),
            StoredKind::Double(number) => Value::Double(Double::new(number).ok_or(NotUnderstood)?),
            StoredKind::List(stored) => {
                let values = stored.values.into_iter().map(Self::try_from);
                Value::List(values.collect::<Result<_, NotUnderstood>>()?)
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::tests::fixtures::values;

    thread_local! {
        /// The records that were encoded on this thread.
        pub(crate) static ENCODED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn the_size_of_a_value_is_that_of_its_stored_form() {
        let long = [Value::Text("x".repeat(127)), Value::Text("x".repeat(200)), Value::Numbers(vec![-70_000; 60])];
        let unnamed = Value::Message(
            [(
                String::new(),
                Value::Message(
                    values().into_iter().enumerate().map(|(index, value)| ("n".repeat(index * 40), value)).collect(),
                ),
            )]
            .into(),
        );
        for value in values().into_iter().chain(long).chain([unnamed]) {
            assert_eq!(value_bytes(&value), StoredValue::from(&value).encoded_len(), "{value:?}");
        }
    }

    #[test]
    fn a_kind_from_the_future_is_not_understood() {
        // A record with sequence 1 and one value whose oneof has the unknown tag 8.
        let value = [0x42, 0x00];
        let entry = [&[0x0a, 0x01, b'k', 0x12, 0x02][..], &value].concat();
        let record = [&[0x0a, u8::try_from(entry.len()).unwrap()][..], &entry, &[0x10, 0x01]].concat();
        assert_eq!(decode_record(&record), Err(NotUnderstood));
        assert_eq!(decode_record(&record[record.len() - 2..]).unwrap().sequence, 1);
    }
}
