//! Every file operation of this crate except those within sled: one place to see what is synced. In tests the disk may
//! be a simulated one.

mod moving;
mod private;
mod reading;
pub(crate) mod system;

use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind};
#[cfg(not(test))]
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use moving::{create_new_folder, move_to, remove_file, remove_folder};
pub(crate) use private::make_private;
pub(crate) use reading::{SharedLock, copy_folder, copy_start, share_lock};

#[cfg(test)]
use crate::tests::simulation::switch as disk;
#[cfg(not(test))]
use system as disk;

/// A file operation that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} {}: {source}", .path.display())]
pub struct FileError {
    /// The operation, as a verb.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: Arc<io::Error>,
}

type Result<T> = std::result::Result<T, FileError>;

fn named<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> FileError + 'a {
    move |source| FileError { action, path: path.to_owned(), source: Arc::new(source) }
}

/// A file open for reading and writing that knows its path. Offsets and lengths are in bytes.
#[derive(Debug)]
pub(crate) struct DataFile {
    file: disk::Handle,
    path: PathBuf,
}

impl DataFile {
    /// Opens the file, or creates an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: disk::open(path).map_err(named("open", path))?, path: path.to_owned() })
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(named("write", &self.path))
    }

    pub(crate) fn truncate(&self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(named("truncate", &self.path))
    }

    /// Makes the content durable, and the metadata that is needed to read it.
    pub(crate) fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(named("sync", &self.path))
    }

    /// Makes content and metadata durable.
    pub(crate) fn sync_all(&self) -> Result<()> {
        self.file.sync_all().map_err(named("sync", &self.path))
    }

    /// Locks the file against other processes until it is dropped. `false`: another one has it.
    pub(crate) fn try_lock(&self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(named("lock", &self.path)(error)),
        }
    }
}

/// Reads a whole file; `None` when it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match disk::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named("read", path)(error)),
    }
}

/// Reads at most so many bytes of a file from an offset on: fewer at its end.
pub(crate) fn read_range(path: &Path, offset: u64, bytes: usize) -> Result<Vec<u8>> {
    disk::read_range(path, offset, bytes).map_err(named("read", path))
}

/// The length of a file, in bytes.
pub(crate) fn length(path: &Path) -> Result<u64> {
    disk::length(path).map_err(named("read", path))
}

/// The names in a folder, in no particular order; none when the folder does not exist.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    match disk::names(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome.map_err(named("list", folder)),
    }
}

/// Creates a folder and those above it where they are missing, durably.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    let parent = parent_of(path);
    if disk::is_folder(path) {
        // The process that made it may have crashed before its name was durable.
        return match sync_folder(parent) {
            // A parent that this user may not read was set up by another user.
            Err(error) if error.source.kind() == ErrorKind::PermissionDenied => Ok(()),
            outcome => outcome,
        };
    }
    create_folder(parent)?;
    match disk::create_folder(path) {
        // Another process, such as one that mints a token, may make the folder at the same time.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && disk::is_folder(path) => {}
        outcome => outcome.map_err(named("create", path))?,
    }
    sync_folder(parent)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    disk::sync_folder(path).map_err(named("sync", path))
}

/// So many bytes of a file that replaces another one are written and synced at once: the sync of a large part would
/// hold up the journal's.
const PART_BYTES: usize = 1024 * 1024;

/// Replaces a file, durably: afterwards it has this content or, with an error, perhaps still the old one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    move_to(&write_beside(path, bytes)?, path)
}

/// Writes the content for a file under another name, durably, from where it can be moved to its place. Returns the
/// other path.
pub(crate) fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let fresh = path.with_added_extension("new");
    let file = DataFile::open(&fresh)?;
    file.truncate(0)?;
    for (number, part) in bytes.chunks(PART_BYTES).enumerate() {
        file.write_at(part, (number * PART_BYTES) as u64)?;
        file.sync_data()?;
    }
    file.sync_all()?;
    Ok(fresh)
}

/// Renames a file or folder to `aside`, and removes the one that had that name before.
pub(crate) fn set_aside(path: &Path, aside: &Path) -> Result<()> {
    match if aside.is_dir() { fs::remove_dir_all(aside) } else { fs::remove_file(aside) } {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(named("remove", aside)(error)),
        _ => {}
    }
    fs::rename(path, aside).map_err(named("set aside", path))?;
    sync_folder(parent_of(path))
}

/// The bytes that this process may still write to the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64> {
    disk::free_bytes(path).map_err(named("measure free space at", path))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        // The parent of a plain name is the working folder.
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
