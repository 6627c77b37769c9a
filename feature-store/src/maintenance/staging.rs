//! A store that is made in a subfolder and moved into place when it is whole. The identity comes last: a folder without
//! it is not a store.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::files::{self, FileError};
use crate::format::identity::{self, Identity};

/// The subfolder in which the store is made.
const PARTIAL: &str = "partial";

/// A store in the making. Dropped before it is finished, it leaves the folder as before.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    /// Whether the caller made the folder for this.
    made: bool,
    /// The files and folders that are in place already.
    moved: Vec<PathBuf>,
    finished: bool,
}

impl Staging {
    /// What an attempt leaves in the folder when a crash ends it.
    pub(crate) const REMAINS: &str = PARTIAL;

    /// Begins in a folder that is missing or has only names of `may_hold`. With [`Staging::REMAINS`] among them, the
    /// remains of an earlier attempt are removed; the caller must hold the folder's lock for that.
    ///
    /// # Errors
    /// [`OpenError::NotEmpty`], or [`OpenError::Io`] when the folder cannot be written.
    pub(crate) fn begin(folder: &Path, made: bool, may_hold: &[&str]) -> Result<Self, OpenError> {
        let names = files::names(folder)?;
        if let Some(name) = names.into_iter().find(|name| !may_hold.contains(&name.as_str())) {
            return Err(OpenError::NotEmpty { folder: folder.to_owned(), name });
        }
        let partial = folder.join(PARTIAL);
        if may_hold.contains(&Self::REMAINS) {
            files::remove_folder(&partial)?;
        }
        files::create_folder(folder)?;
        files::make_private(folder);
        // Of two processes that begin at once, one gets the error that the folder exists.
        files::create_new_folder(&partial)?;
        Ok(Self { folder: folder.to_owned(), made, moved: Vec::new(), finished: false })
    }

    /// The folder in which to make the store.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.join(PARTIAL)
    }

    /// Moves everything into place and writes the identity. All content must be durable.
    ///
    /// # Errors
    /// [`FileError`]; then the folder has no identity.
    pub(crate) fn finish(mut self, identity: Identity) -> Result<(), FileError> {
        let partial = self.folder();
        for name in files::names(&partial)? {
            let target = self.folder.join(&name);
            files::move_to(&partial.join(&name), &target)?;
            self.moved.push(target);
        }
        identity::write(&self.folder, identity)?;
        self.finished = true;
        files::remove_folder(&partial)?;
        files::sync_folder(&self.folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A rest that cannot be removed has no identity, and the next attempt names it.
        if self.finished {
            return;
        }
        for made in self.moved.iter().chain([&self.folder()]) {
            let _ = files::remove_folder(made);
        }
        if self.made {
            let _ = fs::remove_file(self.folder.join("lock"));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}
