//! The tables, and the identity of the store in them.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::link::{Link, Session};
use super::{OPENING_DEADLINE, PostgresOpenError, PostgresUrl};
use crate::engine::Chain;

/// The format of the tables.
const FORMAT: i32 = 1;

/// The tables, each with the statement that makes it. Without the right to make a table even `IF NOT EXISTS` fails,
/// so a table that is there is left alone.
const TABLES: [(&str, &str); 6] = [
    (
        "head",
        "CREATE TABLE IF NOT EXISTS feature_service.head (
            one bool PRIMARY KEY CHECK (one),
            format int NOT NULL,
            store uuid NOT NULL,
            revision bigint NOT NULL,
            chain bytea NOT NULL,
            folded bigint NOT NULL,
            kept_from bigint NOT NULL
        ) WITH (fillfactor = 10);",
    ),
    (
        "events",
        "CREATE TABLE IF NOT EXISTS feature_service.events (
            revision bigint PRIMARY KEY,
            chain bytea NOT NULL,
            body bytea NOT NULL
        );",
    ),
    (
        "records",
        "CREATE TABLE IF NOT EXISTS feature_service.records (
            scope bytea PRIMARY KEY,
            revision bigint NOT NULL,
            body bytea NOT NULL
        );",
    ),
    (
        "beats",
        "CREATE TABLE IF NOT EXISTS feature_service.beats (
            replica uuid PRIMARY KEY,
            beat bigint NOT NULL,
            revision bigint NOT NULL,
            at timestamptz NOT NULL
        ) WITH (fillfactor = 10);",
    ),
    (
        "indexes",
        "CREATE TABLE IF NOT EXISTS feature_service.indexes (
            first bigint PRIMARY KEY,
            body bytea NOT NULL
        );",
    ),
    (
        "revocations",
        "CREATE TABLE IF NOT EXISTS feature_service.revocations (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            entry text NOT NULL UNIQUE,
            at timestamptz NOT NULL DEFAULT now()
        );",
    ),
];

const MAKE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS feature_service;";

/// The catalogue shows what is there to users without rights, too.
const SCHEMA_FOUND: &str = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'feature_service'";
const TABLES_FOUND: &str = "
    SELECT relname::text FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE nspname = 'feature_service' AND relkind IN ('r', 'p')";

/// The lock keeps replicas that start together from meeting; it is a courtesy, since each statement by itself may be
/// repeated.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7161748201);";

const INTRODUCE: &str = "
    INSERT INTO feature_service.head (one, format, store, revision, chain, folded, kept_from)
    VALUES (true, $1, $2, 0, $3, 0, 1) ON CONFLICT (one) DO NOTHING";

/// Replicas that have not lived for a day will not come back.
const FORGET: &str = "DELETE FROM feature_service.beats WHERE at < now() - interval '1 day'";

const FORMAT_FOUND: &str = "SELECT format FROM feature_service.head WHERE one";

/// Which right the user needs for a step.
#[derive(Debug, Clone, Copy)]
enum Right {
    MakeSchema,
    MakeTables,
    UseTables,
}

/// Makes the tables and the row of a new store with this id, where they are missing, and checks their format. Without
/// an id there must be a store.
pub(super) async fn make(link: &Link, url: &PostgresUrl, store: Option<Uuid>) -> Result<(), PostgresOpenError> {
    let mut right = Right::MakeSchema;
    let query = async |session: &mut Session| {
        let has_schema = !session.query(SCHEMA_FOUND, &[], &[]).await?.is_empty();
        let rows = session.query(TABLES_FOUND, &[], &[]).await?;
        let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
        if found.contains(&"head") {
            // Tables of another format stay as they are.
            right = Right::UseTables;
            let row = session.query(FORMAT_FOUND, &[], &[]).await?.pop();
            let format = row.map(|row| row.try_get(0)).transpose()?;
            if let Some(other) = format.filter(|format| *format != FORMAT) {
                return Ok(Some(other));
            }
        } else if store.is_none() {
            return Ok(None);
        }
        if !has_schema {
            session.client().batch_execute(&format!("BEGIN; {LOCK} {MAKE_SCHEMA} COMMIT")).await?;
        }
        right = Right::MakeTables;
        let missing: String =
            TABLES.iter().filter(|(table, _)| !found.contains(table)).map(|(_, statement)| *statement).collect();
        if !missing.is_empty() {
            session.client().batch_execute(&format!("BEGIN; {LOCK} {missing} COMMIT")).await?;
        }
        right = Right::UseTables;
        if let Some(store) = store {
            let start = Chain::start(store);
            let types = [Type::INT4, Type::UUID, Type::BYTEA];
            session.query(INTRODUCE, &types, &[&FORMAT, &store, &start.as_bytes()]).await?;
        }
        session.query(FORGET, &[], &[]).await?;
        let row = session.query_one(FORMAT_FOUND, &[], &[]).await?;
        Ok(Some(row.try_get(0)?))
    };
    match link.call(OPENING_DEADLINE, query).await {
        Ok(Some(FORMAT)) => Ok(()),
        Ok(None) => Err(PostgresOpenError::NoStore),
        Ok(Some(found)) => Err(PostgresOpenError::OtherFormat { found, known: FORMAT }),
        Err(lost) if lost.is_missing_right() => {
            Err(PostgresOpenError::MissingRight { reason: lost.to_string(), grant: right.grant(url) })
        }
        Err(lost) => Err(lost.into()),
    }
}

impl Right {
    /// The statement that gives the right.
    fn grant(self, url: &PostgresUrl) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let user = quoted(url.user());
        match self {
            Self::MakeSchema => format!("GRANT CREATE ON DATABASE {} TO {user}", quoted(url.database())),
            Self::MakeTables => format!("GRANT USAGE, CREATE ON SCHEMA feature_service TO {user}"),
            Self::UseTables => format!(
                "GRANT USAGE ON SCHEMA feature_service TO {user}; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA feature_service TO {user}"
            ),
        }
    }
}
