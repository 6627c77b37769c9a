//! Reads the records of a selection.

use std::ops::Bound;
use std::sync::PoisonError;

use feature_core::Scope;

use super::stored::{RECORD, record_key};
use super::{Projection, failed, index, open_record};
use crate::error::StoreError;
use crate::format::scope_key;
use crate::store::selection::{Selected, Selection};

/// The bytes of stored records after which a read ends. Records take some times as much in memory.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most scopes that are read from the index at once.
const MAX_SCOPES: usize = 10_000;

/// A read that looks at one record after the other.
struct Reading<'a> {
    selection: Selection<'a>,
    limit: usize,
    seen: usize,
    bytes: usize,
    selected: Selected,
}

impl Projection {
    /// The records of a selection that stand under a name in the index.
    pub(super) fn select_named(
        &self,
        selection: Selection<'_>,
        name: &str,
        after: Option<&Scope>,
        limit: usize,
    ) -> Result<Selected, StoreError> {
        let (beginning, after) = (scope_key::prefix(selection), after.map(scope_key::encode));
        let limit = limit.min(MAX_SCOPES);
        let keys = {
            let _no_batch = self.indexing.read().unwrap_or_else(PoisonError::into_inner);
            index::scopes(&self.tree, name, &beginning, after.as_deref(), limit)?
        };
        let mut reading = Reading::new(selection, limit);
        for key in keys {
            let key = [&[RECORD], &*key].concat();
            let value = self.tree.get(&key).map_err(failed)?;
            if reading.look_at(&key, value.as_deref())? {
                break;
            }
        }
        Ok(reading.selected)
    }

    /// The records of a selection that stand together.
    pub(super) fn select_in_order(
        &self,
        selection: Selection<'_>,
        after: Option<&Scope>,
        limit: usize,
    ) -> Result<Selected, StoreError> {
        let prefix = [vec![RECORD], scope_key::prefix(selection)].concat();
        let from = after.map_or(Bound::Included(prefix.clone()), |after| Bound::Excluded(record_key(after)));
        let mut reading = Reading::new(selection, limit);
        for stored in self.tree.range((from, Bound::Unbounded)) {
            let (key, value) = stored.map_err(failed)?;
            if !key.starts_with(&prefix) || reading.look_at(&key, Some(&value))? {
                break;
            }
        }
        Ok(reading.selected)
    }
}

impl<'a> Reading<'a> {
    fn new(selection: Selection<'a>, limit: usize) -> Self {
        Self { selection, limit, seen: 0, bytes: 0, selected: Selected::default() }
    }

    /// Looks at a stored record, or at the lack of one. Returns whether the read ends with it.
    fn look_at(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, StoreError> {
        self.seen += 1;
        self.bytes += value.map_or(0, <[u8]>::len);
        let ends = self.seen >= self.limit || self.bytes >= MAX_BYTES;
        // A newer version may have written a scope that this one does not know: the read goes on behind it.
        let Some(scope) = scope_key::decode(&key[1..]) else { return Ok(false) };
        if ends {
            self.selected.next_after = Some(scope.clone());
        }
        if let Some(value) = value {
            let record = open_record(&scope, key, value)?;
            if self.selection.includes(&scope, &record) {
                self.selected.records.push((scope, record));
            }
        }
        Ok(ends)
    }
}
