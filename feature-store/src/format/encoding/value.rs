//! The stored form of a value.

use std::collections::BTreeMap;

use feature_core::{Double, Value};
use prost::encoding::encoded_len_varint;
use prost::{Message, length_delimiter_len};

use super::NotUnderstood;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredValue {
    #[prost(oneof = "StoredKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) kind: Option<StoredKind>,
    /// In a record: the revision of the event that set the value. Else 0.
    #[prost(uint64, tag = "15")]
    pub(super) revision: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum StoredKind {
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
pub(super) struct StoredNumbers {
    #[prost(sint32, repeated, tag = "1")]
    numbers: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<StoredValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredParts {
    #[prost(btree_map = "string, message", tag = "1")]
    parts: BTreeMap<String, StoredValue>,
}

/// Whether the first binaries understand the stored form of a value.
pub(super) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Flag(_) | Value::Text(_) | Value::Numbers(_) => true,
        Value::Message(parts) => parts.values().all(is_plain),
        Value::Integer(_) | Value::Double(_) | Value::List(_) => false,
    }
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
        Self { kind: Some(kind), revision: 0 }
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
mod tests {
    use super::*;
    use crate::tests::fixtures::values;

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
}
