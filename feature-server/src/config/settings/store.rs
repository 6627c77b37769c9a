//! The settings of the store: in the data folder, or in a database that the servers of a fleet share.

use std::fmt;
use std::path::PathBuf;

use feature_auth::config::values::{number, path, text};
use serde::{Deserialize, Serialize};

use crate::config::forms::{StoreUrl, milliseconds};

/// How data is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Store {
    /// How many bytes of records are kept in memory, about; `None` for a quarter of the memory, at most 2 GiB.
    #[serde(default, deserialize_with = "number::<1_048_576, 1_099_511_627_776, _, _>")]
    pub cache_bytes: Option<u64>,
    /// The PostgreSQL that the servers of a fleet share; `None`: the data folder holds the store.
    #[serde(default, deserialize_with = "text::<StoreUrl, _, _>")]
    pub url: Option<String>,
    /// A file with the password of the database's user.
    #[serde(default, deserialize_with = "path")]
    pub password_file: Option<PathBuf>,
    /// The password from PostgreSQL's own variable, instead of a file. It is a secret, so it has no key in a
    /// configuration, and no printed one shows it.
    #[serde(skip)]
    pub password: Option<Password>,
    /// A file with PEM certificates that the database's certificate is checked against, instead of the machine's own.
    #[serde(default, deserialize_with = "path")]
    pub ca_file: Option<PathBuf>,
    /// Allows connections in clear text to a database on another machine.
    pub allow_cleartext: bool,
    /// What the database has to promise.
    pub durability: Durability,
    /// How old a view may be at most, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub max_staleness_ms: u64,
    /// What a read gets from a view that is older.
    pub when_stale: WhenStale,
}

/// What a database has to promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// What its own settings say.
    AsConfigured,
    /// An acknowledged write is on a standby, too.
    Replicated,
}

/// What a read gets from a view that is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenStale {
    /// What the view shows.
    Serve,
    /// An error.
    Refuse,
}

/// A password. Its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
