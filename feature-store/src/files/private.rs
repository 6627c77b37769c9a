//! Keeps other users of the machine out of the stored files: new files are for their owner alone with any umask,
//! and existing ones lose the rights of others.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::{FileError, named};

/// The mode of a new folder.
pub(super) const FOLDER: u32 = 0o700;
/// The mode of a new file.
pub(super) const FILE: u32 = 0o600;

/// The bits of a mode that an owner keeps.
pub(super) const OF_OWNER: u32 = 0o700;
const OF_OTHERS: u32 = 0o077;

/// A folder with this bit, such as `/tmp`, is for all users of the machine.
const STICKY: u32 = 0o1000;

/// The parts of a data folder. Other files in it are left alone.
const PARTS: [&str; 10] = [
    "identity",
    "identity.new",
    "journal",
    KEYS,
    "lock",
    "partial",
    "projection",
    "projection.set-aside",
    "replica",
    "replica.set-aside",
];

/// The files in this folder keep their rights: the code that reads keys warns of those that others could read, since
/// such keys have to be replaced.
const KEYS: &str = "keys";

/// Removes all rights of others on a data folder and its parts, and logs that in one line. A missing folder is not an
/// error. A file whose rights cannot be changed is named in a warning; the start goes on.
pub(crate) fn make_private(folder: &Path) {
    let Ok(metadata) = fs::metadata(folder) else { return };
    let names = super::names(folder).unwrap_or_default();
    let mut narrowed = Narrowed::default();
    // Top-down, so that no other user can replace the files that come next.
    if is_for_store_alone(&names, &metadata) {
        // The folder itself may be a symbolic link that the operator has made.
        narrowed.narrow(folder, &metadata, OFlags::empty());
    } else if is_open_to_others(&metadata) {
        narrowed.failed(folder, io::Error::other("it is not for a store alone"));
    }
    if names.iter().any(|name| ["identity", "replica"].contains(&name.as_str())) {
        PARTS.iter().for_each(|part| narrowed.visit(&folder.join(part)));
    }
    let Narrowed { count, problem } = narrowed;
    if count > 0 {
        let folder = folder.display();
        tracing::info!(%folder, narrowed = count, "others had rights on stored files: they have none now");
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "others may have rights on stored files: use a folder for them alone, or chmod go=");
    }
}

/// Whether a folder with these names in it is for a store alone. A start with `--data /tmp` must not take `/tmp` from
/// other users.
fn is_for_store_alone(names: &[String], metadata: &Metadata) -> bool {
    let is_part = |name: &String| PARTS.contains(&name.as_str()) || name == "lost+found";
    metadata.permissions().mode() & STICKY == 0 && names.iter().all(is_part)
}

fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & OF_OTHERS != 0
}

#[derive(Default)]
struct Narrowed {
    count: usize,
    /// The first file whose rights could not be changed.
    problem: Option<FileError>,
}

impl Narrowed {
    /// Narrows a file, or a folder with its content, if it exists.
    fn visit(&mut self, path: &Path) {
        // For a symbolic link the mode of its target counts; the open without following it fails, which is the warning.
        let (Ok(own), Ok(metadata)) = (fs::symlink_metadata(path), fs::metadata(path)) else { return };
        self.narrow(path, &metadata, OFlags::NOFOLLOW);
        if own.is_dir() && !path.ends_with(KEYS) {
            match super::names(path) {
                Ok(names) => names.iter().for_each(|name| self.visit(&path.join(name))),
                Err(error) => drop(self.problem.get_or_insert(error)),
            }
        }
    }

    /// `flags`: for the open. The mode is changed through the open file, so that it is the file whose mode was read.
    fn narrow(&mut self, path: &Path, metadata: &Metadata, flags: OFlags) {
        if !is_open_to_others(metadata) {
            return;
        }
        let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
        match OpenOptions::new().read(true).custom_flags(flags).open(path).and_then(|file| narrow(&file)) {
            Ok(()) => self.count += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.failed(path, error),
        }
    }

    fn failed(&mut self, path: &Path, error: io::Error) {
        self.problem.get_or_insert_with(|| named("take the rights of others on", path)(error));
    }
}

fn narrow(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & OF_OWNER;
    file.set_permissions(Permissions::from_mode(mode))
}
