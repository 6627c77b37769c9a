//! The index by features: which scopes set a feature. It is made of the records, so it can be thrown away with them.
//!
//! The scopes of a feature stand in blocks, in the order of their stored forms. A start reads all entries of sled,
//! which has a page for about a dozen of them: with an entry for each scope, the index would take as long to check as
//! the records.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_core::FeatureKey;
use prost::Message;
use sled::IVec;

use super::failed;
use super::stored::{open_value, seal_value};
use crate::error::StoreError;
use crate::format::encoding::{NotUnderstood, keys_of_record};
use crate::format::scope_key;
use crate::store::selection::Selection;

pub(super) const INDEX: u8 = b'x';

/// The most scopes of a block. A change writes its block anew.
const BLOCK_SCOPES: usize = 64;

const SEPARATOR: u8 = 0;

/// The scopes of a block, without the bytes that all of them begin with.
#[derive(Clone, PartialEq, Message)]
struct StoredBlock {
    #[prost(bytes = "vec", tag = "1")]
    beginning: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    rests: Vec<Vec<u8>>,
}

/// Whether a scope sets a feature from now on.
type Change = (Arc<[u8]>, bool);

/// What changes in the index, by the keys of features.
#[derive(Debug, Default)]
pub(super) struct IndexChanges(BTreeMap<String, Vec<Change>>);

/// A place where changes of blocks go: a key with its new value, or without one.
pub(super) type Put<'a> = &'a mut dyn FnMut(Vec<u8>, Option<Vec<u8>>) -> Result<(), StoreError>;

impl IndexChanges {
    /// Adds what a new record means.
    ///
    /// * `scope`: the stored form of its scope, which is added once only.
    /// * `old`, `new`: the stored records.
    pub(super) fn add(&mut self, scope: &[u8], old: Option<&[u8]>, new: &[u8]) -> Result<(), NotUnderstood> {
        let old = old.map(|old| names(scope, old)).transpose()?.unwrap_or_default();
        let (new, scope) = (names(scope, new)?, Arc::from(scope));
        for (names, others, sets) in [(&new, &old, true), (&old, &new, false)] {
            for name in names.iter().filter(|name| others.binary_search(name).is_err()) {
                self.0.entry(name.clone()).or_default().push((Arc::clone(&scope), sets));
            }
        }
        Ok(())
    }

    /// Adds changes of other scopes.
    pub(super) fn extend(&mut self, other: Self) {
        for (name, changes) in other.0 {
            self.0.entry(name).or_default().extend(changes);
        }
    }

    /// Puts the changed blocks. Returns what they add to the sum of all checksums.
    pub(super) fn write(self, tree: &sled::Db, put: Put<'_>) -> Result<u64, StoreError> {
        let mut added = 0_u64;
        for (name, mut changes) in self.0 {
            changes.sort();
            let prefix = prefix(&name);
            let mut changes = &changes[..];
            while let Some((first, _)) = changes.first() {
                let place = Place::of(tree, &prefix, first)?;
                let here = place
                    .end
                    .as_ref()
                    .map_or(changes.len(), |end| changes.partition_point(|(scope, _)| scope[..] < end[prefix.len()..]));
                added = added.wrapping_add(place.change(&prefix, &changes[..here], put)?);
                changes = &changes[here..];
            }
        }
        Ok(added)
    }
}

/// The part of a feature's scopes that a block has, or that has no block yet.
struct Place {
    block: Option<(IVec, IVec)>,
    /// The key of the next block.
    end: Option<IVec>,
}

impl Place {
    /// The place where a scope belongs.
    fn of(tree: &sled::Db, prefix: &[u8], scope: &[u8]) -> Result<Self, StoreError> {
        let block = block_of(tree, prefix, scope)?;
        let next = match &block {
            Some((key, _)) => tree.get_gt(key).map_err(failed)?,
            None => None,
        };
        let end = next.map(|(key, _)| key).filter(|key| key.starts_with(prefix));
        Ok(Self { block, end })
    }

    fn change(self, prefix: &[u8], changes: &[Change], put: Put<'_>) -> Result<u64, StoreError> {
        let mut added = 0_u64;
        let mut scopes = Vec::new();
        if let Some((key, value)) = self.block {
            let (checksum, known) = open_block(&key, &value)?;
            added = added.wrapping_sub(checksum.into());
            put(key.to_vec(), None)?;
            scopes.extend(known.into_iter().map(|scope| (Arc::from(scope), true)));
        }
        scopes.extend_from_slice(changes);
        // Stable: of a scope that is there already, the change comes second.
        scopes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let is_replaced = |index: usize| scopes.get(index + 1).is_some_and(|(next, _)| *next == scopes[index].0);
        let kept = (0..scopes.len()).filter(|index| scopes[*index].1 && !is_replaced(*index));
        let kept: Vec<_> = kept.map(|index| &*scopes[index].0).collect();
        let blocks = kept.len().div_ceil(BLOCK_SCOPES).max(1);
        for part in kept.chunks(kept.len().div_ceil(blocks).max(1)) {
            let key = [prefix, part[0]].concat();
            let (checksum, value) = seal_value(&key, &stored_block(part).encode_to_vec());
            added = added.wrapping_add(checksum.into());
            put(key, Some(value))?;
        }
        Ok(added)
    }
}

/// At most `limit` scopes that set a feature, in order.
///
/// * `beginning`: of the stored forms of the scopes.
/// * `after`: the stored form after which the scopes come.
pub(super) fn scopes(
    tree: &sled::Db,
    name: &str,
    beginning: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let prefix = prefix(name);
    let from = after.unwrap_or_default().max(beginning);
    let Some((first, _)) = block_of(tree, &prefix, from)? else { return Ok(Vec::new()) };
    let mut scopes = Vec::new();
    for block in tree.range(first..) {
        let (key, value) = block.map_err(failed)?;
        if !key.starts_with(&prefix) {
            break;
        }
        for scope in open_block(&key, &value)?.1 {
            if scope[..] < *from || after == Some(&scope[..]) {
                continue;
            }
            if scopes.len() == limit || !scope.starts_with(beginning) {
                return Ok(scopes);
            }
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// Every feature with a scope that sets it, in one block after another.
pub(super) fn entries(tree: &sled::Db) -> impl Iterator<Item = Result<Vec<(String, Vec<u8>)>, StoreError>> {
    tree.scan_prefix([INDEX]).map(|block| {
        let (key, value) = block.map_err(failed)?;
        let name = key[1..].split(|byte| *byte == SEPARATOR).next().unwrap_or_default();
        let name = str::from_utf8(name).map_err(|_| damaged())?;
        Ok(open_block(&key, &value)?.1.into_iter().map(|scope| (name.to_owned(), scope)).collect())
    })
}

/// The names under which a record stands in the index, in order: the features that it sets. A definition stands under
/// its key and its fields.
pub(super) fn names(scope: &[u8], record: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let keys = keys_of_record(record)?;
    Ok(match scope_key::key_of_definition(scope) {
        Some(_) if keys.is_empty() => keys,
        // A field's name begins with a character that comes before all letters.
        Some(key) => keys.iter().map(|field| name_of_field(field)).chain([key.to_owned()]).collect(),
        None => keys,
    })
}

/// The name under which all records of a selection stand, if there is one.
pub(super) fn name_of(selection: Selection<'_>) -> Option<String> {
    match selection {
        Selection::DefinitionsOf(_) => None,
        Selection::DefinitionsNamed(key) => Some(key.to_string()),
        Selection::DefinitionsWith(field) => Some(name_of_field(field.as_str())),
        Selection::Settings { feature, .. } => feature.map(FeatureKey::to_string),
    }
}

/// The name of a definition's field. The key of a feature has no such form.
fn name_of_field(field: &str) -> String {
    format!("={field}")
}

fn prefix(name: &str) -> Vec<u8> {
    [&[INDEX], name.as_bytes(), &[SEPARATOR]].concat()
}

/// The block that has a scope or would have it.
fn block_of(tree: &sled::Db, prefix: &[u8], scope: &[u8]) -> Result<Option<(IVec, IVec)>, StoreError> {
    let at = [prefix, scope].concat();
    let block = tree.range(prefix..=&at[..]).next_back().or_else(|| tree.scan_prefix(prefix).next());
    block.transpose().map_err(failed)
}

fn stored_block(scopes: &[&[u8]]) -> StoredBlock {
    let (first, last) = (scopes[0], scopes[scopes.len() - 1]);
    let common = first.iter().zip(last).take_while(|(one, other)| one == other).count();
    // All others stand between these two.
    StoredBlock {
        beginning: first[..common].to_vec(),
        rests: scopes.iter().map(|scope| scope[common..].to_vec()).collect(),
    }
}

/// The checksum and the scopes of a block.
fn open_block(key: &[u8], value: &[u8]) -> Result<(u32, Vec<Vec<u8>>), StoreError> {
    let (checksum, body) = open_value(key, value).ok_or_else(damaged)?;
    let StoredBlock { beginning, rests } = StoredBlock::decode(body).map_err(|_| damaged())?;
    Ok((checksum, rests.into_iter().map(|rest| [&beginning[..], &rest].concat()).collect()))
}

fn damaged() -> StoreError {
    StoreError::Projection { reason: "a block of its index fails its check".to_owned() }
}
