//! The features that exist on a level. The lists themselves come from the protobuf descriptors, never from this file.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The key of a feature: its field name in the protobuf messages. A feature has the same key on all levels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureKey(Arc<str>);

impl FeatureKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FeatureKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl Borrow<str> for FeatureKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FeatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of value that a feature takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Flag,
    /// A list of enum members. An empty list counts as absent.
    EnumList,
    /// A message with these parts. A mask can name each part.
    Message(BTreeMap<String, Presence>),
}

/// Whether a message can be without a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It can. An absent part differs from a part at its default.
    Explicit,
    /// It cannot. A message without the part has the part at its default.
    Implicit,
}

/// The features of one level with their kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureSet {
    kinds: BTreeMap<FeatureKey, Kind>,
}

impl FeatureSet {
    /// The kind of the feature with this key, if the level has the feature.
    pub fn kind(&self, key: &str) -> Option<&Kind> {
        self.kinds.get(key)
    }

    /// The keys of the level, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &FeatureKey> {
        self.kinds.keys()
    }
}

impl FromIterator<(FeatureKey, Kind)> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = (FeatureKey, Kind)>>(features: I) -> Self {
        Self { kinds: features.into_iter().collect() }
    }
}
