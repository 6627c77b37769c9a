//! Definitions as messages and as layers: each field of `feature.v1.FeatureDefinition` that users set is one entry of
//! the layer of the definition, under the field's name.

mod check;
mod read;

use std::collections::BTreeMap;

use feature_core::{Double, Layer, State, Value};

use crate::feature::v1;
use crate::json_value;

pub use check::check;
pub use read::{Change, check_labels, read, value_type};

/// The names of the fields that users set, which an update mask can have.
pub const FIELDS: [&str; 13] = [
    "constraints",
    "default_value",
    "description",
    "display_name",
    "labels",
    "levels",
    "owner",
    "permanent",
    "purpose",
    "stale_time",
    "value_type",
    "variants",
    "visibility",
];

/// The field that has methods of its own.
pub const STATE: &str = "state";

/// When a feature was deleted, as RFC 3339 has it.
pub const DELETE_TIME: &str = "delete_time";

/// When the values of a deleted feature are removed, as RFC 3339 has it; absent when that has happened.
pub const EXPIRE_TIME: &str = "expire_time";

/// Whether values of a deleted feature are being removed.
pub const REMOVING: &str = "removing";

/// Whether the key of a deleted feature is free once its values are removed.
pub const ALLOW_REUSE: &str = "allow_reuse";

/// Whether the constraints became tighter once.
pub const TIGHTENED: &str = "tightened";

/// The fields of a built-in feature that users set.
pub const FIELDS_OF_BUILT_IN: [&str; 3] = ["labels", "owner", "stale_time"];

/// The stored form of a state; `None` for the first one, which is left out.
pub fn stored_state(state: State) -> Option<Value> {
    let name = match state {
        State::Active => return None,
        State::Deprecated => v1::State::Deprecated.as_str_name(),
        State::Archived => v1::State::Archived.as_str_name(),
        State::Deleted => v1::State::Deleted.as_str_name(),
    };
    Some(Value::Text(name.to_owned()))
}

/// The message of a definition with this layer, without what its scope and record say: name, times and etag.
///
/// An entry of another kind than its field has, which only a newer binary can have written, is left out.
pub fn answer(layer: &Layer) -> v1::FeatureDefinition {
    let text = |field| match layer.get(field) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let state = v1::State::from_str_name(text(STATE)).unwrap_or(v1::State::Active);
    v1::FeatureDefinition {
        display_name: text("display_name").to_owned(),
        description: text("description").to_owned(),
        value_type: v1::ValueType::from_str_name(text("value_type")).unwrap_or_default().into(),
        constraints: layer.get("constraints").map(constraints),
        default_value: layer.get("default_value").map(json),
        variants: parts(layer.get("variants")).map(|(name, value)| (name.clone(), json(value))).collect(),
        levels: elements(layer.get("levels"))
            .filter_map(|level| v1::Level::from_str_name(text_of(level)?).map(i32::from))
            .collect(),
        purpose: v1::Purpose::from_str_name(text("purpose")).unwrap_or_default().into(),
        visibility: v1::Visibility::from_str_name(text("visibility")).unwrap_or(v1::Visibility::ServerOnly).into(),
        owner: text("owner").to_owned(),
        labels: parts(layer.get("labels"))
            .filter_map(|(name, label)| Some((name.clone(), text_of(label)?.to_owned())))
            .collect(),
        stale_time: text("stale_time").parse().ok(),
        permanent: layer.get("permanent") == Some(&Value::Flag(true)),
        state: state.into(),
        delete_time: text(DELETE_TIME).parse().ok(),
        expire_time: text(EXPIRE_TIME).parse().ok(),
        ..v1::FeatureDefinition::default()
    }
}

fn constraints(value: &Value) -> v1::Constraints {
    let part = |name: &str| parts(Some(value)).find(|(part, _)| *part == name).map(|(_, value)| value);
    let number = |name| match part(name) {
        Some(Value::Double(number)) => Some(Double::get(*number)),
        _ => None,
    };
    v1::Constraints {
        allowed_values: elements(part("allowed_values")).map(json).collect(),
        pattern: part("pattern").and_then(text_of).unwrap_or_default().to_owned(),
        minimum: number("minimum"),
        maximum: number("maximum"),
        max_items: match part("max_items") {
            Some(Value::Integer(most)) => u32::try_from(*most).ok(),
            _ => None,
        },
        json_schema: match part("json_schema").map(|schema| json(schema).kind) {
            Some(Some(prost_types::value::Kind::StructValue(schema))) => Some(schema),
            _ => None,
        },
    }
}

/// The JSON of a value of a definition, which has no numbers of an enum.
fn json(value: &Value) -> prost_types::Value {
    json_value::answer(value, &|number| number.to_string())
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn parts(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    static NONE: BTreeMap<String, Value> = BTreeMap::new();
    match value {
        Some(Value::Message(parts)) => parts.iter(),
        _ => NONE.iter(),
    }
}

fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::List(values)) => values.iter(),
        _ => [].iter(),
    }
}

#[cfg(test)]
mod tests;
