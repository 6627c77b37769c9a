//! Reads the records of a selection.

use std::ops::Bound;

use feature_core::Scope;

use super::stored::{RECORD, record_key};
use super::{Projection, failed, index, open_record};
use crate::error::StoreError;
use crate::format::scope_key;
use crate::store::FeatureStore;
use crate::store::selection::{Selected, Selection};

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
        let keys = index::scopes(&self.tree, name, &beginning, after.as_deref(), limit)?;
        let scopes: Vec<_> = keys.iter().filter_map(|key| scope_key::decode(key)).collect();
        let next_after = (keys.len() == limit).then(|| scopes.last().cloned()).flatten();
        let mut records = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let record = self.record(&scope)?;
            if selection.includes(&scope, &record) {
                records.push((scope, record));
            }
        }
        Ok(Selected { records, next_after })
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
        let mut selected = Selected::default();
        for (index, stored) in self.tree.range((from, Bound::Unbounded)).enumerate() {
            let (key, value) = stored.map_err(failed)?;
            if !key.starts_with(&prefix) {
                break;
            }
            let Some(scope) = scope_key::decode(&key[1..]) else { continue };
            let record = open_record(&scope, &key, &value)?;
            let is_last = index + 1 == limit;
            if is_last {
                selected.next_after = Some(scope.clone());
            }
            if selection.includes(&scope, &record) {
                selected.records.push((scope, record));
            }
            if is_last {
                break;
            }
        }
        Ok(selected)
    }
}
