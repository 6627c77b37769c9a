//! Filters of list methods: which items an answer has. They are a subset of [AIP-160](https://google.aip.dev/160).
//!
//! ```text
//! state = STATE_ACTIVE AND (labels.team:login OR owner = "the team*") AND NOT create_time < 2026-01-01T00:00:00Z
//! ```
//!
//! * A comparison is a field, one of `=`, `!=`, `<`, `<=`, `>`, `>=` and `:` (has), and a value. A word without a field
//!   is refused, since no search looks into all fields.
//! * `AND` or white space joins comparisons, `OR` binds tighter than `AND`, and `NOT` or `-` negates the comparison or
//!   the parenthesis behind it. `a=1 b=2 OR c=3` means `a=1 AND (b=2 OR c=3)`.
//! * A field has letters, digits and `_ - . /`, and does not begin with `-`.
//! * A value is a word of letters, digits and `_ - . / : + @ *`, or any text in double quotes. In quotes, `\"`, `\\`
//!   and `\*` stand for these characters. The words `AND`, `OR` and `NOT` are values only in quotes.
//!
//! What a comparison means depends on the [type](FieldType) of the field. With an absent field every comparison is
//! false but `!=`, which is the negation of `=`. `NOT` of a comparison that is false is true, also for an absent field.

mod condition;
mod parser;

use feature_core::Timestamp;

use self::condition::Condition;
use self::parser::Parser;

/// The maximum length of a filter. A filter with all its comparisons fits.
pub const MAX_BYTES: usize = 1_024;

/// The maximum number of comparisons. Each of them is made for each item of a list.
pub const MAX_COMPARISONS: usize = 32;

/// The maximum depth of parentheses and negations within each other. It bounds the recursion.
pub const MAX_DEPTH: usize = 8;

/// The type of a field, which decides what it can be compared with.
///
/// `field:*` works for all types: it is true when the field is present, and not an empty text or list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType<'t> {
    /// Compared by Unicode code points. A `*` at the end of a value of `=` and `!=` stands for any text. `:` means that
    /// the text contains the value, without regard to case; for the key of a map it means `=`.
    Text,
    /// A text that is one of these names. `:` means `=`, and nothing is less or greater.
    Enum(&'t [&'t str]),
    /// Compared with `true` and `false`. `:` means `=`, and nothing is less or greater.
    Flag,
    /// Compared with a time of RFC 3339, or with a date, which stands for its begin in UTC. `:` means `=`. A time
    /// outside of the years 1677 to 2262 counts as the nearest end of that range.
    Time,
    /// A list of texts, or the keys of a map. It has only `:`, which means that the value is one of the texts.
    Texts,
    /// The keys of features: as [`FieldType::Texts`], but without regard to case.
    Keys,
}

/// What a field of an item has, for [`Filter::matches`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<'a> {
    /// For [`FieldType::Text`] and [`FieldType::Enum`].
    Text(&'a str),
    /// For [`FieldType::Flag`].
    Flag(bool),
    /// For [`FieldType::Time`].
    Time(Timestamp),
    /// For [`FieldType::Texts`] and [`FieldType::Keys`].
    Texts(Vec<&'a str>),
    /// For all types: the item does not have the field.
    Absent,
}

/// A filter that has been read.
#[derive(Debug, Clone)]
pub struct Filter {
    root: Node,
}

/// Why a text is not a filter. The words follow the name of the field that has the filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at position {position}: {allowed}")]
pub struct FilterError {
    /// Where it is: an offset in the text, in bytes and counted from 0.
    pub position: usize,
    /// What is wrong.
    pub problem: String,
    /// What is allowed instead.
    pub allowed: String,
}

#[derive(Debug, Clone)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Condition { field: String, condition: Condition },
}

impl Filter {
    /// Reads a filter. An empty text matches everything.
    ///
    /// `fields`: the fields that the filter may compare. A name that ends with `.*`, such as `labels.*`, stands for the
    /// keys of a map: any name below it, of which [`Filter::matches`] asks for the whole, such as `labels.team`.
    ///
    /// # Errors
    /// [`FilterError`]: the text is not a filter, exceeds a limit, or compares a field with what its type does not
    /// have.
    pub fn parse(text: &str, fields: &[(&str, FieldType<'_>)]) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            let allowed = format!("at most {MAX_BYTES} bytes can be used");
            return Err(FilterError::new(MAX_BYTES, "is too long", allowed));
        }
        if text.trim().is_empty() {
            return Ok(Self { root: Node::All(Vec::new()) });
        }
        Ok(Self { root: Parser::new(text, fields).filter()? })
    }

    /// Whether an item matches. `field` returns the value of a field of the item; a value of another type than
    /// [`Filter::parse`] had for the field counts as absent.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Field<'a>) -> bool {
        self.root.matches(&field)
    }

    /// Whether an item can match, as far as its fields are known. `field` returns `None` for an unknown field.
    pub fn may_match<'a>(&self, field: impl Fn(&str) -> Option<Field<'a>>) -> bool {
        self.root.decide(&field) != Some(false)
    }

    /// The text that a field has in every item that matches, if the filter demands one: it is the text, or one of the
    /// texts of the field.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.root.required(field)
    }

    /// Whether the filter compares this field.
    pub fn uses(&self, field: &str) -> bool {
        self.root.uses(field)
    }
}

impl FilterError {
    fn new(position: usize, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { position, problem: problem.into(), allowed: allowed.into() }
    }
}

impl Node {
    fn matches<'a>(&self, field: &impl Fn(&str) -> Field<'a>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.matches(field)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(field)),
            Node::Not(node) => !node.matches(field),
            Node::Condition { field: name, condition } => condition.holds(&field(name)),
        }
    }

    /// `None` when it depends on fields that are not known.
    fn decide<'a>(&self, field: &impl Fn(&str) -> Option<Field<'a>>) -> Option<bool> {
        // One node that gives `alone` decides. If none does, the result is the opposite.
        let (nodes, alone) = match self {
            Node::All(nodes) => (nodes, false),
            Node::Any(nodes) => (nodes, true),
            Node::Not(node) => return node.decide(field).map(|holds| !holds),
            Node::Condition { field: name, condition } => return field(name).map(|value| condition.holds(&value)),
        };
        let mut all_known = true;
        for node in nodes {
            match node.decide(field) {
                Some(holds) if holds == alone => return Some(alone),
                Some(_) => {}
                None => all_known = false,
            }
        }
        all_known.then_some(!alone)
    }

    fn required(&self, field: &str) -> Option<&str> {
        match self {
            Node::All(nodes) => nodes.iter().find_map(|node| node.required(field)),
            Node::Condition {
                field: name,
                condition: Condition::Element(text) | Condition::Equal(text) | Condition::Key(text),
            } if name == field => Some(text),
            _ => None,
        }
    }

    fn uses(&self, field: &str) -> bool {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|node| node.uses(field)),
            Node::Not(node) => node.uses(field),
            Node::Condition { field: name, .. } => name == field,
        }
    }
}

#[cfg(test)]
mod tests;
