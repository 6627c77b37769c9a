//! Values of features: reads them from Set requests and writes them into Get responses.

use std::collections::BTreeMap;

use feature_core::{Kind, Level, Value};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind as FieldKind, Value as FieldValue};

use crate::request::Violations;
use crate::rules;
use crate::schema::features::FeatureFields;
use crate::zitadel::feature::v2::Source;

/// Reads the value of a feature that a Set request contains.
///
/// `masked` says whether the mask includes a path. Parts of a message outside of the mask are left out, unchecked.
pub(crate) fn read(
    feature: &FeatureFields,
    request: &DynamicMessage,
    masked: impl Fn(&str) -> bool,
    violations: &mut Violations,
) -> Option<Value> {
    let field = request.get_field(&feature.set);
    match (&feature.kind, field.as_ref()) {
        (Kind::Flag, FieldValue::Bool(enabled)) => Some(Value::Flag(*enabled)),
        (Kind::EnumList, FieldValue::List(elements)) => Some(read_numbers(feature, elements, violations)),
        (Kind::Message(_), FieldValue::Message(message)) => Some(read_parts(feature, message, masked, violations)),
        _ => None,
    }
}

fn read_numbers(feature: &FeatureFields, elements: &[FieldValue], violations: &mut Violations) -> Value {
    let mut numbers = Vec::with_capacity(elements.len());
    for (position, element) in elements.iter().enumerate() {
        let number = element.as_enum_number().unwrap_or_default();
        match problem_of_number(&feature.set, number, &numbers) {
            Some(problem) => violations.add(format_args!("{}[{position}]", feature.key), problem),
            None => numbers.push(number),
        }
    }
    Value::Numbers(numbers)
}

pub(crate) fn problem_of_number(field: &FieldDescriptor, number: i32, seen: &[i32]) -> Option<String> {
    let FieldKind::Enum(descriptor) = field.kind() else { return None };
    match descriptor.get_value(number) {
        None => Some(format!("{number} is no number of {}", descriptor.full_name())),
        Some(value) if number == 0 => Some(format!("{} stands for nothing", value.name())),
        Some(value) if seen.contains(&number) => Some(format!("{} is there already", value.name())),
        Some(_) => None,
    }
}

fn read_parts(
    feature: &FeatureFields,
    message: &DynamicMessage,
    masked: impl Fn(&str) -> bool,
    violations: &mut Violations,
) -> Value {
    let mut parts = BTreeMap::new();
    // fields() skips absent fields, and fields at a default that cannot be distinguished from absent.
    for (field, value) in message.fields() {
        let path = format!("{}.{}", feature.key, field.name());
        if !masked(&path) {
            continue;
        }
        let part = match value {
            FieldValue::Bool(enabled) => Value::Flag(*enabled),
            FieldValue::String(text) => {
                if let Err(problem) = rules::check_text(&field, text) {
                    violations.add(path, problem);
                }
                Value::Text(text.clone())
            }
            other => unreachable!("the schema has only bools and strings in messages, not {other:?}"),
        };
        parts.insert(field.name().to_owned(), part);
    }
    Value::Message(parts)
}

/// Makes the message for one feature of a Get response: the value or the default, and the source of the value.
///
/// A stored value whose kind differs from the feature's counts as not set. Only a change of the protos can cause this.
pub(crate) fn answer(feature: &FeatureFields, resolved: Option<(&Value, Level)>) -> DynamicMessage {
    let mut answer = DynamicMessage::new(feature.answer.clone());
    let Some((value, level)) = resolved else { return answer };
    match (&feature.value, value) {
        (Some(field), Value::Flag(enabled)) if feature.kind == Kind::Flag => {
            answer.set_field(field, FieldValue::Bool(*enabled));
        }
        (Some(field), Value::Numbers(numbers)) if feature.kind == Kind::EnumList => {
            let elements = numbers.iter().map(|number| FieldValue::EnumNumber(*number)).collect();
            answer.set_field(field, FieldValue::List(elements));
        }
        (None, Value::Message(parts)) => {
            for (name, part) in parts {
                let part = match part {
                    Value::Flag(enabled) => FieldValue::Bool(*enabled),
                    Value::Text(text) => FieldValue::String(text.clone()),
                    Value::Numbers(_) | Value::Message(_) | Value::Integer(_) | Value::Double(_) | Value::List(_) => {
                        continue;
                    }
                };
                // Skips a part that this binary does not have, or has with another kind.
                let _not_shown = answer.try_set_field_by_name(name, part);
            }
        }
        _ => return answer,
    }
    answer.set_field(&feature.source, FieldValue::EnumNumber(source(level).into()));
    answer
}

fn source(level: Level) -> Source {
    match level {
        Level::System => Source::System,
        Level::Instance => Source::Instance,
        Level::Organization => Source::Organization,
        Level::User => Source::User,
    }
}
