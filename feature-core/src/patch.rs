//! A patch: a Set request and its mask, turned into 'set this, unset that'.
//!
//! The rules of field masks (AIP-134, with unsetting) live here and nowhere else.

use std::collections::BTreeMap;

use crate::event::FeatureChange;
use crate::feature::{FeatureKey, FeatureSet, Kind, Presence};
use crate::layer::Layer;
use crate::value::Value;

/// The mask path that names every feature of the level.
const EVERYTHING: &str = "*";

/// What a Set asks for, feature by feature. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    changes: BTreeMap<FeatureKey, Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Set(Value),
    Unset,
    /// Sets or removes parts of a message and keeps its other parts. Where the level has not set the feature,
    /// it does so only when `create` holds, which is when there is a part to set: removing one from nothing leaves
    /// nothing.
    Merge {
        parts: BTreeMap<String, Option<Value>>,
        create: bool,
    },
}

/// Why a Set request is no patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The request names no feature to set or to unset.
    #[error("no changes: set at least one feature, or name the ones to unset in update_mask")]
    NoChanges,
    /// The mask has paths that name no feature of the level: their positions in the mask, and they themselves.
    #[error("the mask names unknown features")]
    UnknownPaths(Vec<(usize, String)>),
}

impl Patch {
    /// Reads a Set request as a patch.
    ///
    /// * `features`: what exists on the level.
    /// * `present`: the features that the request carries. All of them belong to `features`.
    /// * `mask`: the paths of the update mask; `None` when the request has no mask. An empty mask counts as none.
    ///
    /// Without a mask every present feature is set. With one exactly the masked paths change: present ones are
    /// set, absent ones unset, and a present feature outside of the mask is ignored.
    ///
    /// # Errors
    /// [`PatchError::UnknownPaths`] when the mask names what the level does not have, and
    /// [`PatchError::NoChanges`] when nothing at all is named.
    pub fn new(features: &FeatureSet, present: &Layer, mask: Option<&[String]>) -> Result<Self, PatchError> {
        let changes = match mask.filter(|paths| !paths.is_empty()) {
            None => present.iter().map(|(key, value)| (key.clone(), Change::Set(value.clone()))).collect(),
            Some(paths) => masked_changes(features, present, paths)?,
        };
        if changes.is_empty() { Err(PatchError::NoChanges) } else { Ok(Self { changes }) }
    }

    /// What this patch would change in `layer`: nothing for a feature that already is as asked.
    pub fn changes_to(&self, layer: &Layer) -> Vec<FeatureChange> {
        self.changes
            .iter()
            .map(|(key, change)| {
                let old = layer.get(key.as_str());
                FeatureChange { key: key.clone(), old: old.cloned(), new: change.outcome(old) }
            })
            .filter(|change| change.old != change.new)
            .collect()
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
            // A path that names the whole feature, before or after this one, covers its parts.
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
