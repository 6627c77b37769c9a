//! Messages from JSON trees, by their descriptors.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::path::{Path, Violations};
use super::scalar;
use super::tree::Json;
use super::well_known;

/// The violation of a key without a field.
pub(crate) const UNKNOWN: &str = "unknown field";

/// Reads a message. None: a violation says why.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    json: Json<'_>,
    path: Path<'_>,
    violations: &mut Violations,
) -> Option<DynamicMessage> {
    if well_known::is_special(descriptor) {
        return well_known::message(descriptor, json, path, violations);
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    fields(&mut message, members(json, path, violations)?, path, violations);
    Some(message)
}

/// Reads the fields of a message. A wrong field is left out and adds a violation.
pub(crate) fn fields(
    message: &mut DynamicMessage,
    members: Vec<(Cow<'_, str>, Json<'_>)>,
    path: Path<'_>,
    violations: &mut Violations,
) {
    let descriptor = message.descriptor();
    let mut seen = BTreeSet::new();
    for (key, json) in members {
        let path = Path::Key(&path, &key);
        let Some(field) = descriptor.get_field_by_json_name(&key).or_else(|| descriptor.get_field_by_name(&key)) else {
            violations.add(path, UNKNOWN);
            continue;
        };
        if !seen.insert(field.number()) {
            violations.add(path, "the field is given twice");
            continue;
        }
        if json == Json::Null && (is_many(&field) || !scalar::takes_null(&field.kind())) {
            continue;
        }
        let rival = field.containing_oneof().and_then(|oneof| oneof.fields().find(|other| message.has_field(other)));
        if let Some(rival) = rival {
            violations.add(path, format_args!("cannot be given together with {}", rival.json_name()));
            continue;
        }
        if let Some(value) = field_value(&field, json, path, violations) {
            message.set_field(&field, value);
        }
    }
}

/// Reads the value of a field: a list, a map, or a single one.
pub(crate) fn field_value(
    field: &FieldDescriptor,
    json: Json<'_>,
    path: Path<'_>,
    violations: &mut Violations,
) -> Option<Value> {
    if field.is_map() {
        map(field, json, path, violations)
    } else if field.is_list() {
        list(field, json, path, violations)
    } else {
        single(&field.kind(), json, path, violations)
    }
}

fn list(field: &FieldDescriptor, json: Json<'_>, path: Path<'_>, violations: &mut Violations) -> Option<Value> {
    let Json::Array(elements) = json else {
        violations.add(path, format_args!("expected an array, found {}", json.kind()));
        return None;
    };
    let kind = field.kind();
    let elements = elements.into_iter().enumerate();
    let values = elements.filter_map(|(index, element)| single(&kind, element, Path::Index(&path, index), violations));
    Some(Value::List(values.collect()))
}

fn map(field: &FieldDescriptor, json: Json<'_>, path: Path<'_>, violations: &mut Violations) -> Option<Value> {
    let kind = field.kind();
    let entry = kind.as_message().expect("the kind of a map field is the message of its entries");
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut map: HashMap<MapKey, Value> = HashMap::new();
    for (name, json) in members(json, path, violations)? {
        let path = Path::Key(&path, &name);
        let key = match scalar::map_key(&key_kind, &name) {
            Ok(key) if !map.contains_key(&key) => key,
            Ok(_) => {
                violations.add(path, "the key is given twice");
                continue;
            }
            Err(error) => {
                violations.add(path, format_args!("the key is wrong: {error}"));
                continue;
            }
        };
        if let Some(value) = single(&value_kind, json, path, violations) {
            map.insert(key, value);
        }
    }
    Some(Value::Map(map))
}

fn single(kind: &Kind, json: Json<'_>, path: Path<'_>, violations: &mut Violations) -> Option<Value> {
    if let Kind::Message(descriptor) = kind {
        return message(descriptor, json, path, violations).map(Value::Message);
    }
    scalar::scalar(kind, &json).map_err(|error| violations.add(path, error)).ok()
}

/// The members of an object.
pub(crate) fn members<'a>(
    json: Json<'a>,
    path: Path<'_>,
    violations: &mut Violations,
) -> Option<Vec<(Cow<'a, str>, Json<'a>)>> {
    match json {
        Json::Object(members) => Some(members),
        other => {
            violations.add(path, format_args!("expected an object, found {}", other.kind()));
            None
        }
    }
}

fn is_many(field: &FieldDescriptor) -> bool {
    field.is_list() || field.is_map()
}
