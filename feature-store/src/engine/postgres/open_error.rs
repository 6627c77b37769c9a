//! Why the log in a PostgreSQL could not be opened.

use super::checks::PostgresCheckError;
use super::link::Lost;
use super::options::PostgresOptionsError;

/// Why the log in a PostgreSQL could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The options do not fit together.
    #[error(transparent)]
    Options(#[from] PostgresOptionsError),
    /// No host answers and takes writes.
    #[error("no host of the database takes writes ({reason}): check that one runs and accepts this user")]
    Unreachable {
        /// The hosts, each with its reason.
        reason: String,
    },
    /// The connection was lost, or a statement has failed.
    #[error("the database cannot be prepared: {reason}")]
    Failed {
        /// What the connection or the database said.
        reason: String,
    },
    /// The user may not make or use the tables.
    #[error("{reason}: let an administrator of the database run `{grant}`")]
    MissingRight {
        /// What the database said.
        reason: String,
        /// The statement that gives the right.
        grant: String,
    },
    /// The database may lose what it has acknowledged.
    #[error(transparent)]
    Check(#[from] PostgresCheckError),
    /// The database has no store, and this command makes none.
    #[error("the database holds no store: check the database's name in store.url, or start a server on it first")]
    NoStore,
    /// The tables are of a format that this binary does not know.
    #[error("the tables have format {found}, this binary knows {known}: start the newer binary that made them")]
    OtherFormat {
        /// The format of the tables.
        found: i32,
        /// The format of this binary.
        known: i32,
    },
    /// The operating system did not start a thread.
    #[error("no thread for the database: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<Lost> for PostgresOpenError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NotConnected(reason) => Self::Unreachable { reason },
            lost => Self::Failed { reason: lost.to_string() },
        }
    }
}
