//! The tables, and the identity of the store in them.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::link::{Link, Lost};
use super::{DEADLINE, PostgresOpenError};
use crate::engine::Chain;

/// The format of the tables.
const FORMAT: i32 = 1;

/// Makes what is missing, in one transaction. The lock keeps replicas that start together from meeting; it is a
/// courtesy, since each statement by itself may be repeated.
const MAKE: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(7161748201);
    CREATE SCHEMA IF NOT EXISTS feature_service;
    CREATE TABLE IF NOT EXISTS feature_service.head (
        one bool PRIMARY KEY CHECK (one),
        format int NOT NULL,
        store uuid NOT NULL,
        revision bigint NOT NULL,
        chain bytea NOT NULL,
        folded bigint NOT NULL,
        kept_from bigint NOT NULL
    ) WITH (fillfactor = 10);
    CREATE TABLE IF NOT EXISTS feature_service.events (
        revision bigint PRIMARY KEY,
        chain bytea NOT NULL,
        body bytea NOT NULL
    );
    CREATE TABLE IF NOT EXISTS feature_service.records (
        scope bytea PRIMARY KEY,
        revision bigint NOT NULL,
        body bytea NOT NULL
    );
    CREATE TABLE IF NOT EXISTS feature_service.beats (
        replica uuid PRIMARY KEY,
        beat bigint NOT NULL,
        revision bigint NOT NULL,
        at timestamptz NOT NULL
    ) WITH (fillfactor = 10);
    DELETE FROM feature_service.beats WHERE at < now() - interval '1 day';
    COMMIT";

const INTRODUCE: &str = "
    INSERT INTO feature_service.head (one, format, store, revision, chain, folded, kept_from)
    VALUES (true, $1, $2, 0, $3, 0, 1) ON CONFLICT (one) DO NOTHING";

const FORMAT_FOUND: &str = "SELECT format FROM feature_service.head WHERE one";

/// Makes the tables and the row of a new store, where they are missing, and checks their format.
pub(super) async fn make(link: &Link, store: Uuid) -> Result<(), PostgresOpenError> {
    let query = async |session: &mut super::link::Session| {
        session.client().batch_execute(MAKE).await?;
        let start = Chain::start(store);
        let types = [Type::INT4, Type::UUID, Type::BYTEA];
        session.query(INTRODUCE, &types, &[&FORMAT, &store, &start.as_bytes()]).await?;
        let row = session.query_one(FORMAT_FOUND, &[], &[]).await?;
        Ok(row.try_get(0)?)
    };
    let found: Result<i32, Lost> = link.call(5 * DEADLINE, query).await;
    match found {
        Ok(FORMAT) => Ok(()),
        Ok(found) => Err(PostgresOpenError::OtherFormat { found, known: FORMAT }),
        Err(lost) => Err(PostgresOpenError::Unreachable { reason: lost.to_string() }),
    }
}
