//! The file operations of the operating system. Tests replace them by a simulated disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::private;

/// A file that is open for reading and writing.
pub(crate) type Handle = File;

/// Opens a file, or creates an empty one.
pub(crate) fn open(path: &Path) -> io::Result<Handle> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(private::FILE).open(path)
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The bytes of a file from an offset on: `bytes` of them, or those up to its end.
pub(crate) fn read_range(path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut range = Vec::with_capacity(bytes);
    file.take(bytes as u64).read_to_end(&mut range)?;
    Ok(range)
}

/// The length of a file, in bytes.
pub(crate) fn length(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder)?.map(name).collect()
}

pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(private::FOLDER).create(path)
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The bytes that are free for this process on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
