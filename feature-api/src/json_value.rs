//! The values of own features as `google.protobuf.Value`, which is plain JSON in REST and on the command line.

use std::collections::BTreeMap;

use feature_core::{Double, Value, ValueType, definition};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as JsonValue};

const INTEGER_MAX: f64 = definition::INTEGER_MAX as f64;

/// A value that is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ValueError {
    /// The path of the part within the request, such as `default_value.limits[2]`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ValueError {
    pub(crate) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// Reads a value of a feature of this type.
///
/// * `path`: of the value within the request, for an error.
///
/// # Errors
/// [`ValueError`] when the value is missing, null, infinite, or of another type; a null within an object, too.
pub fn read(json: &JsonValue, value_type: ValueType, path: &str) -> Result<Value, ValueError> {
    let wrong = |problem: &str| Err(ValueError::new(path, problem));
    match (value_type, &json.kind) {
        (_, None | Some(Kind::NullValue(_))) => wrong("must not be null: to unset a feature, name it in unset"),
        (ValueType::Boolean, Some(Kind::BoolValue(flag))) => Ok(Value::Flag(*flag)),
        (ValueType::String, Some(Kind::StringValue(text))) => Ok(Value::Text(text.clone())),
        (ValueType::Integer, Some(Kind::NumberValue(number))) => {
            let is_integer = number.fract() == 0.0 && number.abs() <= INTEGER_MAX;
            if is_integer {
                Ok(Value::Integer(*number as i64))
            } else {
                wrong("must be a whole number from -2^53 to 2^53")
            }
        }
        (ValueType::Number, Some(Kind::NumberValue(_))) | (ValueType::Object, Some(Kind::StructValue(_))) => {
            read_any(json, path)
        }
        (ValueType::StringList, Some(Kind::ListValue(ListValue { values }))) => {
            let element = |(index, value)| read(value, ValueType::String, &format!("{path}[{index}]"));
            values.iter().enumerate().map(element).collect::<Result<_, _>>().map(Value::List)
        }
        (ValueType::Boolean, _) => wrong("must be true or false"),
        (ValueType::String, _) => wrong("must be a text"),
        (ValueType::Integer | ValueType::Number, _) => wrong("must be a number"),
        (ValueType::Object, _) => wrong("must be an object"),
        (ValueType::StringList, _) => wrong("must be a list of texts"),
    }
}

/// Reads JSON of any type. Every number is a double here, as it is in JSON.
fn read_any(json: &JsonValue, path: &str) -> Result<Value, ValueError> {
    let wrong = |problem: &str| Err(ValueError::new(path, problem));
    Ok(match &json.kind {
        None | Some(Kind::NullValue(_)) => return wrong("must not be null: leave it out"),
        Some(Kind::BoolValue(flag)) => Value::Flag(*flag),
        Some(Kind::StringValue(text)) => Value::Text(text.clone()),
        Some(Kind::NumberValue(number)) => match Double::new(*number) {
            Some(number) => Value::Double(number),
            None => return wrong("must be a finite number"),
        },
        Some(Kind::ListValue(ListValue { values })) => {
            let element = |(index, value)| read_any(value, &format!("{path}[{index}]"));
            Value::List(values.iter().enumerate().map(element).collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(Struct { fields })) => {
            let part = |(name, value): (&String, _)| Ok((name.clone(), read_any(value, &format!("{path}.{name}"))?));
            Value::Message(fields.iter().map(part).collect::<Result<_, _>>()?)
        }
    })
}

/// The JSON of a value.
///
/// `names`: the names of an enum's numbers, for a built-in feature that is a list of them.
pub fn answer(value: &Value, names: &impl Fn(i32) -> String) -> JsonValue {
    let kind = match value {
        Value::Flag(flag) => Kind::BoolValue(*flag),
        Value::Text(text) => Kind::StringValue(text.clone()),
        Value::Integer(number) => Kind::NumberValue(*number as f64),
        Value::Double(number) => Kind::NumberValue(number.get()),
        Value::List(values) => list(values.iter().map(|value| answer(value, names))),
        Value::Numbers(numbers) => {
            list(numbers.iter().map(|number| JsonValue { kind: Some(Kind::StringValue(names(*number))) }))
        }
        Value::Message(parts) => {
            let fields: BTreeMap<_, _> =
                parts.iter().map(|(name, value)| (name.clone(), answer(value, names))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    JsonValue { kind: Some(kind) }
}

fn list(values: impl Iterator<Item = JsonValue>) -> Kind {
    Kind::ListValue(ListValue { values: values.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(kind: Kind) -> JsonValue {
        JsonValue { kind: Some(kind) }
    }

    fn text(text: &str) -> JsonValue {
        json(Kind::StringValue(text.to_owned()))
    }

    fn number(number: f64) -> JsonValue {
        json(Kind::NumberValue(number))
    }

    fn object(name: &str, value: JsonValue) -> JsonValue {
        json(Kind::StructValue(Struct { fields: [(name.to_owned(), value)].into() }))
    }

    fn values(values: Vec<JsonValue>) -> JsonValue {
        json(Kind::ListValue(ListValue { values }))
    }

    #[test]
    fn a_value_of_the_type_goes_there_and_back() {
        let table = [
            // (type, JSON)
            (ValueType::Boolean, json(Kind::BoolValue(false))),
            (ValueType::String, text("")),
            (ValueType::Integer, number(0.0)),
            (ValueType::Integer, number(-INTEGER_MAX)),
            (ValueType::Number, number(1e300)),
            (ValueType::StringList, values(vec![])),
            (ValueType::StringList, values(vec![text("b"), text("a"), text("b")])),
            (ValueType::Object, object("a", values(vec![number(0.5), object("b", json(Kind::BoolValue(true)))]))),
        ];
        for (value_type, json) in table {
            let value = read(&json, value_type, "value").unwrap();
            assert!(value_type.includes(&value), "{value:?}");
            assert_eq!(answer(&value, &|_| unreachable!()), json);
        }
        let names = |number: i32| format!("NUMBER_{number}");
        assert_eq!(answer(&Value::Numbers(vec![2, 1]), &names), values(vec![text("NUMBER_2"), text("NUMBER_1")]));
    }

    #[test]
    fn any_other_value_is_refused_where_it_is() {
        let null = || json(Kind::NullValue(0));
        let table = [
            // (type, JSON, what is said)
            (ValueType::Boolean, null(), "value: must not be null: to unset a feature, name it in unset"),
            (ValueType::Boolean, JsonValue { kind: None }, "value: must not be null"),
            (ValueType::Boolean, number(1.0), "value: must be true or false"),
            (ValueType::String, number(1.0), "value: must be a text"),
            (ValueType::Integer, text("1"), "value: must be a number"),
            (ValueType::Integer, number(1.5), "value: must be a whole number from -2^53 to 2^53"),
            (ValueType::Integer, number(INTEGER_MAX * 2.0), "value: must be a whole number"),
            (ValueType::Integer, number(f64::NAN), "value: must be a whole number"),
            (ValueType::Number, number(f64::INFINITY), "value: must be a finite number"),
            (ValueType::StringList, text("a"), "value: must be a list of texts"),
            (ValueType::StringList, values(vec![text("a"), number(1.0)]), "value[1]: must be a text"),
            (ValueType::Object, values(vec![]), "value: must be an object"),
            (ValueType::Object, object("a", values(vec![text("x"), null()])), "value.a[1]: must not be null: leave it"),
        ];
        for (value_type, json, says) in table {
            let error = read(&json, value_type, "value").unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
