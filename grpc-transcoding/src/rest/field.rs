//! Fields within a message, by paths such as `login_v2.required`, and their values from the text of a path or query.
//!
//! Where a text comes from, and who may name a field, is decided by those who call this.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::client_text::{MAX_CHARS, cut};
use crate::transcoding::json;

/// How deep a path may lead.
const MAX_DEPTH: usize = 64;

/// The fields that lead from a message to one within it, outermost first. All but the last are single messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath {
    parents: Vec<FieldDescriptor>,
    leaf: FieldDescriptor,
}

/// How a text becomes JSON.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// It is the content of a JSON string; so are numbers, and the well-known types that are written as one.
    Text,
    Bool,
    /// A name, or a number.
    Enum,
}

impl Form {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Bool => Some(Form::Bool),
            Kind::Enum(_) => Some(Form::Enum),
            Kind::Message(message) => match message.full_name().strip_prefix("google.protobuf.")? {
                "BoolValue" => Some(Form::Bool),
                "Timestamp" | "Duration" | "FieldMask" | "StringValue" | "BytesValue" | "Int32Value" | "Int64Value"
                | "UInt32Value" | "UInt64Value" | "FloatValue" | "DoubleValue" => Some(Form::Text),
                _ => None,
            },
            _ => Some(Form::Text),
        }
    }
}

impl FieldPath {
    /// Finds a field that takes a text, by names in either spelling. The error completes a sentence about the path.
    pub(crate) fn resolve(root: &MessageDescriptor, path: &str) -> Result<Self, String> {
        let mut parents = Vec::new();
        let mut message = root.clone();
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
            let shown = || cut(name, MAX_CHARS);
            let field =
                field.ok_or_else(|| format!("is unknown: {} has no field '{}'", message.full_name(), shown()))?;
            let kind = field.kind();
            if names.peek().is_none() {
                return match Form::of(&kind) {
                    Some(_) if !field.is_map() => Ok(Self { parents, leaf: field }),
                    _ => Err("is a message: give its fields, or send it in a body".to_owned()),
                };
            }
            // Of a well-known type nobody sees the fields.
            message = match kind {
                Kind::Message(message) if !field.is_list() && !field.is_map() && !is_well_known(&message) => message,
                _ => return Err(format!("is unknown: '{}' has no fields that can be named", shown())),
            };
            if parents.len() == MAX_DEPTH {
                break;
            }
            parents.push(field);
        }
        Err("leads too deep".to_owned())
    }

    /// The path in JSON names.
    pub(crate) fn json(&self) -> String {
        let names: Vec<&str> = self.parents.iter().chain([&self.leaf]).map(FieldDescriptor::json_name).collect();
        names.join(".")
    }

    /// The field that the path leads to.
    pub(crate) fn leaf(&self) -> &FieldDescriptor {
        &self.leaf
    }

    /// The field where the path begins.
    pub(crate) fn root(&self) -> &FieldDescriptor {
        self.parents.first().unwrap_or(&self.leaf)
    }

    /// A value of the field, of one element where the field is a list. The error says what is wrong with the text.
    pub(crate) fn value(&self, text: &str) -> Result<Value, String> {
        let kind = self.leaf.kind();
        if matches!(kind, Kind::String) {
            return Ok(Value::String(text.to_owned()));
        }
        let json = match Form::of(&kind).expect("a path leads to a field that takes a text") {
            Form::Bool => boolean(text).ok_or("must be true or false")?.to_string(),
            Form::Enum if let Ok(number) = text.parse::<i32>() => number.to_string(),
            Form::Enum | Form::Text => serde_json::Value::from(text).to_string(),
        };
        let json = if self.leaf.is_list() { format!("[{json}]") } else { json };
        let value = json::decode_field(&self.leaf, json.as_bytes()).map_err(|violations| {
            violations.into_iter().map(|violation| violation.description).collect::<Vec<_>>().join("; ")
        })?;
        match value {
            Value::List(mut elements) => elements.pop().ok_or_else(|| "has no value".to_owned()),
            value => Ok(value),
        }
    }

    /// What a message has set there.
    pub(crate) fn get<'m>(&self, mut message: &'m DynamicMessage) -> Option<&'m Value> {
        for field in &self.parents {
            // What is borrowed is set; what is not set is made up, and owned.
            let Cow::Borrowed(Value::Message(inner)) = message.get_field(field) else { return None };
            message = inner;
        }
        match message.get_field(&self.leaf) {
            Cow::Borrowed(value) if message.has_field(&self.leaf) => Some(value),
            _ => None,
        }
    }

    /// Puts a value there, or adds it where the field is a list. The error says what is in its way.
    pub(crate) fn put(&self, mut message: &mut DynamicMessage, value: Value) -> Result<(), String> {
        for field in &self.parents {
            claim_oneof(message, field)?;
            message = message.get_field_mut(field).as_message_mut().expect("a path leads through single messages");
        }
        claim_oneof(message, &self.leaf)?;
        match message.get_field_mut(&self.leaf) {
            Value::List(elements) => elements.push(value),
            place => *place = value,
        }
        Ok(())
    }
}

/// Reads a boolean as the parsers of query strings do in most languages. JSON has only `true` and `false`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

/// Of the fields of a oneof only one can be set; setting a second would silently unset the first.
fn claim_oneof(message: &DynamicMessage, field: &FieldDescriptor) -> Result<(), String> {
    let Some(oneof) = field.containing_oneof() else { return Ok(()) };
    match oneof.fields().find(|other| other != field && message.has_field(other)) {
        Some(other) => Err(format!("can't be given together with '{}'", other.json_name())),
        None => Ok(()),
    }
}

fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}
