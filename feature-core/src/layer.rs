//! A layer: the features that one scope has set. A feature that is absent from the layer is inherited.

use std::collections::BTreeMap;

use crate::event::FeatureChange;
use crate::feature::FeatureKey;
use crate::value::Value;

/// The features that one scope has set. `false` is a value like any other; a feature that is not set is not in the
/// layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    values: BTreeMap<FeatureKey, Value>,
}

impl Layer {
    /// The value set for this key, if any.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The features that are set, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&FeatureKey, &Value)> {
        self.values.iter()
    }

    /// Applies changes: each feature gets its new value, or is removed.
    pub fn apply(&mut self, changes: &[FeatureChange]) {
        for change in changes {
            match &change.new {
                Some(value) => self.values.insert(change.key.clone(), value.clone()),
                None => self.values.remove(&change.key),
            };
        }
    }

    /// Takes changes back, the last one first: each feature gets its old value, or is removed.
    pub fn take_back(&mut self, changes: &[FeatureChange]) {
        for change in changes.iter().rev() {
            match &change.old {
                Some(value) => self.values.insert(change.key.clone(), value.clone()),
                None => self.values.remove(&change.key),
            };
        }
    }
}

impl FromIterator<(FeatureKey, Value)> for Layer {
    fn from_iter<I: IntoIterator<Item = (FeatureKey, Value)>>(values: I) -> Self {
        Self { values: values.into_iter().collect() }
    }
}
