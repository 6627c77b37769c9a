//! The base in a PostgreSQL: a row for each scope.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::link::{Lost, Session};
use super::{DEADLINE, PostgresEngine, signed, unsigned};
use crate::engine::{BaseRecord, EngineError, PAGE_BYTES, Position};

const AFTER: &str = "
    SELECT scope, revision, body FROM (
        SELECT scope, revision, body, sum(length(body)) OVER (ORDER BY scope) - length(body) AS bytes_before
        FROM (SELECT * FROM feature_service.records WHERE scope > $1 ORDER BY scope LIMIT $2) AS page
    ) AS measured
    WHERE bytes_before < $3 ORDER BY scope";

const OF: &str = "SELECT scope, revision, body FROM feature_service.records WHERE scope = ANY ($1)";

const FOLD: &str = "
    WITH moved AS (
        UPDATE feature_service.head SET folded = $2
        WHERE one AND folded = $1
            AND EXISTS (SELECT FROM feature_service.events WHERE revision = $2 AND chain = $6)
        RETURNING 1
    )
    INSERT INTO feature_service.records (scope, revision, body)
    SELECT scope, revision, body
    FROM moved, unnest($3::bytea[], $4::bigint[], $5::bytea[]) AS record (scope, revision, body)
    ON CONFLICT (scope) DO UPDATE SET revision = EXCLUDED.revision, body = EXCLUDED.body";
const FOLD_TYPES: [Type; 6] =
    [Type::INT8, Type::INT8, Type::BYTEA_ARRAY, Type::INT8_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA];

const BEGIN: &str = "
    UPDATE feature_service.head SET revision = $1, chain = $2, kept_from = $1 + 1
    WHERE one AND revision = 0 AND folded = 0 AND kept_from = 1";

const FILL: &str = "
    WITH filled AS (
        UPDATE feature_service.head SET folded = CASE WHEN $5 THEN $1 ELSE folded END
        WHERE one AND folded = 0 AND kept_from = $1 + 1 AND revision = $1 AND chain = $2
        RETURNING 1
    )
    INSERT INTO feature_service.records (scope, revision, body)
    SELECT scope, $1, body FROM filled, unnest($3::bytea[], $4::bytea[]) AS record (scope, body)
    ON CONFLICT (scope) DO UPDATE SET revision = EXCLUDED.revision, body = EXCLUDED.body";
const FILL_TYPES: [Type; 5] = [Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::BOOL];

const DROP: &str = "
    WITH moved AS (
        UPDATE feature_service.head SET kept_from = $1 + 1
        WHERE one AND kept_from <= $1 AND folded >= $1
        RETURNING 1
    ), of_dropped AS (
        DELETE FROM feature_service.indexes USING moved
        WHERE first < (SELECT max(first) FROM feature_service.indexes WHERE first <= $1 + 1)
    )
    DELETE FROM feature_service.events USING moved WHERE revision <= $1";

/// On the connection that reads the log: a new replica's records and events come from one database.
pub(super) fn after(engine: &PostgresEngine, after: &[u8], limit: usize) -> Result<Vec<BaseRecord>, EngineError> {
    let (limit, bytes) = (limit as i64, PAGE_BYTES as i64);
    let query = async |session: &mut Session| {
        let rows = session.query(AFTER, &[Type::BYTEA, Type::INT8, Type::INT8], &[&after, &limit, &bytes]).await?;
        rows.iter().map(record).collect()
    };
    Ok(engine.runtime.block_on(engine.reads.call(DEADLINE, query))?)
}

pub(super) fn of(engine: &PostgresEngine, keys: &[&[u8]]) -> Result<Vec<BaseRecord>, EngineError> {
    let query = async |session: &mut Session| {
        let rows = session.query(OF, &[Type::BYTEA_ARRAY], &[&keys]).await?;
        rows.iter().map(record).collect()
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn fold(
    engine: &PostgresEngine,
    from: u64,
    to: Position,
    records: &[BaseRecord],
) -> Result<(), EngineError> {
    let (from, revision, chain) = (signed(from), signed(to.revision), to.chain.as_bytes());
    let keys: Vec<&[u8]> = records.iter().map(|record| record.key.as_slice()).collect();
    let revisions: Vec<i64> = records.iter().map(|record| signed(record.revision)).collect();
    let bodies: Vec<&[u8]> = records.iter().map(|record| record.body.as_slice()).collect();
    let query = async |session: &mut Session| {
        let parameters = [&from as _, &revision as _, &keys as _, &revisions as _, &bodies as _, &chain as _];
        session.query(FOLD, &FOLD_TYPES, &parameters).await.map(drop)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn begin(
    engine: &PostgresEngine,
    at: Position,
    records: &[BaseRecord],
    is_last: bool,
) -> Result<(), EngineError> {
    let (revision, chain) = (signed(at.revision), at.chain.as_bytes());
    let keys: Vec<&[u8]> = records.iter().map(|record| record.key.as_slice()).collect();
    let bodies: Vec<&[u8]> = records.iter().map(|record| record.body.as_slice()).collect();
    let query = async |session: &mut Session| {
        session.query(BEGIN, &[Type::INT8, Type::BYTEA], &[&revision, &chain]).await?;
        let parameters = [&revision as _, &chain as _, &keys as _, &bodies as _, &is_last as _];
        session.query(FILL, &FILL_TYPES, &parameters).await.map(drop)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn drop_entries(engine: &PostgresEngine, up_to: u64) -> Result<(), EngineError> {
    let up_to = signed(up_to);
    let query = async |session: &mut Session| session.query(DROP, &[Type::INT8], &[&up_to]).await.map(drop);
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

fn record(row: &Row) -> Result<BaseRecord, Lost> {
    Ok(BaseRecord { key: row.try_get(0)?, revision: unsigned(row.try_get(1)?)?, body: row.try_get(2)? })
}
