//! The base of a log: the records up to a revision, from which a new replica begins, and without which no entry may be
//! dropped. Replicas bring it forward in turns, from the log itself and not from their views.

use std::collections::BTreeMap;

use feature_core::{Erasure, Record, Timestamp};

use super::Replica;
use super::page::Page;
use crate::engine::{BaseRecord, Engine, Entry, Head, Position, is_last_page};
use crate::error::StoreError;
use crate::format::encoding::{decode_record, encode_record};
use crate::format::scope_key;

/// The most entries of a step: writers wait while a step is written. In tests so few that steps end within batches.
const STEP: usize = if cfg!(test) { 5 } else { 1_000 };

impl Replica {
    /// The revision up to which the base has all events.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    pub fn base_revision(&self) -> Result<u64, StoreError> {
        Ok(self.engine.head()?.folded)
    }

    /// Brings the base of the log forward by one step. Returns whether there is more to do. Any replica may do it; of
    /// those that do it at once, one succeeds.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::NotUnderstood`]; [`StoreError::LogBroken`];
    /// [`StoreError::BaseDamaged`].
    pub fn bring_base_forward(&self) -> Result<bool, StoreError> {
        let is_more = fold(&*self.engine, |erasures, at| self.erase(erasures, at))?;
        Ok(is_more)
    }

    /// Drops the oldest entries of the log that are before this time and in the base, at most those of a step. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// As for [`Replica::bring_base_forward`].
    pub fn drop_old_entries(&self, before: Timestamp) -> Result<bool, StoreError> {
        drop_entries(&*self.engine, before)
    }
}

/// `erase`: carries out the erasures that the base has after this step.
fn fold(
    engine: &dyn Engine,
    erase: impl FnOnce(&[Erasure], Position) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let Head { folded, end, .. } = engine.head()?;
    if end.revision <= folded {
        return Ok(false);
    }
    let Page { entries, is_last } = Page::read(engine, folded + 1, STEP)?;
    let first = entries.first().filter(|first| first.position.revision == folded + 1);
    let (Some(_), Some(last)) = (first, entries.last()) else {
        // Another replica has folded and dropped them meanwhile, or they are lost.
        let is_lost = engine.head()?.folded == folded;
        return if is_lost { Err(StoreError::LogBroken { revision: folded + 1 }) } else { Ok(true) };
    };
    if let Some(pair) = entries.windows(2).find(|pair| !pair[0].position.is_followed_by(&pair[1])) {
        return Err(StoreError::LogBroken { revision: pair[1].position.revision });
    }
    let to = last.position;
    let events = entries.iter().map(Entry::event).collect::<Result<Vec<_>, _>>()?;
    let erasures: Vec<_> = events.iter().filter_map(Erasure::of).collect();
    let at = entries.iter().rfind(|entry| erasures.last().is_some_and(|last| last.revision == entry.position.revision));
    if let Some(at) = at {
        erase(&erasures, at.position)?;
    }
    let mut records: BTreeMap<Vec<u8>, (u64, Record)> =
        events.iter().map(|event| (scope_key::encode(&event.scope), Default::default())).collect();
    let keys: Vec<&[u8]> = records.keys().map(Vec::as_slice).collect();
    for BaseRecord { key, revision, body } in engine.base_of(&keys)? {
        let record = decode_record(&body).map_err(|_| StoreError::BaseDamaged { revision })?;
        records.insert(key, (revision, record));
    }
    for event in &events {
        let (revision, record) = records.get_mut(&scope_key::encode(&event.scope)).expect("each scope has its record");
        if event.revision > *revision {
            record.apply(event);
            *revision = event.revision;
        }
    }
    let rows = records.into_iter().map(|(key, (revision, record))| {
        let body = encode_record(&record);
        BaseRecord { key, revision, body }
    });
    engine.fold(folded, to, &rows.collect::<Vec<_>>())?;
    Ok(!is_last)
}

fn drop_entries(engine: &dyn Engine, before: Timestamp) -> Result<bool, StoreError> {
    let Head { kept_from, folded, .. } = engine.head()?;
    let mut old = None;
    let entries = engine.read(kept_from, STEP)?;
    for entry in entries.iter().take_while(|entry| entry.position.revision <= folded) {
        if entry.event()?.time >= before {
            break;
        }
        old = Some(entry.position.revision);
    }
    let Some(up_to) = old else { return Ok(false) };
    engine.drop_entries(up_to)?;
    Ok(!is_last_page(&entries, STEP))
}
