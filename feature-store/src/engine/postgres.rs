//! A PostgreSQL as an engine: one row for the end of the log, one for each entry.
//!
//! The row `head` orders all writers: an append updates it where it still has the base's revision and chain, and
//! inserts the entries in the same statement. The row is locked until the commit, so the log has no gaps, and a
//! transaction that fails takes its revisions back. No sequence, clock or logical replication has a part in the order.

mod base;
pub(crate) mod checks;
mod history;
mod hosts;
mod link;
mod open_error;
mod options;
mod revocations;
mod rows;
mod schema;
mod threads;
mod url;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Append, BaseRecord, Beat, Engine, EngineError, Entry, Head, Outcome, PAGE_BYTES, Position};
use checks::Settings;
use link::{Link, Lost};
use rows::{chain, entry, head, position, signed, unsigned};
use threads::Threads;

pub use checks::PostgresCheckError;
pub use open_error::PostgresOpenError;
pub use options::{Durability, PostgresOptions, PostgresOptionsError};
pub use url::{PostgresUrl, PostgresUrlError};

/// The longest time that a call may take, with connecting. Two of them stay below the time after which a turn of the
/// committer counts as hanging.
const DEADLINE: Duration = Duration::from_secs(2);

/// The same for the start, which may have to pass over several hosts before one takes writes.
const OPENING_DEADLINE: Duration = Duration::from_secs(10);

/// A log in a PostgreSQL.
pub struct PostgresEngine {
    runtime: Threads,
    /// Runs the connection of `writes` on the thread that waits for it: handing over to another one and back takes a
    /// lone write longer.
    commits: Threads,
    /// For appends, for turns to append alone, and for the outcomes of appends.
    writes: Link,
    /// For everything that follows the log.
    reads: Link,
    /// For proofs of freshness, which may wait for a standby while reads go on.
    beats: Link,
    /// For the base.
    base: Link,
    durability: Durability,
}

impl PostgresEngine {
    /// Connects, checks that the database keeps what it acknowledges, and makes the tables if there are none. `store`:
    /// the id of a new store; without it there must be one.
    ///
    /// # Errors
    /// [`PostgresOpenError`].
    pub fn open(options: &PostgresOptions, store: Option<Uuid>) -> Result<Self, PostgresOpenError> {
        let hosts = Arc::new(options.hosts()?);
        let engine = Self {
            runtime: Threads::start()?,
            commits: Threads::of_callers()?,
            writes: Link::new(&hosts),
            reads: Link::listening(&hosts),
            beats: Link::new(&hosts),
            base: Link::new(&hosts),
            durability: options.durability,
        };
        let settings = engine.commits.block_on(engine.writes.call(OPENING_DEADLINE, Settings::read))?;
        settings.check(engine.durability)?;
        if let Some(warning) = settings.warning() {
            tracing::warn!("{warning}");
        }
        engine.commits.block_on(schema::make(&engine.writes, &options.url, store))?;
        Ok(engine)
    }

    /// What the database says about its durability.
    #[cfg(test)]
    pub(crate) fn settings(&self) -> Settings {
        self.runtime.block_on(self.beats.call(DEADLINE, Settings::read)).expect("the database answers")
    }
}

const APPEND: &str = "
    WITH promise AS (
        SELECT coalesce(current_setting('synchronous_standby_names', true), '') = ''
            OR coalesce(current_setting('synchronous_commit', true), '') IN ('off', 'local') AS alone
    ), moved AS (
        UPDATE feature_service.head SET revision = revision + $3, chain = $4
        WHERE one AND revision = $1 AND chain = $2
            AND NOT ($7 AND (SELECT alone FROM promise))
        RETURNING revision - $3 AS base
    ), added AS (
        INSERT INTO feature_service.events (revision, chain, body)
        SELECT base + number, chain, body
        FROM moved, unnest($5::bytea[], $6::bytea[]) WITH ORDINALITY AS entry (chain, body, number)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM moved),
        CASE WHEN EXISTS (SELECT FROM added) THEN pg_notify('feature_service', (SELECT base + $3 FROM moved)::text) END,
        (SELECT alone FROM promise)";
const APPEND_TYPES: [Type; 7] =
    [Type::INT8, Type::BYTEA, Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::BOOL];

const HEAD: &str = "SELECT store, revision, chain, kept_from, folded FROM feature_service.head WHERE one";

const BEAT: &str = "
    WITH beat AS (
        INSERT INTO feature_service.beats AS own (replica, beat, revision, at) VALUES ($1, 1, $2, now())
        ON CONFLICT (replica) DO UPDATE SET beat = own.beat + 1, revision = $2, at = now()
    )
    SELECT store, revision, chain, kept_from, folded,
        (revision = $2 AND chain = $3)
            OR EXISTS (SELECT FROM feature_service.events WHERE revision = $2 AND chain = $3),
        (SELECT coalesce(max(number), 0) FROM feature_service.revocations)
    FROM feature_service.head WHERE one";

const LOCK_HEAD: &str = "SELECT revision, chain, kept_from FROM feature_service.head WHERE one FOR UPDATE";

const CHAIN_AT: &str = "SELECT chain FROM feature_service.events WHERE revision = $1";

const READ: &str = "
    SELECT revision, chain, body FROM (
        SELECT revision, chain, body, sum(length(body)) OVER (ORDER BY revision) - length(body) AS bytes_before
        FROM (SELECT * FROM feature_service.events WHERE revision >= $1 ORDER BY revision LIMIT $2) AS page
    ) AS measured
    WHERE bytes_before < $3 ORDER BY revision";

impl Engine for PostgresEngine {
    fn head(&self) -> Result<Head, EngineError> {
        let query = async |session: &mut link::Session| head(&session.query_one(HEAD, &[], &[]).await?);
        Ok(self.runtime.block_on(self.reads.call(DEADLINE, query))?)
    }

    fn append(&self, base: Position, group: &[Entry]) -> Result<Append, EngineError> {
        let last = group.last().map_or(base, |entry| entry.position);
        let (revision, count) = (signed(base.revision), group.len() as i64);
        let chains: Vec<&[u8]> = group.iter().map(|entry| entry.position.chain.as_bytes()).collect();
        let bodies: Vec<&[u8]> = group.iter().map(|entry| entry.body.as_slice()).collect();
        let query = async |session: &mut link::Session| {
            let (old, new) = (base.chain.as_bytes(), last.chain.as_bytes());
            let replicated = self.durability == Durability::Replicated;
            let parameters =
                [&revision as _, &old as _, &count as _, &new as _, &chains as _, &bodies as _, &replicated as _];
            let row = session.query_one(APPEND, &APPEND_TYPES, &parameters).await?;
            let (moved, alone): (i64, bool) = (row.try_get(0)?, row.try_get(2)?);
            session.end_turn(moved == 1).await?;
            Ok((moved == 1, replicated && alone))
        };
        match self.commits.block_on(self.writes.call(DEADLINE, query)) {
            Ok((true, _)) => Ok(Append::Added),
            Ok((false, true)) => Err(EngineError { reason: PostgresCheckError::NotReplicated.to_string() }),
            Ok((false, false)) => Ok(Append::Overtaken),
            Err(lost) if lost.may_have_succeeded() => Ok(Append::Unknown { reason: lost.to_string() }),
            Err(lost) => Err(lost.into()),
        }
    }

    fn outcome(&self, base: Position, group: &[Entry]) -> Result<Outcome, EngineError> {
        let last = group.last().map(|entry| entry.position);
        let query = async |session: &mut link::Session| {
            session.begin().await?;
            let head = session.query_one(LOCK_HEAD, &[], &[]).await?;
            let end = position(head.try_get(0)?, head.try_get(1)?)?;
            let kept_from = unsigned(head.try_get(2)?)?;
            let there = match last {
                Some(last) => session.query(CHAIN_AT, &[Type::INT8], &[&signed(last.revision)]).await?.pop(),
                None => None,
            };
            // The commit waits for the standby, so that what was found is what a failover keeps.
            session.end_turn(true).await?;
            let there = there.map(|row| chain(row.try_get(0)?)).transpose()?;
            Ok(match last {
                _ if end == base => Some(Outcome::Open),
                Some(last) if there == Some(last.chain) => Some(Outcome::Added),
                Some(last) if last.revision < kept_from => None,
                _ => Some(Outcome::Overtaken),
            })
        };
        let outcome = self.commits.block_on(self.writes.call(DEADLINE, query))?;
        outcome.ok_or_else(|| EngineError { reason: "the entries of that time were dropped meanwhile".to_owned() })
    }

    fn take_turn(&self) -> Result<Position, EngineError> {
        let query = async |session: &mut link::Session| {
            session.begin().await?;
            let head = session.query_one(LOCK_HEAD, &[], &[]).await?;
            position(head.try_get(0)?, head.try_get(1)?)
        };
        Ok(self.commits.block_on(self.writes.call(DEADLINE, query))?)
    }

    fn beat(&self, replica: Uuid, position: Position) -> Result<Beat, EngineError> {
        let (revision, chain) = (signed(position.revision), position.chain.as_bytes());
        let query = async |session: &mut link::Session| {
            let parameters = [&replica as _, &revision as _, &chain as _];
            let row = session.query_one(BEAT, &[Type::UUID, Type::INT8, Type::BYTEA], &parameters).await?;
            let head = head(&row)?;
            // The start of a store is a position without an entry.
            let has_position = row.try_get(5)? || position == Position::start(head.store);
            let newest_revocation: i64 = row.try_get(6)?;
            // An operator may take the standbys away at any time. Then a beat proves nothing.
            let promise = match self.durability {
                Durability::AsConfigured => Ok(()),
                Durability::Replicated => Settings::read(session).await?.check(Durability::Replicated),
            };
            Ok(promise.map(|()| Beat { head, has_position, newest_revocation }))
        };
        let beat = self.runtime.block_on(self.beats.call(DEADLINE, query))?;
        beat.map_err(|broken| EngineError { reason: broken.to_string() })
    }

    fn revocations(&self, before: i64, limit: usize) -> Result<Vec<(i64, String)>, EngineError> {
        revocations::page(self, before, limit)
    }

    fn revoke(&self, entry: &str) -> Result<(), EngineError> {
        revocations::add(self, entry)
    }

    fn leave_reads(&self) {
        self.reads.leave_host();
    }

    fn base(&self, after: &[u8], limit: usize) -> Result<Vec<BaseRecord>, EngineError> {
        base::after(self, after, limit)
    }

    fn base_of(&self, keys: &[&[u8]]) -> Result<Vec<BaseRecord>, EngineError> {
        base::of(self, keys)
    }

    fn fold(&self, from: u64, to: Position, records: &[BaseRecord]) -> Result<(), EngineError> {
        base::fold(self, from, to, records)
    }

    fn begin(&self, at: Position, records: &[BaseRecord], is_last: bool) -> Result<(), EngineError> {
        base::begin(self, at, records, is_last)
    }

    fn drop_entries(&self, up_to: u64) -> Result<(), EngineError> {
        base::drop_entries(self, up_to)
    }

    fn wait_for_hint(&self, timeout: Duration) -> Option<u64> {
        self.runtime.block_on(self.reads.hint(timeout))
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<Entry>, EngineError> {
        let query = async |session: &mut link::Session| {
            let (from, limit, bytes) = (signed(from), limit as i64, PAGE_BYTES as i64);
            let rows = session.query(READ, &[Type::INT8; 3], &[&from, &limit, &bytes]).await?;
            rows.iter().map(entry).collect()
        };
        Ok(self.runtime.block_on(self.reads.call(DEADLINE, query))?)
    }

    fn read_each(&self, revisions: &[u64]) -> Result<Vec<Entry>, EngineError> {
        history::entries(self, revisions)
    }

    fn erase(&self, at: Position, entries: &[(Vec<u8>, Entry)], firsts: &[u64]) -> Result<(), EngineError> {
        history::erase(self, at, entries, firsts)
    }

    fn index(&self, first: u64) -> Result<Option<Vec<u8>>, EngineError> {
        history::index(self, first)
    }

    fn store_index(&self, first: u64, index: &[u8]) -> Result<(), EngineError> {
        history::store_index(self, first, index)
    }
}

/// Whether the server said that a statement has failed and changed nothing. Errors of other classes may come while a
/// commit waits for a standby, after it has taken effect.
fn is_refusal(error: &Error) -> bool {
    const CLASSES: [&str; 9] = ["22", "23", "25", "28", "3D", "40", "42", "53", "55"];
    let is_refusal = |code: &SqlState| CLASSES.iter().any(|class| code.code().starts_with(class));
    error.code().is_some_and(|code| is_refusal(code) && *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN)
}

impl From<Lost> for EngineError {
    fn from(lost: Lost) -> Self {
        Self { reason: lost.to_string() }
    }
}
