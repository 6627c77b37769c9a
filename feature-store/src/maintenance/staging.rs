//! A store that is made in a part of its folder and moved into place when it is whole. What it is made of is not known
//! here, except that the identity comes last: without it nobody takes the folder for a store.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{self, FileError};
use crate::format::identity;

/// Where in the folder the store is made.
const PARTIAL: &str = "partial";

/// A store in the making. Dropped before it is finished, it leaves the folder as it was.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    /// Whether the folder was made for this.
    made: bool,
    /// What is in place already.
    moved: Vec<PathBuf>,
    finished: bool,
}

impl Staging {
    /// What an attempt that a crash has ended leaves in the folder.
    pub(crate) const REMAINS: &str = PARTIAL;

    /// Begins in a folder that is missing or holds nothing but some of `may_hold`. The remains of an attempt that a
    /// crash has ended are removed when `may_hold` has [`Staging::REMAINS`]; only who holds the folder's lock may say
    /// so.
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
        // Of two that begin at once, one is told that the folder exists.
        files::create_new_folder(&partial)?;
        Ok(Self { folder: folder.to_owned(), made, moved: Vec::new(), finished: false })
    }

    /// Where to make the store.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.join(PARTIAL)
    }

    /// Moves everything into place and gives the folder its identity. All content must be durable.
    ///
    /// # Errors
    /// [`FileError`]; then the folder has no identity.
    pub(crate) fn finish(mut self, store: Uuid) -> Result<(), FileError> {
        let partial = self.folder();
        for name in files::names(&partial)? {
            let target = self.folder.join(&name);
            files::move_to(&partial.join(&name), &target)?;
            self.moved.push(target);
        }
        identity::write(&self.folder, store)?;
        self.finished = true;
        files::remove_folder(&partial)?;
        files::sync_folder(&self.folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is without an identity, and is told by name at the next attempt.
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
