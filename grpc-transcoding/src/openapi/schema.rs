//! JSON Schema of protobuf messages in their canonical JSON.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value as FieldValue,
};
use serde_json::{Value, json};

use super::comments::{comment, describe};
use crate::json::{encode_with_defaults, wrapped};

/// The schemas of messages and enums, and of all messages and enums inside them.
pub(crate) struct Schemas {
    /// By the full names of their messages and enums.
    pub(crate) components: BTreeMap<String, Value>,
    /// The requests themselves. Their required fields (AIP-203) have to be there; in the messages inside of them that
    /// depends on the method.
    requests: BTreeSet<String>,
    /// The messages of requests. An unknown key in them is an error, while answers may gain keys.
    closed: BTreeSet<String>,
    /// See [`Api::refine_text`](super::Api::refine_text).
    refine_text: fn(&FieldDescriptor, &mut Value),
}

impl Schemas {
    /// `requests`: the messages of the requests.
    pub(crate) fn new(mut requests: Vec<MessageDescriptor>, refine_text: fn(&FieldDescriptor, &mut Value)) -> Self {
        let of_requests = requests.iter().map(|message| message.full_name().to_owned()).collect();
        let mut closed = BTreeSet::new();
        while let Some(message) = requests.pop() {
            if closed.insert(message.full_name().to_owned()) {
                requests.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
            }
        }
        Self { components: BTreeMap::new(), requests: of_requests, closed, refine_text }
    }

    /// Whether a message must have a field.
    pub(crate) fn is_required(&self, field: &FieldDescriptor) -> bool {
        field.cardinality() == Cardinality::Required
            || (self.requests.contains(field.parent_message().full_name()) && behaves_as_required(field))
    }

    /// A schema that refers to a message.
    pub(crate) fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Duration" => json!({"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"}),
            // Names in lowerCamelCase, separated by commas.
            "google.protobuf.FieldMask" => json!({"type": "string", "format": "field-mask"}),
            "google.protobuf.Any" => any(),
            "google.protobuf.Struct" => json!({"type": "object"}),
            "google.protobuf.ListValue" => json!({"type": "array"}),
            "google.protobuf.Value" => json!({}),
            name => match wrapped(message) {
                Some(value) => self.single(&value),
                None => self.component(name, |schemas| schemas.object(message, &[])),
            },
        }
    }

    /// A message as an object, without the fields of these JSON names.
    pub(crate) fn object(&mut self, message: &MessageDescriptor, without: &[String]) -> Value {
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !without.iter().any(|name| name == field.json_name())) {
            let mut schema = self.field(&field);
            describe(&mut schema, &comment(&field.parent_file(), field.path()));
            properties.insert(field.json_name().to_owned(), schema);
            if self.is_required(&field) {
                required.push(field.json_name().to_owned());
            }
        }
        let mut object = json!({"type": "object", "title": message.name(), "properties": properties});
        describe(&mut object, &comment(&message.parent_file(), message.path()));
        if !required.is_empty() {
            object["required"] = required.into();
        }
        if self.closed.contains(message.full_name()) {
            object["additionalProperties"] = false.into();
        }
        object
    }

    /// The value of a field, without its comment.
    pub(crate) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.field(&entry.map_entry_value_field());
                json!({"type": "object", "additionalProperties": value})
            }
            _ if field.is_list() => json!({"type": "array", "items": self.single(field)}),
            _ => self.single(field),
        };
        // The value of such a field is its default if it is left out. Other fields are unset then.
        if !field.supports_presence() && !field.is_list() && !field.is_map() && schema["type"] != "null" {
            let message = DynamicMessage::new(field.parent_message().clone());
            let mut defaults: Value = serde_json::from_slice(&encode_with_defaults(&message)).unwrap_or_default();
            // The JSON of `google.protobuf.Any` leaves its fields out: a text, and bytes.
            schema["default"] = defaults.get_mut(field.json_name()).map_or("".into(), Value::take);
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            schema["deprecated"] = true.into();
        }
        schema
    }

    /// One value of a field or list.
    fn single(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Double => floating("double"),
            Kind::Float => floating("float"),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "format": "uint32", "minimum": 0}),
            // 64 bits do not fit the numbers of JavaScript, so they are texts.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^(0|-?[1-9][0-9]{0,18})$"})
            }
            Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]{0,19})$"})
            }
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => {
                let mut schema = json!({"type": "string"});
                (self.refine_text)(field, &mut schema);
                schema
            }
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(message) => self.message(&message),
            Kind::Enum(members) if members.full_name() == "google.protobuf.NullValue" => json!({"type": "null"}),
            Kind::Enum(members) => self.component(members.full_name(), |_| enumeration(&members)),
        }
    }

    /// Adds a schema under this name, if there is none, and refers to it.
    pub(crate) fn component(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.components.contains_key(name) {
            // The name is taken first, because a message may contain itself.
            self.components.insert(name.to_owned(), Value::Null);
            let schema = schema(self);
            self.components.insert(name.to_owned(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// Whether the option `google.api.field_behavior` of a field has `REQUIRED`.
fn behaves_as_required(field: &FieldDescriptor) -> bool {
    const REQUIRED: i32 = 2;
    let extension = field.parent_pool().get_extension_by_name("google.api.field_behavior");
    extension.is_some_and(|extension| {
        let options = field.options();
        let behaviors = options.get_extension(&extension);
        behaviors.as_list().is_some_and(|behaviors| behaviors.contains(&FieldValue::EnumNumber(REQUIRED)))
    })
}

/// Any message, together with its type.
pub(crate) fn any() -> Value {
    json!({"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]})
}

/// JSON has no numbers for the last three.
fn floating(format: &str) -> Value {
    json!({"oneOf": [{"type": "number", "format": format}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
}

fn enumeration(members: &EnumDescriptor) -> Value {
    let names: Vec<_> = members.values().map(|value| value.name().to_owned()).collect();
    let lines = members.values().map(|value| {
        let comment = comment(&value.parent_enum().parent_file(), value.path()).replace('\n', " ");
        format!("- `{}`: {comment}", value.name()).trim_end_matches(": ").to_owned()
    });
    let comment = comment(&members.parent_file(), members.path());
    let description = format!("{comment}\n\n{}", lines.collect::<Vec<_>>().join("\n"));
    json!({"type": "string", "title": members.name(), "enum": names, "description": description.trim()})
}
