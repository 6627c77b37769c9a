//! Messages from JSON trees, by their descriptors.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::path::Path;
use super::scalar;
use super::tree::Json;
use super::well_known::{self, Form};

/// The violation of a key without a field.
pub(crate) const UNKNOWN: &str = "unknown field";

/// Reads a message. None: a violation says why.
pub(crate) fn message(descriptor: &MessageDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    let field = match well_known::form(descriptor) {
        None => {
            fields(&mut message, members(json, path)?, path);
            return Some(message);
        }
        Some(Form::Text) => return well_known::text(descriptor, json, path),
        Some(Form::Any) => return well_known::any(descriptor, json, path),
        Some(Form::Field(name)) => name,
        Some(Form::Choice) => match json {
            Json::Null => "null_value",
            Json::Bool(_) => "bool_value",
            Json::Number(_) => "number_value",
            Json::String(_) => "string_value",
            Json::Array(_) => "list_value",
            Json::Object(_) => "struct_value",
        },
    };
    let field = descriptor.get_field_by_name(field).expect("the well-known types are the same everywhere");
    message.set_field(&field, field_value(&field, json, path)?);
    Some(message)
}

/// Reads the fields of a message. A wrong field is left out and adds a violation.
pub(crate) fn fields(message: &mut DynamicMessage, members: Vec<(Cow<'_, str>, Json<'_>)>, path: &Path<'_>) {
    let descriptor = message.descriptor();
    let mut seen = BTreeSet::new();
    for (key, json) in members {
        let path = Path::Key(path, &key);
        let Some(field) = descriptor.get_field_by_json_name(&key).or_else(|| descriptor.get_field_by_name(&key)) else {
            path.refuse::<()>(UNKNOWN);
            continue;
        };
        if !seen.insert(field.number()) {
            path.refuse::<()>("the field is given twice");
            continue;
        }
        if json == Json::Null && (field.is_list() || field.is_map() || !scalar::takes_null(&field.kind())) {
            continue;
        }
        let value = match rival(message, &field) {
            Some(rival) => path.refuse(format_args!("cannot be given together with {}", rival.json_name())),
            None => field_value(&field, json, &path),
        };
        if let Some(value) = value {
            message.set_field(&field, value);
        }
    }
}

/// The other field of a oneof that is set. A new value of this one would silently unset it.
pub(crate) fn rival(message: &DynamicMessage, field: &FieldDescriptor) -> Option<FieldDescriptor> {
    field.containing_oneof()?.fields().find(|other| other != field && message.has_field(other))
}

/// Reads the value of a field: a list, a map, or a single one.
pub(crate) fn field_value(field: &FieldDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<Value> {
    if field.is_map() {
        map(field, json, path)
    } else if field.is_list() {
        list(field, json, path)
    } else {
        single(&field.kind(), json, path)
    }
}

fn list(field: &FieldDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<Value> {
    let Json::Array(elements) = json else { return path.refuse(json.mismatch("an array")) };
    let kind = field.kind();
    let elements = elements.into_iter().enumerate();
    let values = elements.filter_map(|(index, element)| single(&kind, element, &Path::Index(path, index)));
    Some(Value::List(values.collect()))
}

fn map(field: &FieldDescriptor, json: Json<'_>, path: &Path<'_>) -> Option<Value> {
    let kind = field.kind();
    let entry = kind.as_message().expect("the kind of a map field is the message of its entries");
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut map: HashMap<MapKey, Value> = HashMap::new();
    for (name, json) in members(json, path)? {
        let path = Path::Key(path, &name);
        let key = match scalar::map_key(&key_kind, &name) {
            Ok(key) if !map.contains_key(&key) => Some(key),
            Ok(_) => path.refuse("the key is given twice"),
            Err(error) => path.refuse(format_args!("the key is wrong: {error}")),
        };
        if let Some(key) = key
            && let Some(value) = single(&value_kind, json, &path)
        {
            map.insert(key, value);
        }
    }
    Some(Value::Map(map))
}

/// Reads a value outside of lists and maps, or an element of one.
pub(crate) fn single(kind: &Kind, json: Json<'_>, path: &Path<'_>) -> Option<Value> {
    if let Kind::Message(descriptor) = kind {
        return message(descriptor, json, path).map(Value::Message);
    }
    scalar::scalar(kind, &json).map_or_else(|error| path.refuse(error), Some)
}

/// The members of an object.
pub(crate) fn members<'a>(json: Json<'a>, path: &Path<'_>) -> Option<Vec<(Cow<'a, str>, Json<'a>)>> {
    match json {
        Json::Object(members) => Some(members),
        other => path.refuse(other.mismatch("an object")),
    }
}
