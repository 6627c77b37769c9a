//! Canonical protobuf JSON, by descriptors: messages from text, messages and statuses as text, and the HTTP status of a
//! gRPC code.

mod cache;
mod encode;
mod message;
mod path;
mod scalar;
mod status;
#[cfg(test)]
mod tests;
mod tree;
mod well_known;

pub(crate) use cache::JsonCache;
pub use encode::{encode, encode_status};
pub use status::http_status;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};
use tonic_types::FieldViolation;

use self::path::{Path, Violations};

/// The path of a violation that is about the whole text, for example when it is no JSON.
pub const BODY: &str = "body";

/// Reads a message from its JSON.
///
/// A violation names the exact path in the spelling of the client, such as `author.names[2]`, or [`BODY`] for the whole
/// text. The first violations are returned, up to a limit.
pub fn decode(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
    let tree = tree::parse(json).map_err(whole)?;
    let mut violations = Violations::default();
    let message = message::message(descriptor, tree, Path::Root, &mut violations);
    violations.or(message)
}

/// Reads the value of one field from its JSON. The paths of violations begin with the JSON name of the field.
///
/// `null` is a violation, since the field has to have a value.
pub fn decode_field(field: &FieldDescriptor, json: &[u8]) -> Result<Value, Vec<FieldViolation>> {
    let tree = tree::parse(json).map_err(whole)?;
    let mut violations = Violations::default();
    let value = message::field_value(field, tree, Path::Key(&Path::Root, field.json_name()), &mut violations);
    violations.or(value)
}

fn whole(error: tree::NotJson) -> Vec<FieldViolation> {
    vec![FieldViolation::new(BODY, error.to_string())]
}
