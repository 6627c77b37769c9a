//! Single entries of the log, and the stored indexes of its parts.

use tokio_postgres::types::Type;

use super::link::Session;
use super::rows::{entry, signed};
use super::{DEADLINE, PostgresEngine};
use crate::engine::{EngineError, Entry, PAGE_BYTES, Position};

const ENTRIES: &str = "
    SELECT revision, chain, body FROM (
        SELECT revision, chain, body, sum(length(body)) OVER (ORDER BY revision) - length(body) AS bytes_before
        FROM feature_service.events WHERE revision = ANY ($1)
    ) AS measured
    WHERE bytes_before < $2 ORDER BY revision";

const ERASE: &str = "
    WITH erased AS (
        UPDATE feature_service.events AS kept SET body = entry.body
        FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) AS entry (revision, chain, old, body)
        WHERE kept.revision = entry.revision AND kept.chain = entry.chain AND kept.body = entry.old
            AND EXISTS (SELECT FROM feature_service.events WHERE revision = $6 AND chain = $7)
    )
    DELETE FROM feature_service.indexes WHERE first = ANY ($5)";
const ERASE_TYPES: [Type; 7] = [
    Type::INT8_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT8_ARRAY,
    Type::INT8,
    Type::BYTEA,
];

const INDEX: &str = "SELECT body FROM feature_service.indexes WHERE first = $1";

const STORE_INDEX: &str = "
    INSERT INTO feature_service.indexes (first, body) VALUES ($1, $2)
    ON CONFLICT (first) DO UPDATE SET body = EXCLUDED.body";

pub(super) fn entries(engine: &PostgresEngine, revisions: &[u64]) -> Result<Vec<Entry>, EngineError> {
    let revisions: Vec<i64> = revisions.iter().map(|revision| signed(*revision)).collect();
    let query = async |session: &mut Session| {
        let types = [Type::INT8_ARRAY, Type::INT8];
        let rows = session.query(ENTRIES, &types, &[&revisions, &(PAGE_BYTES as i64)]).await?;
        rows.iter().map(entry).collect()
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn erase(
    engine: &PostgresEngine,
    at: Position,
    entries: &[(Vec<u8>, Entry)],
    firsts: &[u64],
) -> Result<(), EngineError> {
    let revisions: Vec<i64> = entries.iter().map(|(_, entry)| signed(entry.position.revision)).collect();
    let chains: Vec<&[u8]> = entries.iter().map(|(_, entry)| entry.position.chain.as_bytes()).collect();
    let old: Vec<&[u8]> = entries.iter().map(|(old, _)| old.as_slice()).collect();
    let bodies: Vec<&[u8]> = entries.iter().map(|(_, entry)| entry.body.as_slice()).collect();
    let (revision, chain) = (signed(at.revision), at.chain.as_bytes());
    let firsts: Vec<i64> = firsts.iter().map(|first| signed(*first)).collect();
    let query = async |session: &mut Session| {
        let parameters =
            [&revisions as _, &chains as _, &old as _, &bodies as _, &firsts as _, &revision as _, &chain as _];
        session.query(ERASE, &ERASE_TYPES, &parameters).await.map(drop)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn index(engine: &PostgresEngine, first: u64) -> Result<Option<Vec<u8>>, EngineError> {
    let query = async |session: &mut Session| {
        let row = session.query(INDEX, &[Type::INT8], &[&signed(first)]).await?.pop();
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn store_index(engine: &PostgresEngine, first: u64, index: &[u8]) -> Result<(), EngineError> {
    let query = async |session: &mut Session| {
        session.query(STORE_INDEX, &[Type::INT8, Type::BYTEA], &[&signed(first), &index]).await.map(drop)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}
