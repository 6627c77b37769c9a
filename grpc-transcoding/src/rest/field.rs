//! Fields of a message by paths such as `author.name`, and their values from the text of a path or query.

use std::borrow::Cow;

use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::error::client_text::{MAX_CHARS, cut};
use crate::json::{self, Json, MAX_DEPTH};
use crate::percent::{self, Place};

/// The fields from a message to one inside it, outermost first. All but the last are single messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath {
    parents: Vec<FieldDescriptor>,
    pub(crate) leaf: FieldDescriptor,
    /// The key of an entry, if the last field is a map.
    key: Option<MapKey>,
}

impl FieldPath {
    /// Finds the field that a parameter of a query names. An entry of a map has its key in brackets: `labels[team]`, as
    /// the style `deepObject` of OpenAPI has it. The error completes a sentence about the parameter.
    pub(crate) fn of_parameter(root: &MessageDescriptor, name: &str) -> Result<Self, String> {
        let entry = name.strip_suffix(']').and_then(|name| name.split_once('['));
        let Some((path, key)) = entry else { return Self::resolve(root, name) };
        let (parents, leaf) = Self::walk(root, path)?;
        let Some((key_kind, value_kind)) = entry_kinds(&leaf) else {
            return Err("has a key, which only the entry of a map has".to_owned());
        };
        if json::single_value(value_kind).is_none() {
            return Err("is a message: send it in a body".to_owned());
        }
        let key = json::map_key(&key_kind, key).map_err(|error| format!("the key is wrong: {error}"))?;
        Ok(Self { parents, leaf, key: Some(key) })
    }

    /// Finds a field that takes a text, by names in either spelling. The error completes a sentence about the path.
    pub(crate) fn resolve(root: &MessageDescriptor, path: &str) -> Result<Self, String> {
        let (parents, leaf) = Self::walk(root, path)?;
        match json::single_value(leaf.kind()) {
            Some(_) => Ok(Self { parents, leaf, key: None }),
            None => Err("is a message: give its fields, or send it in a body".to_owned()),
        }
    }

    /// Finds a field, and those above it.
    fn walk(root: &MessageDescriptor, path: &str) -> Result<(Vec<FieldDescriptor>, FieldDescriptor), String> {
        let mut parents = Vec::new();
        let mut message = root.clone();
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
            let shown = || cut(name, MAX_CHARS);
            let field =
                field.ok_or_else(|| format!("is unknown: {} has no field '{}'", message.full_name(), shown()))?;
            if names.peek().is_none() {
                return Ok((parents, field));
            }
            // The fields of a well-known type have no names in JSON.
            message = match field.kind() {
                Kind::Message(message)
                    if field.cardinality() != Cardinality::Repeated && message.package_name() != "google.protobuf" =>
                {
                    message
                }
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

    /// The field at the beginning of the path.
    pub(crate) fn root(&self) -> &FieldDescriptor {
        self.parents.first().unwrap_or(&self.leaf)
    }

    /// The value of a percent-encoded text, of one element where the field is a list or a map. The error says what is
    /// wrong.
    pub(crate) fn value(&self, text: &str, place: Place) -> Result<Value, String> {
        let text = percent::decode(text, place)?;
        let kind = entry_kinds(&self.leaf).map_or_else(|| self.leaf.kind(), |(_, value_kind)| value_kind);
        let json = match json::single_value(kind.clone()).expect("a path leads to a field that takes a text") {
            // As the query parsers of most languages read it. JSON has only `true` and `false`.
            Kind::Bool => match &*text {
                "true" | "True" | "TRUE" | "t" | "T" | "1" => Json::Bool(true),
                "false" | "False" | "FALSE" | "f" | "F" | "0" => Json::Bool(false),
                _ => return Err("must be true or false".to_owned()),
            },
            Kind::Enum(_) if let Ok(number) = text.parse::<i32>() => Json::Number(number.into()),
            // Numbers and many well-known types are written as strings, too.
            _ => Json::String(text),
        };
        json::read(|root| json::single(&kind, json, root)).map_err(|violations| {
            violations.into_iter().map(|violation| violation.description).collect::<Vec<_>>().join("; ")
        })
    }

    /// The value that is set in a message.
    pub(crate) fn get<'m>(&self, mut message: &'m DynamicMessage) -> Option<&'m Value> {
        for field in &self.parents {
            // A set value is borrowed; an unset one is a new default, and owned.
            let Cow::Borrowed(Value::Message(inner)) = message.get_field(field) else { return None };
            message = inner;
        }
        match message.get_field(&self.leaf) {
            Cow::Borrowed(value) if message.has_field(&self.leaf) => Some(value),
            _ => None,
        }
    }

    /// Sets the value in a message, or adds it to a list or a map. The error says what prevents it.
    pub(crate) fn put(&self, mut message: &mut DynamicMessage, value: Value) -> Result<(), String> {
        for field in &self.parents {
            claim_oneof(message, field)?;
            message = message.get_field_mut(field).as_message_mut().expect("a path leads through single messages");
        }
        claim_oneof(message, &self.leaf)?;
        match (message.get_field_mut(&self.leaf), &self.key) {
            (Value::List(elements), _) => elements.push(value),
            (Value::Map(entries), Some(key)) if entries.contains_key(key) => {
                return Err("is given more than once".to_owned());
            }
            (Value::Map(entries), Some(key)) => drop(entries.insert(key.clone(), value)),
            (place, _) => *place = value,
        }
        Ok(())
    }
}

/// The kinds of the keys and of the values, if the field is a map.
fn entry_kinds(field: &FieldDescriptor) -> Option<(Kind, Kind)> {
    let kind = field.kind();
    let entry = kind.as_message().filter(|_| field.is_map())?;
    Some((entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind()))
}

/// Checks that no other field of the same oneof is set.
fn claim_oneof(message: &DynamicMessage, field: &FieldDescriptor) -> Result<(), String> {
    match json::rival(message, field) {
        Some(other) => Err(format!("can't be given together with '{}'", other.json_name())),
        None => Ok(()),
    }
}
