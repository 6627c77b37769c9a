//! Canonical protobuf JSON: text to messages, messages and statuses to text, and the HTTP status of a gRPC code.
//!
//! All of it comes from descriptors. Nothing here knows of routes, of headers, or of any message in particular, but for
//! the well-known types whose JSON is special.

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

pub(crate) use cache::Remembered;
pub use encode::{encode, encode_status};
pub use status::http_status;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};
use tonic_types::FieldViolation;

use self::path::{Path, Violations};

/// What a violation names when the text is no JSON at all, so that there is no path into it.
pub const BODY: &str = "body";

/// Reads a message from its JSON.
///
/// Every violation names the exact path in the spelling that the client sent, such as `loginV2.baseUri` or
/// `improvedPerformance[2]`, and [`BODY`] where the text as a whole is at fault. The first few are told, not only one.
pub fn decode(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
    let tree = tree::parse(json).map_err(whole)?;
    let mut violations = Violations::default();
    let message = message::message(descriptor, tree, Path::Root, &mut violations);
    violations.or(message)
}

/// Reads the value of one field from its JSON; the paths of violations begin with the field's JSON name.
///
/// `null` is a violation: a value that is absent is no value.
pub fn decode_field(field: &FieldDescriptor, json: &[u8]) -> Result<Value, Vec<FieldViolation>> {
    let tree = tree::parse(json).map_err(whole)?;
    let mut violations = Violations::default();
    let value = message::field_value(field, tree, Path::Key(&Path::Root, field.json_name()), &mut violations);
    violations.or(value)
}

fn whole(error: tree::NotJson) -> Vec<FieldViolation> {
    vec![FieldViolation::new(BODY, error.to_string())]
}
