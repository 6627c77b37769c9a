//! What a level can set a feature to.

use std::collections::BTreeMap;

/// The value of a feature, or of a part of one.
///
/// Values are canonical: two values mean the same exactly when they are equal. A part of a [`Value::Message`]
/// that is at its default and cannot be told from an absent one is therefore left out of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// On or off.
    Flag(bool),
    /// A text.
    Text(String),
    /// Members of an enum by their numbers, in the order given.
    Numbers(Vec<i32>),
    /// Parts by their names.
    Message(BTreeMap<String, Value>),
}
