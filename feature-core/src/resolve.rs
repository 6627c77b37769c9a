//! Resolution: a pure fold over the layers, from the least to the most specific level.

use std::collections::BTreeMap;

use crate::feature::FeatureKey;
use crate::layer::Layer;
use crate::scope::Level;
use crate::value::Value;

/// The effective value of a feature, and the level that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The value.
    pub value: &'a Value,
    /// The level that set the value.
    pub source: Level,
}

/// Resolves layers, which are given from the least to the most specific. The last layer that sets a feature wins.
///
/// A feature that no layer sets is absent from the result and has its default.
pub fn resolve<'a>(layers: impl IntoIterator<Item = (Level, &'a Layer)>) -> BTreeMap<&'a FeatureKey, Resolved<'a>> {
    let mut resolved = BTreeMap::new();
    for (source, layer) in layers {
        resolved.extend(layer.iter().map(|(key, value)| (key, Resolved { value, source })));
    }
    resolved
}
