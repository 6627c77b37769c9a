//! The well-known types whose JSON is no object with their fields.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::message::{UNKNOWN, fields, members, message as any_message};
use super::path::Path;
use super::tree::Json;
use crate::error::client_text::quoted;

/// The most paths of a field mask. Each takes a microsecond, and no message has so many fields.
const MAX_PATHS: usize = 1_024;

const TYPE: &str = "@type";
const VALUE: &str = "value";

/// The form of a type in JSON.
pub(crate) enum Form {
    /// A string with a syntax of its own.
    Text,
    /// The value of the one field of this name.
    Field(&'static str),
    /// The value of the field that fits it.
    Choice,
    /// The payload, and the name of its type.
    Any,
}

/// The form of a special type. None: its JSON is an object with its fields.
pub(crate) fn form(descriptor: &MessageDescriptor) -> Option<Form> {
    Some(match descriptor.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" | "Duration" | "FieldMask" => Form::Text,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => Form::Field(VALUE),
        "Struct" => Form::Field("fields"),
        "ListValue" => Form::Field("values"),
        "Value" => Form::Choice,
        "Any" => Form::Any,
        _ => return None,
    })
}

/// The field with the value of a wrapper such as `google.protobuf.StringValue`.
pub(crate) fn wrapped(descriptor: &MessageDescriptor) -> Option<FieldDescriptor> {
    matches!(form(descriptor)?, Form::Field(VALUE)).then(|| descriptor.get_field_by_name(VALUE))?
}

/// The kind of a single value in JSON: that inside a wrapper, or the kind itself. None for an array, an object or any
/// value.
pub(crate) fn single_value(kind: Kind) -> Option<Kind> {
    let Kind::Message(message) = &kind else { return Some(kind) };
    match form(message)? {
        Form::Text => Some(kind),
        _ => Some(wrapped(message)?.kind()),
    }
}

/// Reads a message of [`Form::Text`].
pub(crate) fn text(descriptor: &MessageDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<DynamicMessage> {
    let Json::String(text) = json else { return path.refuse(json.mismatch("a string")) };
    match descriptor.name() {
        "Timestamp" if !is_exact_time(&text) => {
            return path.refuse(format_args!("{}: more than 9 digits of a second, or a leap second", quoted(&text)));
        }
        "FieldMask" if text.split(',').nth(MAX_PATHS).is_some() => {
            return path.refuse(format_args!("has more than {MAX_PATHS} paths"));
        }
        "FieldMask" if let Some(wrong) = text.split(',').find(|path| path.contains('_')) => {
            let hint = camel_case(wrong).map(|spelt| format!(": send {}", quoted(&spelt))).unwrap_or_default();
            let problem = "in JSON the paths of a field mask are in lowerCamelCase";
            return path.refuse(format_args!("{}: {problem}{hint}", quoted(wrong)));
        }
        _ => {}
    }
    let deserializer: StrDeserializer<'_, Error> = text.as_ref().into_deserializer();
    let message = DynamicMessage::deserialize(descriptor.clone(), deserializer);
    message.map_or_else(|error| path.refuse(format_args!("{}: {error}", quoted(&text))), Some)
}

/// A path of a field mask in the spelling of JSON, if it has one: each underscore stands before a small letter.
fn camel_case(path: &str) -> Option<String> {
    let mut signs = path.chars();
    let mut spelt = String::with_capacity(path.len());
    while let Some(sign) = signs.next() {
        spelt.push(if sign == '_' {
            signs.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()
        } else {
            sign
        });
    }
    Some(spelt)
}

/// prost rounds times that a timestamp cannot hold, and canonical JSON refuses them.
fn is_exact_time(text: &str) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    fraction.bytes().take_while(u8::is_ascii_digit).count() <= 9 && text.get(17..19) != Some("60")
}

/// Reads a message of [`Form::Any`].
pub(crate) fn any(descriptor: &MessageDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<DynamicMessage> {
    let mut members = members(json, path)?;
    let mut any = DynamicMessage::new(descriptor.clone());
    if members.is_empty() {
        return Some(any);
    }
    let type_path = Path::Key(path, TYPE);
    let type_url = match members.extract_if(.., |(key, _)| key == TYPE).next() {
        Some((_, Json::String(url))) => url,
        Some((_, other)) => return type_path.refuse(other.mismatch("a string")),
        None => return type_path.refuse("missing: what type is this?"),
    };
    let name = type_url.rsplit_once('/').map(|(_, name)| name);
    let Some(payload) = name.and_then(|name| descriptor.parent_pool().get_message_by_name(name)) else {
        return type_path.refuse(format_args!("the type {} is not known", quoted(&type_url)));
    };
    // Implementations differ for Empty: some write an empty "value", some no field. Both are read.
    let is_empty = payload.full_name() == "google.protobuf.Empty";
    let payload = if form(&payload).is_some() || (is_empty && members.iter().any(|(key, _)| key == VALUE)) {
        let value_path = Path::Key(path, VALUE);
        let value = members.extract_if(.., |(key, _)| key == VALUE).next();
        for (key, _) in members {
            Path::Key(path, &key).refuse::<()>(UNKNOWN);
        }
        match value {
            Some((_, value)) => any_message(&payload, value, &value_path)?,
            None => return value_path.refuse("missing"),
        }
    } else {
        let mut message = DynamicMessage::new(payload);
        fields(&mut message, members, path);
        message
    };
    any.set_field_by_name("type_url", Value::String(type_url.into_owned()));
    any.set_field_by_name(VALUE, Value::Bytes(payload.encode_to_vec().into()));
    Some(any)
}
