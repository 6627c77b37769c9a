//! The built-in features as definitions, and their values as JSON: all of it comes from the descriptors.

use std::collections::{BTreeMap, BTreeSet};

use feature_core::{Constraints, Definition, FeatureKey, Kind, Level, Presence, State, Value, ValueType, Visibility};
use prost_reflect::{FieldDescriptor, Kind as FieldKind, MessageDescriptor};
use prost_types::value::Kind as JsonKind;
use prost_types::{Struct, Value as JsonValue};

use crate::feature::v1;
use crate::json_value::{self, ValueError};
use crate::rules;
use crate::schema::Schema;
use crate::schema::features::FeatureFields;
use crate::value::problem_of_number;

/// A feature that comes with the protos.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    /// The feature, in the requests of one of its levels. It has the same kind in all of them.
    fields: FeatureFields,
    /// What it is. Its constraints are those of its type, which [`BuiltIn::read`] checks.
    pub definition: Definition,
}

impl BuiltIn {
    /// All built-in features.
    pub fn all(schema: &Schema) -> Vec<Self> {
        let mut features: BTreeMap<FeatureKey, Self> = BTreeMap::new();
        for level in Level::ALL {
            for fields in &schema.level(level).fields {
                let feature = features.entry(fields.key.clone()).or_insert_with(|| Self::new(fields.clone()));
                feature.definition.levels.insert(level);
            }
        }
        features.into_values().collect()
    }

    fn new(fields: FeatureFields) -> Self {
        let (value_type, default_value) = match fields.kind {
            Kind::Flag => (ValueType::Boolean, Value::Flag(false)),
            Kind::EnumList => (ValueType::StringList, Value::Numbers(Vec::new())),
            Kind::Message(_) => (ValueType::Object, Value::Message(BTreeMap::new())),
        };
        let definition = Definition {
            value_type,
            constraints: Constraints::default(),
            default_value,
            variants: BTreeMap::new(),
            levels: BTreeSet::new(),
            // Every caller of the feature service sees it.
            visibility: Visibility::Client,
            state: State::Active,
            tightened: false,
        };
        Self { fields, definition }
    }

    /// Its key.
    pub fn key(&self) -> &FeatureKey {
        &self.fields.key
    }

    /// Its definition as a message, without name and etag.
    pub fn message(&self) -> v1::FeatureDefinition {
        let value_type = match self.definition.value_type {
            ValueType::Boolean => v1::ValueType::Boolean,
            ValueType::StringList => v1::ValueType::StringList,
            _ => v1::ValueType::Object,
        };
        let constraints = match self.fields.set.kind() {
            FieldKind::Enum(names) => {
                // The first one stands for nothing.
                let values = names.values().filter(|value| value.number() != 0).map(|value| text(value.name()));
                Some(v1::Constraints { allowed_values: values.collect(), ..v1::Constraints::default() })
            }
            FieldKind::Message(message) => {
                Some(v1::Constraints { json_schema: Some(schema_of(&message)), ..v1::Constraints::default() })
            }
            _ => None,
        };
        v1::FeatureDefinition {
            description: comment(&self.fields.set),
            value_type: value_type.into(),
            constraints,
            default_value: Some(self.answer(&self.definition.default_value)),
            levels: self.definition.levels.iter().map(|level| v1::Level::from(*level).into()).collect(),
            visibility: v1::Visibility::Client.into(),
            permanent: true,
            state: v1::State::Active.into(),
            builtin: true,
            ..v1::FeatureDefinition::default()
        }
    }

    /// Reads a value of the feature.
    ///
    /// # Errors
    /// [`ValueError`], as the feature service's own Set would refuse it.
    pub fn read(&self, json: &JsonValue, path: &str) -> Result<Value, ValueError> {
        let read = json_value::read(json, self.definition.value_type, path)?;
        match (read, self.fields.set.kind()) {
            (Value::List(names), FieldKind::Enum(known)) => {
                if names.is_empty() {
                    return Err(ValueError::new(path, "must have an element: to unset the feature, name it in unset"));
                }
                let mut numbers = Vec::with_capacity(names.len());
                for (index, name) in names.iter().enumerate() {
                    let Value::Text(name) = name else { unreachable!("a list of texts was read") };
                    let wrong = |problem: String| ValueError::new(&format!("{path}[{index}]"), problem);
                    let number = known.get_value_by_name(name).map(|value| value.number());
                    let number = number.ok_or_else(|| wrong(format!("must be a value of {}", known.full_name())))?;
                    if let Some(problem) = problem_of_number(&self.fields.set, number, &numbers) {
                        return Err(wrong(problem));
                    }
                    numbers.push(number);
                }
                Ok(Value::Numbers(numbers))
            }
            (Value::Message(parts), FieldKind::Message(message)) => {
                let part = |(name, value)| self.read_part(&message, name, value, path);
                let parts: Vec<_> = parts.into_iter().map(part).collect::<Result<_, _>>()?;
                Ok(Value::Message(parts.into_iter().flatten().collect()))
            }
            (value, _) => Ok(value),
        }
    }

    /// Reads a part of a message; `None` for one that is as if it were absent.
    fn read_part(
        &self,
        message: &MessageDescriptor,
        name: String,
        value: Value,
        path: &str,
    ) -> Result<Option<(String, Value)>, ValueError> {
        let wrong = |problem: String| Err(ValueError::new(&format!("{path}.{name}"), problem));
        let Some(field) = message.get_field_by_name(&name) else {
            return wrong(format!("{} has no such part", self.fields.key));
        };
        let is_default = match (&value, field.kind()) {
            (Value::Flag(flag), FieldKind::Bool) => !flag,
            (Value::Text(text), FieldKind::String) => {
                if let Err(problem) = rules::check_text(&field, text) {
                    return wrong(problem);
                }
                text.is_empty()
            }
            (_, FieldKind::Bool) => return wrong("must be true or false".to_owned()),
            _ => return wrong("must be a text".to_owned()),
        };
        Ok((field.supports_presence() || !is_default).then_some((name, value)))
    }

    /// The JSON of a value of the feature. A part that is always there has its default when it is not set.
    pub fn answer(&self, value: &Value) -> JsonValue {
        let FieldKind::Enum(names) = self.fields.set.kind() else {
            let mut json = json_value::answer(value, &|number| number.to_string());
            if let (Kind::Message(parts), Some(JsonKind::StructValue(object))) = (&self.fields.kind, &mut json.kind) {
                let FieldKind::Message(message) = self.fields.set.kind() else { return json };
                let implicit = parts.iter().filter(|(_, presence)| **presence == Presence::Implicit);
                for (name, _) in implicit.filter(|(name, _)| !value_has(value, name)) {
                    let is_flag = message.get_field_by_name(name).is_some_and(|field| field.kind() == FieldKind::Bool);
                    let default = if is_flag { JsonValue::from(false) } else { text("") };
                    object.fields.insert(name.clone(), default);
                }
            }
            return json;
        };
        let name = |number| names.get_value(number).map_or_else(|| number.to_string(), |value| value.name().to_owned());
        json_value::answer(value, &name)
    }
}

fn value_has(value: &Value, part: &str) -> bool {
    matches!(value, Value::Message(parts) if parts.contains_key(part))
}

fn text(text: &str) -> JsonValue {
    JsonValue::from(text)
}

/// A JSON Schema of a message that has only flags and texts.
fn schema_of(message: &MessageDescriptor) -> Struct {
    let object = |fields: Vec<(&str, JsonValue)>| Struct {
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let json = |object: Struct| JsonValue { kind: Some(JsonKind::StructValue(object)) };
    let property = |field: FieldDescriptor| {
        let name = if field.kind() == FieldKind::Bool { "boolean" } else { "string" };
        let described = vec![("type", text(name)), ("description", JsonValue::from(comment(&field)))];
        (field.name().to_owned(), json(object(described)))
    };
    let properties = Struct { fields: message.fields().map(property).collect() };
    object(vec![
        ("type", text("object")),
        ("properties", json(properties)),
        ("additionalProperties", JsonValue::from(false)),
    ])
}

/// The comment of a field, in one line.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_file();
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let location = source.and_then(|source| source.location.iter().find(|location| location.path == field.path()));
    let comment = location.map_or("", |location| location.leading_comments());
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<Level> for v1::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::System => v1::Level::System,
            Level::Instance => v1::Level::Instance,
            Level::Organization => v1::Level::Organization,
            Level::User => v1::Level::User,
        }
    }
}

#[cfg(test)]
mod tests;
