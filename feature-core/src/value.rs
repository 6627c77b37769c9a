//! The values that a level can set a feature to.

use std::cmp::Ordering;
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
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(Double),
    /// Values of any kinds, in order.
    List(Vec<Value>),
}

/// A number that equals itself: neither infinite nor NaN, and with one zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Double(f64);

impl Double {
    /// `None` for an infinite number and for NaN.
    pub fn new(number: f64) -> Option<Self> {
        // Adding zero makes the negative zero positive.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Double {}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Double {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
