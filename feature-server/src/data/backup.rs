//! `feature-server backup`: what is copied beside the store.

use std::path::Path;

use super::DataError;
use super::bar::Bar;

/// Copies the data folder, on which a server may run, and tells how far the copy reaches. The copy is checked.
///
/// # Errors
/// [`DataError`]. Then there is no backup.
pub fn backup(data: &Path, target: &Path, with_keys: bool) -> Result<String, DataError> {
    let also: &[&str] = if with_keys { &["keys"] } else { &[] };
    let bar = Bar::new("backup", 0, "bytes");
    let revision = feature_store::backup(data, target, also, &mut |done, total| bar.show_of(done, total))?;
    drop(bar);
    Ok(format!("backup of {} in {}, up to revision {revision}\n", data.display(), target.display()))
}
