//! Definitions: what a feature is that its users have made themselves.
//!
//! A definition is a layer like any other: each of its fields is an entry of the layer of [`Scope::Definition`], under
//! the field's name in the protobuf message. So it is patched, recorded and read back like settings, its sequence is
//! its version, and its history names the fields that changed. Here are the fields that decide about values; all
//! others, such as the description, only pass through.
//!
//! [`Scope::Definition`]: crate::Scope::Definition

mod constraints;
mod fields;

use std::collections::{BTreeMap, BTreeSet};

use crate::scope::Level;
use crate::value::Value;

pub use constraints::{Constraints, Violation};
pub use fields::DefinitionError;

/// The greatest whole number that every JSON reader can represent; its negative is the least.
pub const INTEGER_MAX: i64 = 1 << 53;

/// The type of a feature's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// On or off.
    Boolean,
    /// A text.
    String,
    /// A whole number from −2^53 to 2^53, which every JSON reader can represent.
    Integer,
    /// A number.
    Number,
    /// A JSON object.
    Object,
    /// Texts, in order.
    StringList,
}

/// Who may read a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Servers only.
    ServerOnly,
    /// Browsers and users as well.
    Client,
}

/// The state of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In use.
    Active,
    /// In use, and on its way out.
    Deprecated,
    /// Out of use: it cannot be set and is not read. Its values stay.
    Archived,
    /// As archived, and its values are removed some time later.
    Deleted,
}

/// What a feature is, as far as its values are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The type of its values, which stays once a value was set.
    pub value_type: ValueType,
    /// What values have to be besides being of this type.
    pub constraints: Constraints,
    /// The value where no level sets one.
    pub default_value: Value,
    /// Values with names.
    pub variants: BTreeMap<String, Value>,
    /// The levels that may set it; empty for all.
    pub levels: BTreeSet<Level>,
    /// Who may read it.
    pub visibility: Visibility,
    /// Its state.
    pub state: State,
    /// Whether its constraints became tighter once, so that a value may break them that was valid when it was set.
    pub tightened: bool,
}

impl ValueType {
    /// Whether a value is of this type.
    pub fn includes(self, value: &Value) -> bool {
        match (self, value) {
            (ValueType::Boolean, Value::Flag(_))
            | (ValueType::String, Value::Text(_))
            | (ValueType::Number, Value::Double(_))
            | (ValueType::Object, Value::Message(_)) => true,
            (ValueType::Integer, Value::Integer(number)) => (-INTEGER_MAX..=INTEGER_MAX).contains(number),
            (ValueType::StringList, Value::List(values)) => values.iter().all(|value| matches!(value, Value::Text(_))),
            _ => false,
        }
    }
}

impl Definition {
    /// Whether the feature can be set and read.
    pub fn is_in_use(&self) -> bool {
        matches!(self.state, State::Active | State::Deprecated)
    }

    /// Whether this level may set the feature.
    pub fn may_be_set_on(&self, level: Level) -> bool {
        self.levels.is_empty() || self.levels.contains(&level)
    }

    /// What is wrong with a value of the feature: its type, or else every constraint that it does not keep.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        if !self.value_type.includes(value) {
            return vec![Violation::Type(self.value_type)];
        }
        self.constraints.violations(value)
    }
}
