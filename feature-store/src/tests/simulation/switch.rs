//! What stands in for the system's file operations in tests: those of the thread's simulated disk where there is one,
//! and else the system's own. So the code under test is the very code that runs in production.

use std::cell::RefCell;
use std::env;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::{Disk, OpenFile};
use crate::files::system;

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Runs something on a simulated disk.
pub(super) fn on<T>(disk: &Disk, run: impl FnOnce() -> T) -> T {
    DISK.set(Some(disk.clone()));
    let outcome = run();
    DISK.set(None);
    outcome
}

fn simulated<T>(path: &Path, run: impl FnOnce(&Disk) -> T, system: impl FnOnce() -> T) -> T {
    // Cloned, so that `run` may come here again. sled's files are on the real disk.
    match DISK.with_borrow(Clone::clone) {
        Some(disk) if !path.starts_with(env::temp_dir()) => run(&disk),
        _ => system(),
    }
}

#[derive(Debug)]
pub(crate) enum Handle {
    Simulated(OpenFile),
    System(system::Handle),
}

impl Handle {
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self {
            Handle::Simulated(file) => file.write_all_at(bytes, offset),
            Handle::System(file) => file.write_all_at(bytes, offset),
        }
    }

    pub(crate) fn set_len(&self, length: u64) -> io::Result<()> {
        match self {
            Handle::Simulated(file) => file.set_len(length),
            Handle::System(file) => file.set_len(length),
        }
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        match self {
            Handle::Simulated(file) => file.sync(),
            Handle::System(file) => file.sync_data(),
        }
    }

    pub(crate) fn sync_all(&self) -> io::Result<()> {
        match self {
            Handle::Simulated(file) => file.sync(),
            Handle::System(file) => file.sync_all(),
        }
    }

    pub(crate) fn try_lock(&self) -> Result<(), TryLockError> {
        match self {
            // The simulation has one process.
            Handle::Simulated(_) => Ok(()),
            Handle::System(file) => file.try_lock(),
        }
    }
}

pub(crate) fn open(path: &Path) -> io::Result<Handle> {
    simulated(path, |disk| disk.open(path).map(Handle::Simulated), || system::open(path).map(Handle::System))
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    simulated(path, |disk| disk.read(path), || system::read(path))
}

pub(crate) fn read_range(path: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let range = |content: Vec<u8>| {
        let start = content.len().min(offset as usize);
        content[start..content.len().min(start + bytes)].to_vec()
    };
    simulated(path, |disk| disk.read(path).map(range), || system::read_range(path, offset, bytes))
}

pub(crate) fn length(path: &Path) -> io::Result<u64> {
    simulated(path, |disk| disk.read(path).map(|content| content.len() as u64), || system::length(path))
}

pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    simulated(folder, |disk| disk.names(folder), || system::names(folder))
}

pub(crate) fn is_folder(path: &Path) -> bool {
    simulated(path, |disk| disk.is_folder(path), || system::is_folder(path))
}

pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    simulated(path, |disk| disk.create_folder(path), || system::create_folder(path))
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    simulated(path, |disk| disk.sync_folder(path), || system::sync_folder(path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    simulated(from, |disk| disk.rename(from, to), || system::rename(from, to))
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    simulated(path, |disk| disk.remove_file(path), || system::remove_file(path))
}

pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    simulated(path, |disk| disk.free_bytes(), || system::free_bytes(path))
}
