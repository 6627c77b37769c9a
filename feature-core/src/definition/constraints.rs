//! Constraints on the values of a feature. Those that need an engine, a pattern and a schema, are only kept here.

use std::fmt;

use super::ValueType;
use crate::value::{Double, Value};

/// What the values of a feature have to be besides being of its type. Without any field, all of its type are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The only values; empty for any. In a list, those of each element.
    pub allowed_values: Vec<Value>,
    /// A regular expression that a whole text matches, or each text of a list.
    pub pattern: Option<String>,
    /// The least number.
    pub minimum: Option<Double>,
    /// The greatest number.
    pub maximum: Option<Double>,
    /// The most elements of a list.
    pub max_items: Option<u32>,
    /// A JSON Schema that an object matches.
    pub json_schema: Option<Value>,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// It is of another type than this one.
    Type(ValueType),
    /// It is none of the allowed values. In a list: the element at this index, counted from 0.
    NotAllowed(Option<usize>),
    /// It is less than this.
    TooSmall(Double),
    /// It is greater than this.
    TooLarge(Double),
    /// It has more elements than this.
    TooMany(u32),
}

impl Constraints {
    /// Every constraint that a value of the right type breaks.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        let is_allowed = |value: &Value| self.allowed_values.is_empty() || self.allowed_values.contains(value);
        match value {
            Value::List(values) => {
                let wrong = values.iter().enumerate().filter(|(_, value)| !is_allowed(value));
                violations.extend(wrong.map(|(index, _)| Violation::NotAllowed(Some(index))));
                let most = self.max_items.filter(|most| values.len() as u64 > u64::from(*most));
                violations.extend(most.map(Violation::TooMany));
            }
            value if !is_allowed(value) => violations.push(Violation::NotAllowed(None)),
            _ => {}
        }
        let number = match value {
            // Whole numbers of a feature are at most 2^53, so they keep their value.
            Value::Integer(number) => Double::new(*number as f64),
            Value::Double(number) => Some(*number),
            _ => None,
        };
        if let Some(number) = number {
            violations.extend(self.minimum.filter(|minimum| number < *minimum).map(Violation::TooSmall));
            violations.extend(self.maximum.filter(|maximum| number > *maximum).map(Violation::TooLarge));
        }
        violations
    }

    /// Whether a value may keep `earlier` and not these. `false` is certain.
    pub fn may_be_tighter_than(&self, earlier: &Constraints) -> bool {
        let loses = |now: &[Value], before: &[Value]| {
            !now.is_empty() && (before.is_empty() || before.iter().any(|value| !now.contains(value)))
        };
        let rises = |now: Option<Double>, before: Option<Double>| now.is_some() && (before.is_none() || now > before);
        let falls = |now: Option<Double>, before: Option<Double>| now.is_some() && (before.is_none() || now < before);
        loses(&self.allowed_values, &earlier.allowed_values)
            || (self.pattern.is_some() && self.pattern != earlier.pattern)
            || rises(self.minimum, earlier.minimum)
            || falls(self.maximum, earlier.maximum)
            || self.max_items.is_some_and(|now| earlier.max_items.is_none_or(|before| now < before))
            || (self.json_schema.is_some() && self.json_schema != earlier.json_schema)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Type(expected) => write!(f, "must be {}", expected.article_and_name()),
            Violation::NotAllowed(None) => f.write_str("is none of the allowed values"),
            Violation::NotAllowed(Some(index)) => write!(f, "has an element at index {index} that is not allowed"),
            Violation::TooSmall(minimum) => write!(f, "must be at least {}", minimum.get()),
            Violation::TooLarge(maximum) => write!(f, "must be at most {}", maximum.get()),
            Violation::TooMany(most) => write!(f, "has more than {most} elements"),
        }
    }
}

impl ValueType {
    /// The type in the text of an error.
    fn article_and_name(self) -> &'static str {
        match self {
            ValueType::Boolean => "a boolean",
            ValueType::String => "a text",
            ValueType::Integer => "a whole number from -2^53 to 2^53",
            ValueType::Number => "a number",
            ValueType::Object => "an object",
            ValueType::StringList => "a list of texts",
        }
    }
}
