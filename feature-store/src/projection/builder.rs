//! Building a projection from its first event on. sled is several times faster when keys come in order, so events are
//! summed up in memory and written record by record, sorted.
//!
//! A crash half-way leaves records without the progress that belongs to them: the next start sees that and begins
//! again.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

use feature_core::{Event, Record, Scope};
use prost::Message;

use super::{PROGRESS_KEY, Progress, Projection, RECORD, failed, open_value, seal_value};
use crate::error::StoreError;
use crate::fold::Fold;
use crate::key;
use crate::store::FeatureStore;

/// The memory that records may take before they are written, in bytes.
pub(crate) const FOLD_BYTES: usize = 256 * 1024 * 1024;

/// Fills a projection that holds nothing yet.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    projection: &'a Projection,
    progress: Progress,
    fold: Fold,
    fold_bytes: usize,
    /// Whether some records are in the projection already.
    spilled: bool,
}

impl<'a> Builder<'a> {
    /// Records are written whenever they take `fold_bytes` of memory.
    pub(crate) fn new(projection: &'a Projection, fold_bytes: usize) -> Self {
        let progress = projection.progress().clone();
        Self { projection, progress, fold: Fold::default(), fold_bytes, spilled: false }
    }

    /// Adds the next event, once `check` has found nothing wrong with it and the record that it goes on from.
    ///
    /// # Errors
    /// Those of `check`, and [`StoreError`] when the projection fails.
    pub(crate) fn add<E: From<StoreError>>(
        &mut self,
        event: &Event,
        check: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = key::encode(&event.scope);
        let mut record = self.record(&key, &event.scope)?;
        check(&record)?;
        record.apply(event);
        self.fold.put(key, &record);
        self.progress.revision = event.revision;
        if self.fold.bytes() >= self.fold_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes what is left, and how far the journal is applied.
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

    fn record(&self, key: &[u8], scope: &Scope) -> Result<Record, StoreError> {
        match self.fold.record(key).map_err(|_| StoreError::DamagedRecord { scope: scope.clone() })? {
            Some(record) => Ok(record),
            None if self.spilled => self.projection.record(scope),
            None => Ok(Record::default()),
        }
    }

    /// Each core writes a part of its own, in the order of the keys.
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
            for thread in writing {
                let added = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                self.progress.checksums = self.progress.checksums.wrapping_add(added);
            }
            Ok::<_, StoreError>(())
        })?;
        self.spilled = true;
        Ok(())
    }
}

/// Writes records, letting go of each, and returns what they add to the sum of all checksums.
fn write(tree: &sled::Db, records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<u64, StoreError> {
    let mut added = 0_u64;
    for (scope, record) in records {
        let key = [&[RECORD], &*scope].concat();
        let (checksum, value) = seal_value(&key, &record);
        let replaced = tree.insert(&key, value).map_err(failed)?;
        let replaced = replaced.and_then(|old| open_value(&key, &old).map(|(checksum, _)| checksum));
        added = added.wrapping_add(checksum.into()).wrapping_sub(replaced.unwrap_or_default().into());
    }
    Ok(added)
}
