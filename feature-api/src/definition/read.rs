//! Reads the fields of a definition from its message.

use std::collections::BTreeMap;

use feature_core::{Double, FeatureKey, Layer, Value, ValueType};

use super::FIELDS;
use crate::feature::v1;
use crate::json_value;
use crate::request::{RequestError, Violations};

/// The most bytes of a label's name, and of its text.
const LABEL_MAX_BYTES: usize = 64;

/// What a message changes of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The fields that it sets.
    pub set: Layer,
    /// The fields that it unsets.
    pub unset: Vec<FeatureKey>,
}

/// The type of a definition's values, as the message has it.
///
/// # Errors
/// [`RequestError::Invalid`] when there is none, or an unknown one.
pub fn value_type(message: &v1::FeatureDefinition) -> Result<ValueType, RequestError> {
    let mut violations = Violations::default();
    match v1::ValueType::try_from(message.value_type) {
        Ok(v1::ValueType::Boolean) => return Ok(ValueType::Boolean),
        Ok(v1::ValueType::String) => return Ok(ValueType::String),
        Ok(v1::ValueType::Integer) => return Ok(ValueType::Integer),
        Ok(v1::ValueType::Number) => return Ok(ValueType::Number),
        Ok(v1::ValueType::Object) => return Ok(ValueType::Object),
        Ok(v1::ValueType::StringList) => return Ok(ValueType::StringList),
        Ok(v1::ValueType::Unspecified) => violations.add("feature_definition.value_type", "is required"),
        Err(_) => violations.add("feature_definition.value_type", "must be a type that this server knows"),
    }
    Err(violations.into_result().expect_err("a violation was added"))
}

/// Reads what a message changes.
///
/// * `value_type`: the type of the definition's values.
/// * `mask`: the fields to change; `None` for those that the message has, an empty mask, too (AIP-134).
///
/// # Errors
/// [`RequestError::Invalid`] names the fields with wrong values, and paths of the mask that name no field.
pub fn read(
    message: &v1::FeatureDefinition,
    value_type: ValueType,
    mask: Option<&[String]>,
) -> Result<Change, RequestError> {
    let mask = mask.filter(|paths| !paths.is_empty());
    let mut violations = Violations::default();
    for (index, path) in mask.unwrap_or_default().iter().enumerate() {
        if path != "*" && !FIELDS.contains(&path.as_str()) {
            let field = format_args!("update_mask.paths[{index}]");
            violations.add(field, format_args!("names no field that can be changed: {}", FIELDS.join(", ")));
        }
    }
    let is_masked = |field: &str| mask.is_none_or(|paths| paths.iter().any(|path| path == "*" || path == field));
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    let mut reader = Reader { value_type, violations };
    for field in FIELDS.into_iter().filter(|field| is_masked(field)) {
        match reader.field(field, message) {
            Some(value) => set.push((field.into(), value)),
            None if mask.is_some() => unset.push(field.into()),
            None => {}
        }
    }
    reader.violations.into_result()?;
    Ok(Change { set: set.into_iter().collect(), unset })
}

/// Checks labels that a request has outside of a definition.
///
/// `path`: where the request has them.
///
/// # Errors
/// [`RequestError::Invalid`] names the labels that no definition can have.
pub fn check_labels(labels: &BTreeMap<String, String>, path: &str) -> Result<(), RequestError> {
    let mut violations = Violations::default();
    add_violations_of_labels(labels, path, &mut violations);
    violations.into_result()
}

fn add_violations_of_labels(labels: &BTreeMap<String, String>, path: &str, violations: &mut Violations) {
    for (name, label) in labels {
        if !is_name(name) {
            let problem = "has a label whose name is not 1 to 64 letters, digits, dots, underscores and hyphens";
            violations.add(path, problem);
        } else if label.len() > LABEL_MAX_BYTES {
            violations.add(format_args!("{path}.{name}"), "must have at most 64 bytes");
        }
    }
}

struct Reader {
    value_type: ValueType,
    violations: Violations,
}

impl Reader {
    /// The value of a field of the message; `None` when the field is unset, or wrong.
    fn field(&mut self, field: &str, message: &v1::FeatureDefinition) -> Option<Value> {
        let path = format!("feature_definition.{field}");
        let text = |text: &String| (!text.is_empty()).then(|| Value::Text(text.clone()));
        match field {
            "constraints" => message.constraints.as_ref().and_then(|constraints| self.constraints(constraints)),
            "default_value" => self.value(message.default_value.as_ref()?, self.value_type, &path),
            "description" => text(&message.description),
            "display_name" => text(&message.display_name),
            "labels" => self.labels(&message.labels, &path),
            "levels" => self.levels(&message.levels, &path),
            "owner" => text(&message.owner),
            "permanent" => message.permanent.then_some(Value::Flag(true)),
            "purpose" => self.name(v1::Purpose::try_from(message.purpose).map(|it| it.as_str_name()), &path),
            "stale_time" => self.time(message.stale_time.as_ref()?, &path),
            "value_type" => self.name(v1::ValueType::try_from(message.value_type).map(|it| it.as_str_name()), &path),
            "variants" => self.variants(&message.variants, &path),
            "visibility" => self.name(v1::Visibility::try_from(message.visibility).map(|it| it.as_str_name()), &path),
            other => unreachable!("a definition has no field {other}"),
        }
    }

    /// The stored form of an enum's value.
    fn name<E>(&mut self, name: Result<&'static str, E>, path: &str) -> Option<Value> {
        let name = name.map_err(|_| self.violations.add(path, "must be a value that this server knows")).ok()?;
        (!name.ends_with("_UNSPECIFIED")).then(|| Value::Text(name.to_owned()))
    }

    fn value(&mut self, json: &prost_types::Value, value_type: ValueType, path: &str) -> Option<Value> {
        json_value::read(json, value_type, path).map_err(|error| self.violations.add(error.path, error.problem)).ok()
    }

    fn constraints(&mut self, constraints: &v1::Constraints) -> Option<Value> {
        const PATH: &str = "feature_definition.constraints";
        let element_type = if self.value_type == ValueType::StringList { ValueType::String } else { self.value_type };
        let mut parts = BTreeMap::new();
        let allowed = constraints.allowed_values.iter().enumerate();
        let allowed: Vec<_> = allowed
            .filter_map(|(index, value)| self.value(value, element_type, &format!("{PATH}.allowed_values[{index}]")))
            .collect();
        if !allowed.is_empty() {
            parts.insert("allowed_values".to_owned(), Value::List(allowed));
        }
        if !constraints.pattern.is_empty() {
            parts.insert("pattern".to_owned(), Value::Text(constraints.pattern.clone()));
        }
        for (name, number) in [("minimum", constraints.minimum), ("maximum", constraints.maximum)] {
            match number.map(Double::new) {
                None => {}
                Some(Some(number)) => drop(parts.insert(name.to_owned(), Value::Double(number))),
                Some(None) => self.violations.add(format_args!("{PATH}.{name}"), "must be a finite number"),
            }
        }
        if let Some(most) = constraints.max_items {
            parts.insert("max_items".to_owned(), Value::Integer(most.into()));
        }
        if let Some(schema) = &constraints.json_schema {
            let schema = prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(schema.clone())) };
            let schema = self.value(&schema, ValueType::Object, &format!("{PATH}.json_schema"));
            parts.extend(schema.map(|schema| ("json_schema".to_owned(), schema)));
        }
        (!parts.is_empty()).then_some(Value::Message(parts))
    }

    fn variants(&mut self, variants: &BTreeMap<String, prost_types::Value>, path: &str) -> Option<Value> {
        let mut read = BTreeMap::new();
        for (name, value) in variants {
            if !is_name(name) {
                let problem = "has a variant whose name is not 1 to 64 letters, digits, dots, underscores and hyphens";
                self.violations.add(path, problem);
            }
            let value = self.value(value, self.value_type, &format!("{path}.{name}"));
            read.extend(value.map(|value| (name.clone(), value)));
        }
        (!read.is_empty()).then_some(Value::Message(read))
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>, path: &str) -> Option<Value> {
        add_violations_of_labels(labels, path, &mut self.violations);
        let read: BTreeMap<_, _> =
            labels.iter().map(|(name, label)| (name.clone(), Value::Text(label.clone()))).collect();
        (!read.is_empty()).then_some(Value::Message(read))
    }

    fn levels(&mut self, levels: &[i32], path: &str) -> Option<Value> {
        let mut names = Vec::new();
        for (index, level) in levels.iter().enumerate() {
            match v1::Level::try_from(*level) {
                Ok(v1::Level::Unspecified) | Err(_) => {
                    self.violations.add(format_args!("{path}[{index}]"), "must be a level");
                }
                Ok(level) => names.push(level),
            }
        }
        // Canonical: each once, from the least to the most specific.
        names.sort();
        names.dedup();
        let names: Vec<_> = names.iter().map(|level| Value::Text(level.as_str_name().to_owned())).collect();
        (!names.is_empty()).then_some(Value::List(names))
    }

    fn time(&mut self, time: &prost_types::Timestamp, path: &str) -> Option<Value> {
        let text = time.to_string();
        let is_valid = (0..1_000_000_000).contains(&time.nanos) && text.parse() == Ok(*time);
        if !is_valid {
            self.violations.add(path, "must be a time (RFC 3339) from the year 1 to 9999");
        }
        is_valid.then_some(Value::Text(text))
    }
}

/// Whether a text can name a variant or a label.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LABEL_MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}
