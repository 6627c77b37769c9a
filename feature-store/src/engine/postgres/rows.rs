//! What the rows of the tables mean.

use tokio_postgres::Row;
use uuid::Uuid;

use super::link::Lost;
use crate::engine::{Chain, Entry, Head, Position};

pub(super) fn head(row: &Row) -> Result<Head, Lost> {
    let (store, revision, chain): (Uuid, i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Head {
        store,
        end: position(revision, chain)?,
        kept_from: unsigned(row.try_get(3)?)?,
        folded: unsigned(row.try_get(4)?)?,
    })
}

pub(super) fn entry(row: &Row) -> Result<Entry, Lost> {
    let (revision, chain, body): (i64, &[u8], Vec<u8>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Entry { position: position(revision, chain)?, body })
}

pub(super) fn position(revision: i64, bytes: &[u8]) -> Result<Position, Lost> {
    Ok(Position { revision: unsigned(revision)?, chain: chain(bytes)? })
}

pub(super) fn chain(bytes: &[u8]) -> Result<Chain, Lost> {
    Chain::from_bytes(bytes).ok_or(Lost::NotUnderstood("a chain has another length than 16 bytes"))
}

pub(super) fn unsigned(number: i64) -> Result<u64, Lost> {
    number.try_into().map_err(|_| Lost::NotUnderstood("a revision is negative"))
}

/// A revision as the database keeps it.
pub(super) fn signed(revision: u64) -> i64 {
    revision.try_into().expect("no history has 2^63 events")
}
