//! Revoked tokens in a PostgreSQL: a row for each entry.

use tokio_postgres::types::Type;

use super::link::Session;
use super::{DEADLINE, PostgresEngine};
use crate::engine::EngineError;

const PAGE: &str = "
    SELECT number, entry FROM feature_service.revocations WHERE number < $1 ORDER BY number DESC LIMIT $2";

const ADD: &str = "INSERT INTO feature_service.revocations (entry) VALUES ($1) ON CONFLICT (entry) DO NOTHING";

pub(super) fn page(engine: &PostgresEngine, before: i64, limit: usize) -> Result<Vec<(i64, String)>, EngineError> {
    let limit = limit as i64;
    let query = async |session: &mut Session| {
        let rows = session.query(PAGE, &[Type::INT8, Type::INT8], &[&before, &limit]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    };
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}

pub(super) fn add(engine: &PostgresEngine, entry: &str) -> Result<(), EngineError> {
    let query = async |session: &mut Session| session.query(ADD, &[Type::TEXT], &[&entry]).await.map(drop);
    Ok(engine.runtime.block_on(engine.base.call(DEADLINE, query))?)
}
