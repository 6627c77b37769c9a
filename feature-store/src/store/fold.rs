//! Folding events into records: a few events onto the records of a store, which makes a [`Batch`], and a whole history
//! in memory, which makes a projection or checks one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use feature_core::{Event, FeatureKey, Record, Scope, Value};

use super::FeatureStore;
use super::batch::Batch;
use super::limits::{COMMENT_MAX_BYTES, VALUE_MAX_BYTES, VALUE_MAX_DEPTH};
use super::selection::{Selected, Selection};
use crate::error::StoreError;
use crate::format::encoding::{NotUnderstood, decode_record, encode_record, value_bytes};

/// The memory that an event takes beside its values, at most roughly.
const EVENT_BYTES: usize = 1024;

/// The memory that a record of a [`Fold`] takes beside its bytes, roughly.
const ENTRY_BYTES: usize = 96;

/// Makes a batch for a store. Each event is checked and applied once, here.
pub(crate) struct BatchBuilder<'a> {
    store: &'a dyn FeatureStore,
    base: u64,
    events: Vec<Event>,
    records: HashMap<Scope, Folded>,
    value_bytes: usize,
}

/// The record of a scope, and whether an event of the batch has changed it.
struct Folded {
    record: Record,
    changed: bool,
}

impl<'a> BatchBuilder<'a> {
    pub(crate) fn new(store: &'a dyn FeatureStore) -> Self {
        Self { store, base: store.revision(), events: Vec::new(), records: HashMap::new(), value_bytes: 0 }
    }

    /// The revision that the next event must have.
    pub(crate) fn next_revision(&self) -> u64 {
        self.base + self.events.len() as u64 + 1
    }

    /// The bytes that the values of all events take in their stored form.
    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// The record of `scope` after the events so far.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot read it.
    pub(crate) fn record(&mut self, scope: &Scope) -> Result<&Record, StoreError> {
        Ok(&self.folded(scope)?.record)
    }

    /// All records of a selection after the events so far.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot read one.
    pub(crate) fn select(&self, selection: Selection<'_>) -> Result<Selected, StoreError> {
        let (mut all, mut after) = (Selected::default(), None);
        loop {
            let Selected { records, next_after } = self.store.select(selection, after.as_ref(), usize::MAX)?;
            all.records.extend(records);
            if next_after.is_none() {
                break;
            }
            after = next_after;
        }
        let changed = self.records.iter().filter(|(scope, folded)| folded.changed && selection.covers(scope));
        all.update(selection, changed.map(|(scope, folded)| (scope.clone(), folded.record.clone())));
        Ok(all)
    }

    /// Adds all of these events. After an error the batch is as before.
    ///
    /// # Errors
    /// [`StoreError`] when an event does not continue the history, when a value is above a limit, or when the store
    /// cannot read a record.
    pub(crate) fn add(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        let mut bytes = 0;
        for (event, expected) in events.iter().zip(self.next_revision()..) {
            if event.revision != expected {
                return Err(StoreError::WrongRevision { expected, actual: event.revision });
            }
            bytes += check_values(event)?;
            self.folded(&event.scope)?;
        }
        self.value_bytes += bytes;
        for event in &events {
            self.records.get_mut(&event.scope).expect("the record was just read").apply(event);
        }
        self.events.extend(events);
        Ok(())
    }

    pub(crate) fn finish(self) -> Batch {
        let changed = self.records.into_iter().filter(|(_, folded)| folded.changed);
        let records: HashMap<_, _> = changed.map(|(scope, folded)| (scope, Arc::new(folded.record))).collect();
        let in_records = records.values().flat_map(|record| record.layer.iter()).map(|(_, value)| value_bytes(value));
        let event_bytes = EVENT_BYTES * self.events.len() + self.value_bytes;
        let bytes = event_bytes + in_records.sum::<usize>();
        Batch::new(self.base, self.events, records, [bytes, event_bytes])
    }

    fn folded(&mut self, scope: &Scope) -> Result<&mut Folded, StoreError> {
        Ok(match self.records.entry(scope.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let record = self.store.record(scope)?;
                entry.insert(Folded { record, changed: false })
            }
        })
    }
}

impl Folded {
    fn apply(&mut self, event: &Event) {
        self.record.apply(event);
        self.changed = true;
        #[cfg(test)]
        APPLIED.set(APPLIED.get() + 1);
    }
}

#[cfg(test)]
thread_local! {
    /// The events that batches made on this thread have applied.
    pub(crate) static APPLIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Batch {
    /// Makes the batch of these events for `store`, whose history they must continue.
    ///
    /// # Errors
    /// [`StoreError`] when an event does not continue the history, when a value is above a limit, or when the store
    /// cannot read a record.
    pub fn fold(store: &dyn FeatureStore, events: impl IntoIterator<Item = Event>) -> Result<Self, StoreError> {
        let mut batch = BatchBuilder::new(store);
        batch.add(events.into_iter().collect())?;
        Ok(batch.finish())
    }
}

/// Checks the limits of an event's comment and values. Returns the bytes that all of them take in their stored form.
pub(crate) fn check_values(event: &Event) -> Result<usize, StoreError> {
    let mut total = event.comment.len();
    if total > COMMENT_MAX_BYTES {
        return Err(StoreError::CommentTooLarge { bytes: total });
    }
    for change in &event.changes {
        for value in [&change.old, &change.new].into_iter().flatten() {
            total += check_value(&change.key, value)?;
        }
    }
    Ok(total)
}

/// Checks the limits of one value. Returns the bytes that it takes in its stored form.
///
/// # Errors
/// [`StoreError::ValueTooDeep`] and [`StoreError::ValueTooLarge`], with the key.
pub fn check_value(key: &FeatureKey, value: &Value) -> Result<usize, StoreError> {
    if is_deeper_than(VALUE_MAX_DEPTH, value) {
        return Err(StoreError::ValueTooDeep { key: key.clone() });
    }
    let bytes = value_bytes(value);
    if bytes > VALUE_MAX_BYTES {
        return Err(StoreError::ValueTooLarge { key: key.clone(), bytes });
    }
    Ok(bytes)
}

fn is_deeper_than(depth: usize, value: &Value) -> bool {
    match value {
        Value::Message(parts) => depth == 0 || parts.values().any(|part| is_deeper_than(depth - 1, part)),
        Value::List(values) => depth == 0 || values.iter().any(|value| is_deeper_than(depth - 1, value)),
        Value::Flag(_) | Value::Text(_) | Value::Numbers(_) | Value::Integer(_) | Value::Double(_) => false,
    }
}

/// The records of a whole history, by the stored form of their scopes. They are kept in their stored form, which takes
/// far less memory, in the order of their keys.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Fold {
    /// The record under a scope's key, when there is one.
    pub(crate) fn record(&self, key: &[u8]) -> Result<Option<Record>, NotUnderstood> {
        self.stored(key).map(decode_record).transpose()
    }

    /// The stored record under a scope's key.
    pub(crate) fn stored(&self, key: &[u8]) -> Option<&[u8]> {
        self.records.get(key).map(Vec::as_slice)
    }

    /// Applies an event to `record`, the record of its scope so far, and keeps the outcome under the scope's key.
    pub(crate) fn apply(&mut self, key: Vec<u8>, mut record: Record, event: &Event) {
        record.apply(event);
        self.put(key, encode_record(&record));
    }

    /// Keeps a stored record under the scope's key.
    pub(crate) fn put(&mut self, key: Vec<u8>, stored: Vec<u8>) {
        let key_bytes = key.len();
        self.bytes += key_bytes + stored.len() + ENTRY_BYTES;
        if let Some(replaced) = self.records.insert(key, stored) {
            self.bytes -= key_bytes + replaced.len() + ENTRY_BYTES;
        }
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The memory that the records take, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes out all keys with their records, in order.
    pub(crate) fn take(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.bytes = 0;
        std::mem::take(&mut self.records).into_iter().collect()
    }
}
