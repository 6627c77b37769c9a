//! The sum of many events in memory: records in their stored form, which takes far less space, in the order of their
//! keys. Disks are not known here.

use std::collections::BTreeMap;

use feature_core::Record;

use crate::format::encoding::{NotUnderstood, decode_record, encode_record};

/// What an entry takes beside its bytes, roughly.
const ENTRY_BYTES: usize = 96;

/// Records by the stored form of their scope.
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

    /// Puts the record under a scope's key in place.
    pub(crate) fn put(&mut self, key: Vec<u8>, record: &Record) {
        let (key_bytes, stored) = (key.len(), encode_record(record));
        self.bytes += key_bytes + stored.len() + ENTRY_BYTES;
        if let Some(replaced) = self.records.insert(key, stored) {
            self.bytes -= key_bytes + replaced.len() + ENTRY_BYTES;
        }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How much memory they take, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands out all keys with their records in order, and is empty then.
    pub(crate) fn take(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.bytes = 0;
        std::mem::take(&mut self.records).into_iter().collect()
    }
}
