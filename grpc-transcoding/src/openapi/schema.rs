//! JSON Schema of protobuf messages in their canonical JSON.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::comments::{comment, describe};
use super::well_known;

/// The schemas of messages and enums, and of all messages and enums inside them.
pub(crate) struct Schemas {
    components: BTreeMap<String, Value>,
    /// The messages of requests. An unknown key in them is an error, while answers may gain keys.
    closed: BTreeSet<String>,
    /// See [`Api::refine_text`](super::Api::refine_text).
    refine_text: fn(&FieldDescriptor, &mut Value),
}

impl Schemas {
    /// `requests`: the messages of the requests.
    pub(crate) fn new(
        requests: impl IntoIterator<Item = MessageDescriptor>,
        refine_text: fn(&FieldDescriptor, &mut Value),
    ) -> Self {
        let mut closed = BTreeSet::new();
        let mut waiting: Vec<_> = requests.into_iter().collect();
        while let Some(message) = waiting.pop() {
            if closed.insert(message.full_name().to_owned()) {
                waiting.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
            }
        }
        Self { components: BTreeMap::new(), closed, refine_text }
    }

    /// All schemas, by the full names of their messages and enums.
    pub(crate) fn into_components(self) -> BTreeMap<String, Value> {
        self.components
    }

    /// Adds a schema under this name, and refers to it.
    pub(crate) fn named(&mut self, name: &str, schema: Value) -> Value {
        self.component(name, |_| schema)
    }

    /// A schema that refers to a message.
    pub(crate) fn message(&mut self, message: &MessageDescriptor) -> Value {
        match well_known::schema(message.full_name()) {
            Some(schema) => schema,
            None => self.component(message.full_name(), |schemas| schemas.object(message, &[])),
        }
    }

    /// A message as an object, without some of its fields.
    pub(crate) fn object(&mut self, message: &MessageDescriptor, without: &[String]) -> Value {
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !without.iter().any(|name| name == field.name())) {
            let mut schema = self.field(&field);
            describe(&mut schema, &comment(&field.parent_file(), field.path()));
            properties.insert(field.json_name().to_owned(), schema);
            if field.cardinality() == prost_reflect::Cardinality::Required {
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
            schema["default"] = default(field);
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            schema["deprecated"] = true.into();
        }
        schema
    }

    /// One value of a field or list.
    fn single(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Double => well_known::floating("double"),
            Kind::Float => well_known::floating("float"),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "format": "uint32", "minimum": 0}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => well_known::int64(),
            Kind::Uint64 | Kind::Fixed64 => well_known::uint64(),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => {
                let mut schema = json!({"type": "string"});
                (self.refine_text)(field, &mut schema);
                schema
            }
            Kind::Bytes => well_known::bytes(),
            Kind::Message(message) => self.message(&message),
            Kind::Enum(members) if members.full_name() == "google.protobuf.NullValue" => json!({"type": "null"}),
            Kind::Enum(members) => self.component(members.full_name(), |_| enumeration(&members)),
        }
    }

    fn component(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.components.contains_key(name) {
            // The name is taken first, because a message may contain itself.
            self.components.insert(name.to_owned(), Value::Null);
            let schema = schema(self);
            self.components.insert(name.to_owned(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
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

fn default(field: &FieldDescriptor) -> Value {
    match field.default_value() {
        prost_reflect::Value::Bool(value) => value.into(),
        prost_reflect::Value::I32(value) => value.into(),
        prost_reflect::Value::U32(value) => value.into(),
        prost_reflect::Value::I64(value) => value.to_string().into(),
        prost_reflect::Value::U64(value) => value.to_string().into(),
        prost_reflect::Value::F32(value) => value.into(),
        prost_reflect::Value::F64(value) => value.into(),
        prost_reflect::Value::EnumNumber(number) => {
            let kind = field.kind();
            let member = kind.as_enum().and_then(|members| members.get_value(number));
            member.map_or(Value::Null, |member| member.name().into())
        }
        _ => "".into(),
    }
}
