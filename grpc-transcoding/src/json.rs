//! Canonical protobuf JSON, by descriptors: messages from text, messages and statuses as text, and the HTTP status of a
//! gRPC code.

mod encode;
mod message;
pub(crate) mod path;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod well_known;

pub(crate) use encode::{code_in_http, encode_with_defaults};
pub use encode::{encode, encode_status, http_status};

use std::cell::RefCell;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};
use tonic_types::FieldViolation;

pub(crate) use self::message::{rival, single};
use self::path::Path;
pub(crate) use self::scalar::map_key;
pub(crate) use self::tree::{Json, MAX_DEPTH};
pub(crate) use self::well_known::{single_value, wrapped};

/// The path of a violation that is about the whole text, for example when it is no JSON.
pub const BODY: &str = "body";

/// Reads a message from its JSON.
///
/// A violation names the exact path in the spelling of the client, such as `author.names[2]`, or [`BODY`] for the whole
/// text. The first violations are returned, up to a limit.
pub fn decode(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
    read(|root| message::message(descriptor, tree::parse(json, root)?, root))
}

/// Reads the value of one field from its JSON. The paths of violations begin with the JSON name of the field.
///
/// `null` is a violation, since the field has to have a value.
pub fn decode_field(field: &FieldDescriptor, json: &[u8]) -> Result<Value, Vec<FieldViolation>> {
    read(|root| message::field_value(field, tree::parse(json, root)?, &Path::Key(root, field.json_name())))
}

/// Runs `reader` on the root of a text. The value counts only if there are no violations.
pub(crate) fn read<T>(reader: impl FnOnce(&Path<'_>) -> Option<T>) -> Result<T, Vec<FieldViolation>> {
    let violations = RefCell::default();
    let value = reader(&Path::Root(&violations));
    value.filter(|_| violations.borrow().is_empty()).ok_or(violations.into_inner())
}
