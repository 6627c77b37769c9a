//! Reading a definition from its layer.

use std::collections::{BTreeMap, BTreeSet};

use super::{Constraints, Definition, State, ValueType, Visibility};
use crate::layer::Layer;
use crate::scope::Level;
use crate::value::{Double, Value};

/// A field of a definition is missing or has what this binary does not know: a newer one has written it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a definition cannot be read: {0} is missing, or a newer binary has written it")]
pub struct DefinitionError(pub &'static str);

type Read<T> = Result<T, DefinitionError>;

const TYPES: [(&str, ValueType); 6] = [
    ("VALUE_TYPE_BOOLEAN", ValueType::Boolean),
    ("VALUE_TYPE_STRING", ValueType::String),
    ("VALUE_TYPE_INTEGER", ValueType::Integer),
    ("VALUE_TYPE_NUMBER", ValueType::Number),
    ("VALUE_TYPE_OBJECT", ValueType::Object),
    ("VALUE_TYPE_STRING_LIST", ValueType::StringList),
];

const LEVELS: [(&str, Level); 4] = [
    ("LEVEL_SYSTEM", Level::System),
    ("LEVEL_INSTANCE", Level::Instance),
    ("LEVEL_ORGANIZATION", Level::Organization),
    ("LEVEL_USER", Level::User),
];

const VISIBILITIES: [(&str, Visibility); 2] =
    [("VISIBILITY_SERVER_ONLY", Visibility::ServerOnly), ("VISIBILITY_CLIENT", Visibility::Client)];

const STATES: [(&str, State); 4] = [
    ("STATE_ACTIVE", State::Active),
    ("STATE_DEPRECATED", State::Deprecated),
    ("STATE_ARCHIVED", State::Archived),
    ("STATE_DELETED", State::Deleted),
];

/// All fields of a definition.
const FIELDS: [&str; 20] = [
    "allow_reuse",
    "constraints",
    "default_value",
    "delete_time",
    "description",
    "display_name",
    "expire_time",
    "key",
    "labels",
    "levels",
    "owner",
    "permanent",
    "purpose",
    "removing",
    "stale_time",
    "state",
    "tightened",
    "value_type",
    "variants",
    "visibility",
];

impl Definition {
    /// The definition with this layer; `None` for an empty layer, which a scope without a definition has.
    ///
    /// # Errors
    /// [`DefinitionError`] names the first field that is missing or that a newer binary has written.
    pub fn from_layer(layer: &Layer) -> Result<Option<Self>, DefinitionError> {
        if layer.is_empty() {
            return Ok(None);
        }
        if layer.iter().any(|(field, _)| !FIELDS.contains(&field.as_str())) {
            // It may decide about values.
            return Err(DefinitionError("an unknown field"));
        }
        let parts = match layer.get("constraints") {
            None => &BTreeMap::new(),
            Some(Value::Message(parts)) => parts,
            Some(_) => return Err(DefinitionError("constraints")),
        };
        let levels = list("levels", layer.get("levels"))?.iter().map(|level| named("levels", &LEVELS, Some(level)));
        Ok(Some(Self {
            value_type: named("value_type", &TYPES, layer.get("value_type"))?,
            constraints: constraints(parts)?,
            default_value: layer.get("default_value").cloned().ok_or(DefinitionError("default_value"))?,
            variants: match layer.get("variants") {
                None => BTreeMap::new(),
                Some(Value::Message(variants)) => variants.clone(),
                Some(_) => return Err(DefinitionError("variants")),
            },
            levels: levels.collect::<Read<BTreeSet<_>>>()?,
            // An absent field has its first value.
            visibility: match layer.get("visibility") {
                None => Visibility::ServerOnly,
                some => named("visibility", &VISIBILITIES, some)?,
            },
            state: match layer.get("state") {
                None => State::Active,
                some => named("state", &STATES, some)?,
            },
            tightened: match layer.get("tightened") {
                None => false,
                Some(Value::Flag(tightened)) => *tightened,
                Some(_) => return Err(DefinitionError("tightened")),
            },
        }))
    }
}

fn constraints(parts: &BTreeMap<String, Value>) -> Read<Constraints> {
    const KNOWN: [&str; 6] = ["allowed_values", "pattern", "minimum", "maximum", "max_items", "json_schema"];
    if parts.keys().any(|part| !KNOWN.contains(&part.as_str())) {
        // To leave one out would let values pass that it forbids.
        return Err(DefinitionError("constraints"));
    }
    Ok(Constraints {
        allowed_values: list("constraints.allowed_values", parts.get("allowed_values"))?.to_vec(),
        pattern: match parts.get("pattern") {
            None => None,
            Some(Value::Text(pattern)) => Some(pattern.clone()),
            Some(_) => return Err(DefinitionError("constraints.pattern")),
        },
        minimum: number("constraints.minimum", parts.get("minimum"))?,
        maximum: number("constraints.maximum", parts.get("maximum"))?,
        max_items: match parts.get("max_items") {
            None => None,
            Some(Value::Integer(most)) => {
                Some(u32::try_from(*most).map_err(|_| DefinitionError("constraints.max_items"))?)
            }
            Some(_) => return Err(DefinitionError("constraints.max_items")),
        },
        json_schema: parts.get("json_schema").cloned(),
    })
}

fn named<T: Copy>(field: &'static str, names: &[(&str, T)], value: Option<&Value>) -> Read<T> {
    let Some(Value::Text(name)) = value else { return Err(DefinitionError(field)) };
    names.iter().find(|(known, _)| known == name).map(|(_, value)| *value).ok_or(DefinitionError(field))
}

fn list<'v>(field: &'static str, value: Option<&'v Value>) -> Read<&'v [Value]> {
    match value {
        None => Ok(&[]),
        Some(Value::List(values)) => Ok(values),
        Some(_) => Err(DefinitionError(field)),
    }
}

fn number(field: &'static str, value: Option<&Value>) -> Read<Option<Double>> {
    match value {
        None => Ok(None),
        Some(Value::Double(number)) => Ok(Some(*number)),
        Some(_) => Err(DefinitionError(field)),
    }
}
