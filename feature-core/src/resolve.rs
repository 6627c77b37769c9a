//! Resolution: a pure fold over the layers, from the least to the most specific level.

use std::collections::BTreeMap;

use crate::feature::FeatureKey;
use crate::layer::Layer;
use crate::scope::Level;
use crate::value::Value;

/// The value that counts for a feature, and the level that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The value.
    pub value: &'a Value,
    /// The level whose layer has it.
    pub source: Level,
}

/// Resolves layers, given from the least to the most specific: the last layer that has a feature set wins.
///
/// A feature that no layer has set is absent from the answer; its default counts.
pub fn resolve<'a>(layers: impl IntoIterator<Item = (Level, &'a Layer)>) -> BTreeMap<&'a FeatureKey, Resolved<'a>> {
    let mut resolved = BTreeMap::new();
    for (source, layer) in layers {
        resolved.extend(layer.iter().map(|(key, value)| (key, Resolved { value, source })));
    }
    resolved
}
