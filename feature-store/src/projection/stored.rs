//! The stored form of a projection.
//!
//! One tree. The record of a scope is under `r` and the scope's key; a block of the index by features is under `x`,
//! the feature's key, NUL, and the key of the first scope; `m` has the revision up to which the history is applied. A
//! value is a format byte, a CRC-32C of key, format and body, and the body. `m` also has the sum of the
//! checksums of all records and blocks: sled can lose a page without noticing, and then the sum differs.

use feature_core::Scope;
use prost::Message;
use uuid::Uuid;

use super::doubt;
use crate::error::OpenError;
use crate::format::scope_key;

pub(super) const FORMAT: u8 = 1;
pub(super) const VALUE_HEADER: usize = 5;
pub(super) const RECORD: u8 = b'r';
pub(super) const PROGRESS_KEY: &[u8] = b"m";

/// What a projection of this version has. The first versions had records alone, without a number; 1 has an index by
/// features, and 2 the revision of each value.
pub(super) const CONTENT: u32 = 2;

/// The part of the history that is applied.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Progress {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) store: Vec<u8>,
    /// The last event applied.
    #[prost(uint64, tag = "2")]
    pub(super) revision: u64,
    /// The sum of the checksums of all records and of all blocks of the index.
    #[prost(fixed64, tag = "3")]
    pub(super) checksums: u64,
    /// In a fleet, the chain after the last event.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) chain: Vec<u8>,
    /// What the projection has: see [`CONTENT`].
    #[prost(uint32, tag = "5")]
    pub(super) content: u32,
}

/// The progress of a projection of this store.
pub(super) fn read_progress(tree: &sled::Db, store: Uuid) -> Result<Progress, OpenError> {
    let empty = Progress { store: store.as_bytes().to_vec(), content: CONTENT, ..Progress::default() };
    let Some(value) = tree.get(PROGRESS_KEY).map_err(doubt)? else { return Ok(empty) };
    let body = open_value(PROGRESS_KEY, &value).map(|(_, body)| body);
    let progress = body.and_then(|body| Progress::decode(body).ok()).ok_or_else(|| doubt("its progress is damaged"))?;
    if progress.store != empty.store {
        return Err(doubt("it belongs to another store"));
    }
    if progress.content == CONTENT { Ok(progress) } else { Err(doubt("another version has made it")) }
}

pub(super) fn record_key(scope: &Scope) -> Vec<u8> {
    let mut key = vec![RECORD];
    key.extend(scope_key::encode(scope));
    key
}

/// The checksum and the stored value of a body under `key`.
pub(super) fn seal_value(key: &[u8], body: &[u8]) -> (u32, Vec<u8>) {
    let checksum = checksum(key, FORMAT, body);
    let mut value = Vec::with_capacity(VALUE_HEADER + body.len());
    value.push(FORMAT);
    value.extend(checksum.to_le_bytes());
    value.extend(body);
    (checksum, value)
}

/// The checksum and the body of a stored value under `key`; `None` when the check fails or the format is unknown.
pub(super) fn open_value<'a>(key: &[u8], value: &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (&[format, ref stored @ ..], body) = value.split_first_chunk::<VALUE_HEADER>()?;
    let expected = checksum(key, format, body);
    (format == FORMAT && u32::from_le_bytes(*stored) == expected).then_some((expected, body))
}

pub(super) fn checksum(key: &[u8], format: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &[format]), body)
}
