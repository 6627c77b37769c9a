//! A patch: a Set request and its mask, turned into 'set this, unset that'.
//!
//! This file alone implements the rules of field masks (AIP-134, extended by unsetting).

use std::collections::BTreeMap;

use crate::event::FeatureChange;
use crate::feature::{FeatureKey, FeatureSet, Kind, Presence};
use crate::layer::Layer;
use crate::value::Value;

/// The mask path that names every feature of the level.
const EVERYTHING: &str = "*";

/// The changes that a Set request asks for, feature by feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    changes: BTreeMap<FeatureKey, Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Set(Value),
    Unset,
    /// Sets or removes parts of a message and keeps its other parts. `create` is true when at least one part is set;
    /// only then does the merge create a feature that the level has not set.
    Merge {
        parts: BTreeMap<String, Option<Value>>,
        create: bool,
    },
}

/// Why a Set request is not a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The request names no feature to set or unset.
    #[error("no changes: set at least one feature, or name the ones to unset in update_mask")]
    NoChanges,
    /// Paths of the mask that name no feature of the level, each with its position in the mask.
    #[error("the mask names unknown features")]
    UnknownPaths(Vec<(usize, String)>),
}

impl Patch {
    /// Reads a Set request as a patch.
    ///
    /// * `features`: the features of the level.
    /// * `present`: the features that the request carries. All of them are in `features`.
    /// * `mask`: the paths of the update mask; `None` when the request has no mask. An empty mask counts as no mask.
    ///
    /// Without a mask, the patch sets every present feature. With a mask, it changes exactly the masked features: it
    /// sets those that are present, unsets those that are absent, and ignores present features outside of the mask.
    ///
    /// # Errors
    /// [`PatchError::UnknownPaths`] when the mask names a feature that the level does not have;
    /// [`PatchError::NoChanges`] when the request names no feature.
    pub fn new(features: &FeatureSet, present: &Layer, mask: Option<&[String]>) -> Result<Self, PatchError> {
        let changes = match mask.filter(|paths| !paths.is_empty()) {
            None => present.iter().map(|(key, value)| (key.clone(), Change::Set(value.clone()))).collect(),
            Some(paths) => masked_changes(features, present, paths)?,
        };
        if changes.is_empty() { Err(PatchError::NoChanges) } else { Ok(Self { changes }) }
    }

    /// A patch that sets and unsets features by their keys. One that is in both is unset.
    pub fn exact(set: &Layer, unset: &[FeatureKey]) -> Self {
        let set = set.iter().map(|(key, value)| (key.clone(), Change::Set(value.clone())));
        Self { changes: set.chain(unset.iter().map(|key| (key.clone(), Change::Unset))).collect() }
    }

    /// The changes that this patch makes to `layer`. A feature that has the requested value already is not among them.
    pub fn changes_to(&self, layer: &Layer) -> Vec<FeatureChange> {
        let named = self.changes.iter().map(|(key, change)| {
            let old = layer.get(key.as_str());
            FeatureChange { key: key.clone(), old: old.cloned(), new: change.outcome(old) }
        });
        named.filter(|change| change.old != change.new).collect()
    }
}

impl Change {
    fn outcome(&self, old: Option<&Value>) -> Option<Value> {
        let (parts, create) = match self {
            Change::Set(value) => return Some(value.clone()),
            Change::Unset => return None,
            Change::Merge { parts, create } => (parts, *create),
        };
        let mut merged = match old {
            Some(Value::Message(parts)) => parts.clone(),
            _ if create => BTreeMap::new(),
            _ => return None,
        };
        for (name, part) in parts {
            match part {
                Some(value) => merged.insert(name.clone(), value.clone()),
                None => merged.remove(name),
            };
        }
        Some(Value::Message(merged))
    }
}

fn masked_changes(
    features: &FeatureSet,
    present: &Layer,
    paths: &[String],
) -> Result<BTreeMap<FeatureKey, Change>, PatchError> {
    let mut changes = BTreeMap::new();
    let mut unknown = Vec::new();
    for (position, path) in paths.iter().enumerate() {
        if path == EVERYTHING {
            for key in features.keys() {
                changes.insert(key.clone(), whole(key, present));
            }
        } else if features.kind(path).is_some() {
            let key = FeatureKey::from(path.as_str());
            changes.insert(key.clone(), whole(&key, present));
        } else if let Some((key, part, presence)) = part_of(features, path) {
            let message = match present.get(key) {
                Some(Value::Message(parts)) => Some(parts),
                _ => None,
            };
            let merge =
                changes.entry(key.into()).or_insert_with(|| Change::Merge { parts: BTreeMap::new(), create: false });
            // A path that names the whole feature, before or after this path, includes its parts.
            if let Change::Merge { parts, create } = merge {
                let value = message.and_then(|parts| parts.get(part));
                *create |= value.is_some() || (message.is_some() && presence == Presence::Implicit);
                parts.insert(part.to_owned(), value.cloned());
            }
        } else {
            unknown.push((position, path.clone()));
        }
    }
    if unknown.is_empty() { Ok(changes) } else { Err(PatchError::UnknownPaths(unknown)) }
}

fn whole(key: &FeatureKey, present: &Layer) -> Change {
    present.get(key.as_str()).map_or(Change::Unset, |value| Change::Set(value.clone()))
}

fn part_of<'p>(features: &FeatureSet, path: &'p str) -> Option<(&'p str, &'p str, Presence)> {
    let (key, part) = path.split_once('.')?;
    match features.kind(key)? {
        Kind::Message(parts) => Some((key, part, *parts.get(part)?)),
        Kind::Flag | Kind::EnumList => None,
    }
}
