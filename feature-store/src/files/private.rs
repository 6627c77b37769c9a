//! Keeps other users of the machine out of what is stored. What is made here is for its owner alone, whatever the umask;
//! what was there before is narrowed.

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

/// The bits of a mode that stay.
pub(super) const OF_OWNER: u32 = 0o700;
const OF_OTHERS: u32 = 0o077;

/// The folder whose files are left as they are. Who uses them warns of keys that others could read, since those have to
/// be replaced.
const KEYS: &str = "keys";

/// Takes all rights of others on a folder and on what is in it, and logs that in one line. A folder that does not exist is
/// no error. What cannot be narrowed is named in a warning, and is no reason not to start.
pub(crate) fn make_private(folder: &Path) {
    let mut narrowed = Narrowed::default();
    // The folder itself may be a symbolic link that the operator has made.
    if let Ok(metadata) = fs::metadata(folder) {
        narrowed.narrow(folder, &metadata, OFlags::empty());
        // Top-down, so that nobody can put something else in the place of what comes next.
        narrowed.narrow_content(folder);
    }
    let Narrowed { count, problem } = narrowed;
    if count > 0 {
        tracing::info!(folder = %folder.display(), narrowed = count, "others had rights on stored files: they have none now");
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "others may have rights on stored files: run chmod -R go= on the folder as its owner");
    }
}

#[derive(Default)]
struct Narrowed {
    count: usize,
    /// The first thing that could not be narrowed.
    problem: Option<FileError>,
}

impl Narrowed {
    fn narrow_content(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.failed(folder, error),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            // Of a symbolic link the mode of its target counts; opening it fails then, which is the warning.
            let (Ok(own), Ok(metadata)) = (entry.metadata(), fs::metadata(&path)) else { continue };
            self.narrow(&path, &metadata, OFlags::NOFOLLOW);
            if own.is_dir() && !path.ends_with(KEYS) {
                self.narrow_content(&path);
            }
        }
    }

    /// `flags`: how it is opened. A mode is changed through an open file, so that it is the one that was looked at.
    fn narrow(&mut self, path: &Path, metadata: &Metadata, flags: OFlags) {
        if metadata.permissions().mode() & OF_OTHERS == 0 {
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
