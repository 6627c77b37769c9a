//! The values that a level can set a feature to.

use std::collections::BTreeMap;

/// The value of a feature, or of a part of a feature.
///
/// Values are canonical: two values mean the same exactly when they are equal. A part of a [`Value::Message`] that is
/// at its default and cannot be distinguished from an absent part is therefore not in the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// On or off.
    Flag(bool),
    /// A text.
    Text(String),
    /// Members of an enum by their numbers, in the order of the request.
    Numbers(Vec<i32>),
    /// Parts by name.
    Message(BTreeMap<String, Value>),
}
