//! `feature-server backup`: copies the store and the files beside it.

use std::path::Path;

use super::DataError;
use super::bar::Bar;

/// Copies the data folder, also while a server runs on it, checks the copy, and returns a report.
///
/// # Errors
/// [`DataError`]; then there is no backup.
pub fn backup(data: &Path, target: &Path, with_keys: bool) -> Result<String, DataError> {
    let also: &[&str] = if with_keys { &["keys"] } else { &[] };
    let bar = Bar::new("backup", 0, "bytes");
    let revision = feature_store::backup(data, target, also, &mut |done, total| bar.show_of(done, total))?;
    drop(bar);
    Ok(format!("backup of {} in {}, up to revision {revision}\n", data.display(), target.display()))
}
