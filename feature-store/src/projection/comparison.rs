//! A copy of a projection that is compared with the records of its journal.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use feature_core::Scope;
use uuid::Uuid;

use super::check::check;
use super::index;
use super::open_tree;
use super::stored::{Progress, RECORD, open_value, read_progress};
use crate::error::OpenError;
use crate::event_log::erasures::EmptiedRecords;
use crate::format::scope_key;
use crate::projection::guarded_open::catching_panics;
use crate::store::fold::Fold;
use crate::store::limits::SMALL_CACHE_BYTES;

/// A copy of a projection, checked.
#[derive(Debug)]
pub(crate) struct ProjectionCopy {
    tree: sled::Db,
    progress: Progress,
}

impl ProjectionCopy {
    /// Opens the projection in `folder`, which sled may change, and checks every value. The text of an error says why
    /// the projection is in doubt.
    pub(crate) fn open(folder: &Path, store: Uuid) -> Result<Self, String> {
        let opened = catching_panics(|| {
            let tree = open_tree(folder, SMALL_CACHE_BYTES)?;
            let progress = read_progress(&tree, store)?;
            check(&tree, &progress)?;
            Ok(Self { tree, progress })
        });
        opened.map_err(|error| match error {
            OpenError::Projection { reason } => reason,
            other => other.to_string(),
        })
    }

    /// The revision of the last event that it has.
    pub(crate) fn revision(&self) -> u64 {
        self.progress.revision
    }

    /// Compares the records of the scopes for which `concerns` holds with `fold`, which has the same scopes. The text
    /// of an error names the difference. `emptied`: records that have values here, and none in `fold`.
    pub(crate) fn compare(
        &self,
        fold: &Fold,
        emptied: &EmptiedRecords,
        concerns: impl Fn(&Scope) -> bool,
    ) -> Result<(), String> {
        let (mut records, mut expected, mut found) = (0, Sum::default(), Sum::default());
        for entry in self.tree.scan_prefix([RECORD]) {
            let (stored_key, value) = entry.map_err(|error| error.to_string())?;
            let scope = scope_key::decode(&stored_key[1..]).ok_or("it holds a record of no scope")?;
            if !concerns(&scope) {
                continue;
            }
            records += 1;
            if emptied.has(&stored_key[1..]) {
                continue;
            }
            let record = open_value(&stored_key, &value).map(|(_, body)| body);
            if record.is_none() || record != fold.stored(&stored_key[1..]) {
                return Err(format!("the record of {} is not the sum of its events", scope_key::describe(&scope)));
            }
            let names = record.map(|record| index::names(&stored_key[1..], record));
            let names = names.transpose().map_err(|_| "it holds a record that cannot be read")?;
            names.unwrap_or_default().iter().for_each(|name| expected.add(name, &stored_key[1..]));
        }
        if records != fold.len() {
            return Err("it lacks a record".to_owned());
        }
        for block in index::entries(&self.tree) {
            for (name, stored_scope) in block.map_err(|error| error.to_string())? {
                let scope = scope_key::decode(&stored_scope).ok_or("its index holds no scope")?;
                if concerns(&scope) && !emptied.has(&stored_scope) {
                    found.add(&name, &stored_scope);
                }
            }
        }
        if found == expected { Ok(()) } else { Err("its index is not that of its records".to_owned()) }
    }
}

/// What tells entries of an index from other ones, in any order: their number, and a sum of hashes.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    entries: u64,
    hashes: u64,
}

impl Sum {
    fn add(&mut self, name: &str, scope: &[u8]) {
        self.entries += 1;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((name, scope));
        self.hashes = self.hashes.wrapping_add(hash);
    }
}
