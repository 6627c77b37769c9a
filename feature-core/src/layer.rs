//! A layer: what one scope has set, and only that. A feature that is absent here is inherited.

use std::collections::BTreeMap;

use crate::event::FeatureChange;
use crate::feature::FeatureKey;
use crate::value::Value;

/// The features that one scope has set. Presence is membership: `false` is a value, absent is not.
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

    /// The features set, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&FeatureKey, &Value)> {
        self.values.iter()
    }

    /// Carries out changes: each key gets its new value, or becomes absent.
    pub fn apply(&mut self, changes: &[FeatureChange]) {
        for change in changes {
            match &change.new {
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
