//! Creating, moving and removing files and folders, for a store that is made in one place and moved to another.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Result, disk, named, parent_of, sync_folder, system};

/// Creates a folder; one that exists is an error.
pub(crate) fn create_new_folder(path: &Path) -> Result<()> {
    system::create_folder(path).map_err(named("create", path))
}

/// Renames a file or folder, durably. A target folder that is not empty is an error.
pub(crate) fn move_to(from: &Path, to: &Path) -> Result<()> {
    disk::rename(from, to).map_err(named("rename to", to))?;
    sync_folder(parent_of(to))
}

/// Removes a file. The removal is not durable yet.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    disk::remove_file(path).map_err(named("remove", path))
}

/// Removes a folder with its content, if it exists.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(named("remove", path)(error)),
        _ => Ok(()),
    }
}
