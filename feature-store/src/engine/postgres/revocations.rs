//! Revoked tokens in a PostgreSQL: a row for each entry.

use tokio_postgres::types::Type;

use super::link::Session;
use super::{DEADLINE, PostgresEngine};
use crate::engine::EngineError;

/// The most entries that are read. One more than a server takes, so that it says so.
const ENTRIES: i64 = 1_000_001;

const ALL: &str = "SELECT entry FROM feature_service.revocations ORDER BY number LIMIT $1";

const ADD: &str = "INSERT INTO feature_service.revocations (entry) VALUES ($1) ON CONFLICT (entry) DO NOTHING";

pub(super) fn all(engine: &PostgresEngine) -> Result<Vec<String>, EngineError> {
    let query = async |session: &mut Session| {
        let rows = session.query(ALL, &[Type::INT8], &[&ENTRIES]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn add(engine: &PostgresEngine, entry: &str) -> Result<(), EngineError> {
    let query = async |session: &mut Session| session.query(ADD, &[Type::TEXT], &[&entry]).await.map(drop);
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}
