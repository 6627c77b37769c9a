//! Checks at the start that the database keeps what it acknowledges.

use super::Durability;
use super::link::{Lost, Session};

/// The oldest version that PostgreSQL's developers still look after, as `server_version_num` has it.
const VERSION_MIN: u32 = 14_00_00;

/// A setting that another engine of the same protocol does not have is null.
const SETTINGS: &str = "
    SELECT current_setting('server_version_num', true), current_setting('fsync', true),
        current_setting('full_page_writes', true), current_setting('synchronous_commit', true),
        current_setting('synchronous_standby_names', true)";

/// Users without the right to see a standby's state see its row all the same. Followers by logical replication are not
/// counted.
const STANDBYS: &str = "
    SELECT count(*) FROM pg_stat_replication AS sender
    WHERE (state IS NULL OR state = 'streaming') AND NOT EXISTS (
        SELECT FROM pg_replication_slots AS slot WHERE slot.active_pid = sender.pid AND slot.slot_type = 'logical'
    )";

/// Why a database is not fit to keep the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresCheckError {
    /// It is too old.
    #[error("the database is a PostgreSQL {}, and this server needs 14 or newer: upgrade it", .0 / 10_000)]
    Version(u32),
    /// A setting makes it lose what it has acknowledged.
    #[error("the database has {setting} = {value}, so acknowledged writes may get lost: set it to on")]
    NotDurable {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// No standby has to confirm a write.
    #[error(
        "the database has no synchronous_standby_names, so acknowledged writes are lost when a standby takes over: \
         name the standbys there (Patroni: synchronous_mode), or leave store.durability out"
    )]
    NotReplicated,
}

/// What a database says about its durability.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) version: Option<u32>,
    pub(crate) fsync: Option<String>,
    pub(crate) full_page_writes: Option<String>,
    pub(crate) synchronous_commit: Option<String>,
    pub(crate) standby_names: Option<String>,
    /// How many standbys follow it.
    pub(crate) standbys: i64,
}

impl Settings {
    pub(super) async fn read(session: &mut Session) -> Result<Self, Lost> {
        let row = session.query_one(SETTINGS, &[], &[]).await?;
        let version: Option<String> = row.try_get(0)?;
        // Another engine may lack these tables, which is an error, and the rest is checked all the same.
        let standbys = match session.query_one(STANDBYS, &[], &[]).await {
            Ok(row) => row.try_get(0)?,
            Err(lost) if lost.is_answer() => 0,
            Err(lost) => return Err(lost),
        };
        Ok(Self {
            version: version.and_then(|version| version.parse().ok()),
            fsync: row.try_get(1)?,
            full_page_writes: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
            standby_names: row.try_get(4)?,
            standbys,
        })
    }

    /// Whether acknowledged writes survive what they have to.
    pub(crate) fn check(&self, durability: Durability) -> Result<(), PostgresCheckError> {
        if let Some(version) = self.version.filter(|version| *version < VERSION_MIN) {
            return Err(PostgresCheckError::Version(version));
        }
        // the setting | its value | the values that lose writes
        let table: [(_, _, &[&str]); 3] = [
            ("fsync", &self.fsync, &["off"]),
            ("full_page_writes", &self.full_page_writes, &["off"]),
            ("synchronous_commit", &self.synchronous_commit, &["off", "local"]),
        ];
        for (setting, value, unsafe_values) in table {
            if let Some(value) = value.as_ref().filter(|value| unsafe_values.contains(&value.as_str())) {
                return Err(PostgresCheckError::NotDurable { setting, value: value.clone() });
            }
        }
        match durability {
            Durability::Replicated if !self.waits_for_standby() => Err(PostgresCheckError::NotReplicated),
            _ => Ok(()),
        }
    }

    /// What an operator should know though it is allowed.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        let names = self.standby_names.as_deref().unwrap_or_default();
        if self.standbys > 0 && !self.waits_for_standby() {
            Some(
                "standbys follow the database and synchronous_standby_names is empty: acknowledged writes are lost \
                 when one of them takes over",
            )
        } else if names.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("any")) {
            Some(
                "synchronous_standby_names has ANY: a database that a standby has replaced may still accept proofs of \
                 freshness until its lease ends (Patroni: ttl), and what it accepts is lost; name one standby at a \
                 time to rule that out (Patroni: synchronous_mode)",
            )
        } else {
            None
        }
    }

    fn waits_for_standby(&self) -> bool {
        self.standby_names.as_ref().is_some_and(|names| !names.trim().is_empty())
    }
}
