//! What a comparison requires of the value of its field.

use std::cmp::Ordering;

use feature_core::Timestamp;

use super::{Field, FieldType, FilterError};

/// The most characters of a filter that an error repeats.
const MAX_SHOWN_CHARACTERS: usize = 40;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A condition that the value of a field fulfils or not.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Present,
    Flag(bool),
    Time(fn(Ordering) -> bool, Timestamp),
    Text(fn(Ordering) -> bool, String),
    Equal(String),
    Prefix(String),
    /// The text is in lower case.
    Contains(String),
    Element(String),
    Key(String),
}

/// A comparison as the filter has it.
pub(super) struct Comparison<'p> {
    pub field: &'p str,
    pub field_type: FieldType<'p>,
    pub is_map_key: bool,
    pub operator: Operator,
    pub symbol: &'static str,
    pub symbol_position: usize,
    pub value: Value,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Order(fn(Ordering) -> bool),
    Has,
}

/// The value of a comparison, without quotes and escapes.
pub(super) struct Value {
    pub text: String,
    pub position: usize,
    /// The offset in `text` of the first `*` that is not escaped.
    pub star: Option<usize>,
}

impl Condition {
    /// The condition of a comparison. For `!=` it is that of `=`, and the caller negates it.
    pub(super) fn new(comparison: &Comparison<'_>) -> Result<Self, FilterError> {
        comparison.check_operator()?;
        let value = &comparison.value;
        let relation = match comparison.operator {
            Operator::Order(relation) => relation,
            Operator::Equal | Operator::NotEqual | Operator::Has => Ordering::is_eq,
        };
        Ok(match (comparison.field_type, comparison.operator) {
            (_, Operator::Has) if value.star.is_some() && value.text == "*" => Condition::Present,
            (FieldType::Text, Operator::Order(_)) => Condition::Text(relation, value.literal()?),
            (FieldType::Text, Operator::Has) if !comparison.is_map_key => Condition::Contains(lower(&value.literal()?)),
            (FieldType::Text, _) => match value.text.strip_suffix('*') {
                Some(prefix) if value.star == Some(prefix.len()) => Condition::Prefix(prefix.to_owned()),
                _ => Condition::Equal(value.literal()?),
            },
            (FieldType::Enum(names), _) if names.contains(&value.text.as_str()) => Condition::Equal(value.text.clone()),
            (FieldType::Enum(names), _) => return Err(value.refused(&format!("{} can be used", names.join(", ")))),
            (FieldType::Flag, _) => {
                Condition::Flag(value.text.parse().map_err(|_| value.refused("true, false can be used"))?)
            }
            (FieldType::Time, _) => {
                let refused = || value.refused("a time of RFC 3339 can be used, such as 2026-01-31T12:00:00Z");
                Condition::Time(relation, time(&value.text).ok_or_else(refused)?)
            }
            (FieldType::Texts, _) => Condition::Element(value.literal()?),
            (FieldType::Keys, _) => Condition::Key(value.literal()?),
        })
    }

    pub(super) fn holds(&self, value: &Field<'_>) -> bool {
        match (self, value) {
            (Condition::Present, Field::Text(text)) => !text.is_empty(),
            (Condition::Present, Field::Texts(texts)) => !texts.is_empty(),
            (Condition::Present, Field::Flag(_) | Field::Time(_)) => true,
            (Condition::Flag(wanted), Field::Flag(flag)) => flag == wanted,
            (Condition::Time(relation, wanted), Field::Time(time)) => relation(time.cmp(wanted)),
            (Condition::Text(relation, wanted), Field::Text(text)) => relation(text.cmp(&wanted.as_str())),
            (Condition::Equal(wanted), Field::Text(text)) => text == wanted,
            (Condition::Prefix(wanted), Field::Text(text)) => text.starts_with(wanted),
            (Condition::Contains(wanted), Field::Text(text)) => lower(text).contains(wanted),
            (Condition::Element(wanted), Field::Texts(texts)) => texts.contains(&wanted.as_str()),
            (Condition::Key(wanted), Field::Texts(texts)) => texts.iter().any(|text| text.eq_ignore_ascii_case(wanted)),
            _ => false,
        }
    }
}

impl Comparison<'_> {
    fn check_operator(&self) -> Result<(), FilterError> {
        let allowed = match (self.field_type, self.operator) {
            (FieldType::Text | FieldType::Time, _) | (_, Operator::Has) => return Ok(()),
            (FieldType::Enum(_) | FieldType::Flag, Operator::Equal | Operator::NotEqual) => return Ok(()),
            (FieldType::Enum(_) | FieldType::Flag, Operator::Order(_)) => "=, !=, : can be used",
            (FieldType::Texts | FieldType::Keys, _) => "only : can be used",
        };
        let problem = format!("compares {} with '{}'", shown(self.field), self.symbol);
        Err(FilterError::new(self.symbol_position, problem, allowed))
    }
}

impl Value {
    /// The text, unless a `*` stands where it would have to be a wildcard, which only the end of a prefix can be.
    fn literal(&self) -> Result<String, FilterError> {
        match self.star {
            None => Ok(self.text.clone()),
            Some(_) => {
                let problem = format!("has a '*' in the value {}", shown(&self.text));
                let allowed = "it can be the end of the value of = and !=, or the whole value of :; \
                               as a character of the value it is \\* in double quotes";
                Err(FilterError::new(self.position, problem, allowed))
            }
        }
    }

    fn refused(&self, allowed: &str) -> FilterError {
        FilterError::new(self.position, format!("has the value {}", shown(&self.text)), allowed)
    }
}

/// A part of the filter for an error: it may be long, and have control characters.
pub(super) fn shown(part: &str) -> String {
    let mut shown = String::new();
    for character in part.chars().take(MAX_SHOWN_CHARACTERS) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    let end = if part.chars().nth(MAX_SHOWN_CHARACTERS).is_some() { "…" } else { "" };
    format!("'{shown}{end}'")
}

/// Each character by itself: the lower case of a whole text has another sigma at the end of words.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn time(text: &str) -> Option<Timestamp> {
    let time: prost_types::Timestamp = text.parse().ok()?;
    let nanos = i128::from(time.seconds) * NANOS_PER_SECOND + i128::from(time.nanos);
    Some(Timestamp::from_unix_nanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64))
}
