//! Building a projection from the first event on. sled is several times faster with keys in order, so events are folded
//! in memory and their records are written in the order of their keys, a part by each core.
//!
//! A crash half-way leaves records without their progress. The next start clears them and begins again.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::{mem, thread};

use feature_core::{Event, Record};
use prost::Message;

use super::index::IndexChanges;
use super::stored::{PROGRESS_KEY, Progress, RECORD, open_value, seal_value};
use super::{Projection, failed};
use crate::engine::{BaseRecord, Chain};
use crate::error::StoreError;
use crate::format::scope_key;
use crate::store::FeatureStore;
use crate::store::fold::Fold;

/// The memory that records may take before they are written to sled, in bytes.
pub(crate) const FOLD_BYTES: usize = 256 * 1024 * 1024;

/// Fills a projection that is empty, or has the records of a base.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    projection: &'a Projection,
    progress: Progress,
    fold: Fold,
    fold_bytes: usize,
    /// Whether some records are in the projection already.
    spilled: bool,
    /// The records of a base that have events after its revision: the key, and the revision of the last one.
    ahead: HashMap<Vec<u8>, u64>,
}

impl<'a> Builder<'a> {
    /// Records are written whenever they take `fold_bytes` of memory.
    pub(crate) fn new(projection: &'a Projection, fold_bytes: usize) -> Self {
        let progress = projection.progress().clone();
        let spilled = progress.revision > 0;
        Self { projection, progress, fold: Fold::default(), fold_bytes, spilled, ahead: HashMap::new() }
    }

    /// Adds a record of a base.
    ///
    /// # Errors
    /// [`StoreError`] when the projection fails.
    pub(crate) fn put(&mut self, record: BaseRecord) -> Result<(), StoreError> {
        let BaseRecord { key, revision, body } = record;
        if revision > self.progress.revision {
            self.ahead.insert(key.clone(), revision);
        }
        self.fold.put(key, body);
        self.spill_if_full()
    }

    /// Begins with a base of this revision: the next event is the one after it.
    pub(crate) fn begin_at(&mut self, revision: u64) {
        self.progress.revision = revision;
    }

    /// Adds the next event of a journal. It continues its scope's history: it was decided, or checked by an import.
    ///
    /// # Errors
    /// [`StoreError`] when the projection fails.
    pub(crate) fn add(&mut self, event: &Event) -> Result<(), StoreError> {
        let may_be_written = self.spilled && !event.is_first();
        self.add_onto(may_be_written, event, |_| Ok(()))
    }

    /// Adds the next event of an import, after `check` has accepted it together with the record that it continues.
    ///
    /// # Errors
    /// Those of `check`, and [`StoreError`] when the projection fails.
    pub(crate) fn add_checked<E: From<StoreError>>(
        &mut self,
        event: &Event,
        check: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        self.add_onto(self.spilled, event, check)
    }

    /// `may_be_written`: whether a record of the scope may be in the projection already.
    fn add_onto<E: From<StoreError>>(
        &mut self,
        may_be_written: bool,
        event: &Event,
        check: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = scope_key::encode(&event.scope);
        self.progress.revision = event.revision;
        if self.ahead.get(&key).is_some_and(|last| event.revision <= *last) {
            return Ok(());
        }
        let in_memory = self.fold.record(&key).map_err(|_| StoreError::DamagedRecord { scope: event.scope.clone() })?;
        let record = match in_memory {
            Some(record) => record,
            None if may_be_written => self.projection.record(&event.scope)?,
            None => Record::default(),
        };
        check(&record)?;
        self.fold.apply(key, record, event);
        Ok(self.spill_if_full()?)
    }

    fn spill_if_full(&mut self) -> Result<(), StoreError> {
        if self.fold.bytes() >= self.fold_bytes { self.spill() } else { Ok(()) }
    }

    /// The chain after the events so far.
    pub(crate) fn set_chain(&mut self, chain: Option<Chain>) {
        self.progress.chain = chain.map_or_else(Vec::new, |chain| chain.as_bytes().to_vec());
    }

    /// Writes the remaining records, and the progress.
    ///
    /// # Errors
    /// [`StoreError`] when the projection fails.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        self.spill()?;
        let progress = seal_value(PROGRESS_KEY, &self.progress.encode_to_vec()).1;
        self.projection.tree.insert(PROGRESS_KEY, progress).map_err(failed)?;
        *self.projection.progress() = self.progress;
        Ok(())
    }

    /// Writes the records in memory. Each core writes a part of its own.
    fn spill(&mut self) -> Result<(), StoreError> {
        let mut records = self.fold.take();
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let share = records.len().div_ceil(cores);
        let tree = &self.projection.tree;
        thread::scope(|scope| {
            let mut writing = Vec::new();
            while !records.is_empty() {
                let part = records.split_off(records.len().saturating_sub(share));
                writing.push(scope.spawn(move || write(tree, part)));
            }
            let mut index = IndexChanges::default();
            for part in writing {
                let (added, changes) = part.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                self.progress.checksums = self.progress.checksums.wrapping_add(added);
                index.extend(changes);
            }
            let added = index.write(tree, &mut |key, value| {
                let written = match value {
                    Some(value) => tree.insert(key, value),
                    None => tree.remove(key),
                };
                written.map(drop).map_err(failed)
            })?;
            self.progress.checksums = self.progress.checksums.wrapping_add(added);
            Ok::<_, StoreError>(())
        })?;
        self.spilled = true;
        Ok(())
    }
}

fn damaged(scope: &[u8]) -> StoreError {
    let scope = scope_key::decode(scope)
        .map_or_else(|| "a scope of no known form".to_owned(), |scope| scope_key::describe(&scope));
    StoreError::Projection { reason: format!("the record of {scope} cannot be read back") }
}

/// Writes sorted records. Returns what they add to the sum of all checksums, and what they change in the index.
///
/// sled splits a leaf that gets its 17th record into leaves of 9 and 8. Records written in order into an empty tree
/// would leave 9 in each leaf. So three of five neighbours are written first, and the two between them in a second
/// pass, which splits no leaf: each has 15, and fewer bytes are written. In a tree that is not empty this does no harm.
fn write(tree: &sled::Db, mut records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(u64, IndexChanges), StoreError> {
    let (mut added, mut index) = (0_u64, IndexChanges::default());
    for places in [&[0, 2, 4][..], &[1, 3]] {
        for (_, entry) in records.iter_mut().enumerate().filter(|(index, _)| places.contains(&(index % 5))) {
            // A written record frees its memory at once.
            let (scope, record) = mem::take(entry);
            let key = [&[RECORD], &*scope].concat();
            let (checksum, value) = seal_value(&key, &record);
            let replaced = tree.insert(&key, value).map_err(failed)?;
            let replaced = replaced.as_ref().and_then(|old| open_value(&key, old));
            let old = replaced.map(|(_, body)| body);
            index.add(&scope, old, &record).map_err(|_| damaged(&scope))?;
            let replaced = replaced.map_or(0, |(checksum, _)| checksum);
            added = added.wrapping_add(checksum.into()).wrapping_sub(replaced.into());
        }
    }
    Ok((added, index))
}
