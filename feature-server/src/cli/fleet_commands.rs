//! The commands on the store of a fleet, in its database.

use std::path::Path;

use feature_auth::revocation::check_entry;
use feature_store::{Engine, History, PostgresEngine, copy_to_log, export_log};

use super::commands::{self, DataError, bar, show, write_export};
use crate::config::settings::Store;
use crate::server::storage::open_database;

/// Where the list of revoked tokens is without a database.
const NO_DATABASE: &str = "store.url is not set: without a database the file of auth.revocation_file has the list";

/// Refuses a command that knows only data folders.
///
/// # Errors
/// [`DataError::OtherPlace`] if the store is in a database.
pub fn refuse_database(store: &Store) -> Result<(), DataError> {
    let elsewhere = "the store is in the database of store.url: back that up with pg_dump, or export it";
    if store.url.is_some() { Err(DataError::OtherPlace(elsewhere)) } else { Ok(()) }
}

/// Writes the whole history to a file, or to standard output, as [`commands::export`] does. Servers may run.
///
/// # Errors
/// [`DataError`].
pub fn export(url: &str, store: &Store, output: Option<&Path>) -> Result<(), DataError> {
    let engine = open_database(url, store, None)?;
    write_export(output, 0, &|output, bar| export_log(&engine, output, &mut |done, total| show(bar, done, total)))
}

/// Fills an empty database from an export, and returns a report.
///
/// # Errors
/// [`DataError`]. When a line is wrong, nothing is imported.
pub fn import(url: &str, store: &Store, file: &Path) -> Result<String, DataError> {
    // A folder checks everything before the database gets any of it.
    let scratch = tempfile::tempdir().map_err(|reason| DataError::File {
        action: "make a folder in",
        path: std::env::temp_dir(),
        reason,
    })?;
    let folder = scratch.path().join("checked");
    commands::import(&folder, file)?;
    let history = History::open(&folder)?;
    let engine = open_database(url, store, Some(history.store()))?;
    let bar = bar("import", history.revision(), "events");
    let revision = copy_to_log(&history, &engine, &mut |done, total| show(&bar, done, total))?;
    Ok(format!("imported into the database, up to revision {revision}\n"))
}

/// Revokes tokens on all servers of a fleet, and returns a report.
///
/// # Errors
/// [`DataError`]: what is wrong with the entry, or with the database.
pub fn revoke(store: &Store, entry: &str) -> Result<String, DataError> {
    let url = store.url.as_deref().ok_or(DataError::OtherPlace(NO_DATABASE))?;
    check_entry(entry).map_err(DataError::NoEntry)?;
    let engine: PostgresEngine = open_database(url, store, None)?;
    engine.revoke(entry.trim()).map_err(DataError::Revoke)?;
    Ok("revoked: every server refuses such tokens within 2 seconds\n".to_owned())
}
