//! Building a projection from its first event on. sled is several times faster when keys come in order, so events are
//! summed up in memory and written record by record, sorted.
//!
//! A crash half-way leaves records without the progress that belongs to them: the next start sees that and begins
//! again.

use feature_core::{Event, Record};
use prost::Message;

use super::{PROGRESS_KEY, Progress, Projection, RECORD, failed, open_value, seal_value};
use crate::error::StoreError;
use crate::fold::Fold;
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
        let mut record = self.record(event)?;
        check(&record)?;
        record.apply(event);
        self.fold.put(&event.scope, &record);
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

    fn record(&self, event: &Event) -> Result<Record, StoreError> {
        let damaged = || StoreError::DamagedRecord { scope: event.scope.clone() };
        match self.fold.record(&event.scope).map_err(|_| damaged())? {
            Some(record) => Ok(record),
            None if self.spilled => self.projection.record(&event.scope),
            None => Ok(Record::default()),
        }
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        for (scope, record) in self.fold.take() {
            let key = [&[RECORD], &*scope].concat();
            let (checksum, value) = seal_value(&key, &record);
            let replaced = self.projection.tree.insert(&key, value).map_err(failed)?;
            let replaced = replaced.and_then(|old| open_value(&key, &old).map(|(checksum, _)| checksum));
            let sum = &mut self.progress.checksums;
            *sum = sum.wrapping_add(checksum.into()).wrapping_sub(replaced.unwrap_or_default().into());
        }
        self.spilled = true;
        Ok(())
    }
}
