//! A disk in memory that behaves as badly as disks may. Readers see written bytes at once, but only synced bytes
//! survive a power cut for sure. Any operation can fail, or be the last one before a crash.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;

use super::image::Image;

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails with EIO. A write may have got a part down before; a sync takes what it should have written for
    /// written, as Linux does.
    Broken,
    /// It fails with ENOSPC, in the same ways.
    Full,
    /// The process dies before it, in it or after it.
    Crash,
}

/// A disk; clones share it.
#[derive(Clone)]
pub(super) struct Disk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Looks at the store before and after every operation.
    witness: Mutex<Option<Witness>>,
}

type Witness = Arc<dyn Fn() + Send + Sync>;

struct State {
    rng: Rng,
    image: Image,
    free_bytes: u64,
    /// After how many operations what happens.
    plan: Option<(usize, Fault)>,
    /// What has happened to an operation of this process.
    happened: Option<Fault>,
    /// The first change that was attempted after that, which must not be.
    attempted_since: Option<String>,
}

impl Disk {
    pub(super) fn new(rng: Rng) -> Self {
        let image = Image::empty();
        let state = State { rng, image, free_bytes: u64::MAX, plan: None, happened: None, attempted_since: None };
        Self(Arc::new(Shared { state: Mutex::new(state), witness: Mutex::default() }))
    }

    /// Has something look at the store around every operation from now on.
    pub(super) fn set_witness(&self, witness: Option<Witness>) {
        *self.0.witness.lock().expect("no code panics with the lock") = witness;
    }

    /// Lets so many operations more succeed, and this happen to the next one.
    pub(super) fn plan(&self, operations: usize, fault: Fault) {
        self.state().plan = Some((operations, fault));
    }

    pub(super) fn set_free_bytes(&self, free_bytes: u64) {
        self.state().free_bytes = free_bytes;
    }

    /// What has happened since the process began.
    pub(super) fn happened(&self) -> Option<Fault> {
        self.state().happened
    }

    /// A change that was attempted after an operation had failed.
    pub(super) fn attempted_since(&self) -> Option<String> {
        self.state().attempted_since.clone()
    }

    /// The process ends, and another one may begin.
    pub(super) fn end_process(&self) {
        let mut state = self.state();
        (state.plan, state.happened, state.attempted_since) = (None, None, None);
    }

    pub(super) fn lose_power(&self) {
        let State { rng, image, .. } = &mut *self.state();
        image.lose_power(rng);
    }

    /// Looks at what is on the disk, or changes it.
    pub(super) fn with_image<T>(&self, look: impl FnOnce(&mut Image) -> T) -> T {
        look(&mut self.state().image)
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<OpenFile> {
        let creates = self.with_image(|image| image.content(path).is_err());
        self.operate("open", path, creates, |image, _, whole| {
            path.parent().filter(|folder| image.has_folder(folder)).ok_or(ErrorKind::NotFound)?;
            if creates && whole {
                image.create_file(path);
            }
            Ok(())
        })?;
        Ok(OpenFile { disk: self.clone(), path: path.to_owned() })
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.operate("read", path, false, |image, _, _| Ok(image.content(path)?.seen().to_vec()))
    }

    pub(super) fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.operate("list", folder, false, |image, _, _| {
            let here = image.files().filter(|path| path.parent() == Some(folder));
            Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
        })
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.with_image(|image| image.has_folder(path))
    }

    pub(super) fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.operate("create", path, true, |image, _, whole| {
            if whole {
                image.create_folder(path);
            }
            Ok(())
        })
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate("rename", from, true, |image, _, whole| {
            if whole {
                image.rename(from, to);
            }
            Ok(())
        })
    }

    pub(super) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.operate("remove", path, true, |image, _, whole| {
            image.content(path)?;
            if whole {
                image.remove(path);
            }
            Ok(())
        })
    }

    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.operate("sync", path, true, |image, _, whole| {
            if whole {
                image.sync_folder(path);
            }
            Ok(())
        })
    }

    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let free_bytes = self.state().free_bytes;
        self.operate("measure", Path::new("/"), false, |_, _, _| Ok(free_bytes))
    }

    /// Does one operation, or what is planned to happen to it.
    ///
    /// `run`: does it as a whole, or else what an operation that fails may do all the same.
    fn operate<T>(
        &self,
        what: &str,
        path: &Path,
        changes: bool,
        run: impl FnOnce(&mut Image, &mut Rng, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        self.look();
        let outcome = self.state().operate(what, path, changes, run);
        self.look();
        outcome
    }

    /// Lets the witness look.
    pub(super) fn look(&self) {
        let witness = self.0.witness.lock().expect("no code panics with the lock").clone();
        if let Some(witness) = witness {
            witness();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no code panics with the lock")
    }
}

impl State {
    fn operate<T>(
        &mut self,
        what: &str,
        path: &Path,
        changes: bool,
        run: impl FnOnce(&mut Image, &mut Rng, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.happened {
            Some(Fault::Crash) => return Err(io::Error::other("the process is dead")),
            Some(_) if changes && self.attempted_since.is_none() => {
                self.attempted_since = Some(format!("{what} {}", path.display()));
            }
            _ => {}
        }
        let fault = match &mut self.plan {
            Some((0, fault)) => Some(*fault),
            Some((operations, _)) => {
                *operations -= 1;
                None
            }
            None => None,
        };
        let Some(fault) = fault else { return run(&mut self.image, &mut self.rng, true) };
        (self.plan, self.happened) = (None, Some(fault));
        let whole = fault == Fault::Crash && self.rng.bool();
        // It fails, even when it was done as a whole.
        let _ = run(&mut self.image, &mut self.rng, whole);
        Err(match fault {
            Fault::Broken => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
            Fault::Full => ErrorKind::StorageFull.into(),
            Fault::Crash => io::Error::other("the process dies"),
        })
    }
}

/// A file that is open.
pub(crate) struct OpenFile {
    disk: Disk,
    path: PathBuf,
}

impl OpenFile {
    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.operate("write", &self.path, true, |image, rng, whole| {
            let length = if whole { bytes.len() } else { rng.usize(..=bytes.len()) };
            image.content(&self.path)?.write(offset as usize, &bytes[..length]);
            Ok(())
        })
    }

    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.operate("truncate", &self.path, true, |image, _, whole| {
            let content = image.content(&self.path)?;
            if whole {
                content.resize(length as usize);
            }
            Ok(())
        })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.operate("sync", &self.path, true, |image, rng, whole| {
            let content = image.content(&self.path)?;
            if whole {
                content.sync();
            } else {
                content.fail_to_sync(rng);
            }
            Ok(())
        })
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenFile").field(&self.path).finish()
    }
}
