//! Reading and copying a folder that another process may own. The source is never changed.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::private::OF_OWNER;
use super::{Result, named, sync_folder};

/// The result of sharing a lock.
#[derive(Debug)]
pub(crate) enum SharedLock {
    /// Held until it is dropped: no process writes meanwhile.
    Held { _file: File },
    /// The lock file does not exist: no process has ever opened the folder for writing.
    Absent,
    /// Another process has the folder open for writing.
    InUse,
}

/// Shares the lock of a folder with other readers, without creating it.
pub(crate) fn share_lock(path: &Path) -> Result<SharedLock> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(SharedLock::Absent),
        Err(error) => return Err(named("open", path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(SharedLock::Held { _file: file }),
        Err(TryLockError::WouldBlock) => Ok(SharedLock::InUse),
        Err(TryLockError::Error(error)) => Err(named("lock", path)(error)),
    }
}

/// Copies the first `bytes` of a file, with its owner's rights, to a new file. The content is durable, the name is not
/// yet. A shorter file is an error.
pub(crate) fn copy_start(from: &Path, to: &Path, bytes: u64) -> Result<()> {
    let source = File::open(from).map_err(named("open", from))?;
    let mode = source.metadata().map_err(named("read", from))?.mode() & OF_OWNER;
    let mut target =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(to).map_err(named("create", to))?;
    match io::copy(&mut source.take(bytes), &mut target) {
        Ok(copied) if copied < bytes => Err(named("copy", from)(ErrorKind::UnexpectedEof.into())),
        outcome => outcome.map(drop).map_err(named("write", to)),
    }?;
    target.sync_all().map_err(named("sync", to))
}

/// Copies a folder with its files and folders and their owner's rights. The content is durable, the folder's own name
/// is not yet. Hidden files, which are half-made, and everything that is neither file nor folder are left out.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let mode = fs::metadata(from).map_err(named("read", from))?.mode() & OF_OWNER;
    DirBuilder::new().mode(mode).create(to).map_err(named("create", to))?;
    for name in super::names(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        let kind = fs::symlink_metadata(&source).map_err(named("read", &source))?.file_type();
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_file() && !name.starts_with('.') {
            copy_start(&source, &target, super::length(&source)?)?;
        }
    }
    sync_folder(to)
}
