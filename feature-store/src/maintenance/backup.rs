//! Backup: a whole copy of a store, taken while a server runs on it or not. It has no projection: the first start
//! builds one from the journal.

use std::path::Path;

use crate::error::OpenError;
use crate::files;
use crate::journal::Extent;
use crate::maintenance::staging::Staging;

/// Copies the store in the data folder to `target`, which must be missing or empty, and checks the copy. Every write
/// that was acknowledged before the call is in it. Returns the revision that it reaches.
///
/// * `also`: other folders of the data folder to copy as they are, where they exist.
/// * `progress`: gets the bytes copied and the bytes in all.
///
/// # Errors
/// [`OpenError`]; then `target` is as before.
pub fn backup(
    folder: &Path,
    target: &Path,
    also: &[&str],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, OpenError> {
    let mut extent = Extent::of(folder)?;
    let staging = Staging::begin(target, !target.exists(), &[])?;
    let total = extent.bytes();
    let to = staging.folder().join("journal");
    let revision = extent.copy(folder, &to, &mut |copied| progress(copied, total))?;
    for name in also.iter().filter(|name| folder.join(name).is_dir()) {
        files::copy_folder(&folder.join(name), &staging.folder().join(name))?;
    }
    staging.finish(extent.identity())?;
    Ok(revision)
}
