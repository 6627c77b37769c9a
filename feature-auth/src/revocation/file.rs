//! The file with the list of revoked tokens: read at start, and again when it has changed. What it says is not known
//! here.
//!
//! Whatever happens to the file, the last good list stays: nothing that was revoked comes back by an accident.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};

use crate::auth::revocation::list::{ListError, RevocationList};
use crate::text_file;

/// The largest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationFileError {
    /// The file system refuses.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is too large.
    #[error("has more than {FILE_MAX_BYTES} bytes: take out entries whose tokens have expired")]
    TooLarge,
    /// It is no text.
    #[error("is no UTF-8 text")]
    NoText,
    /// It is no list.
    #[error(transparent)]
    List(#[from] ListError),
}

/// A list, and which one it is.
#[derive(Debug, Default)]
pub struct Revoked {
    /// The list.
    pub list: RevocationList,
    /// A number that no other list of this process has.
    pub version: u64,
}

/// The list in force.
#[derive(Debug)]
pub struct Revocations {
    current: ArcSwap<Revoked>,
    file: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    last: Mutex<LastLook>,
}

#[derive(Debug, Default)]
struct LastLook {
    stamp: Option<Stamp>,
    /// What was wrong with it, which is logged once.
    problem: Option<String>,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
    /// Whether it had been at rest when it was read. What changed just before may change again within the same tick of
    /// the file system's clock.
    settled: bool,
}

impl Revocations {
    /// Reads the file, when there is one. Without one nothing is revoked.
    ///
    /// # Errors
    /// [`RevocationFileError`] when it cannot be used.
    pub fn open(path: Option<&Path>) -> Result<Self, RevocationFileError> {
        let Some(path) = path else { return Ok(Self { current: ArcSwap::default(), file: None }) };
        let (stamp, list) = read(path)?;
        let last = Mutex::new(LastLook { stamp: Some(stamp), problem: None });
        let current = ArcSwap::from_pointee(Revoked { list, version: 0 });
        Ok(Self { current, file: Some(Watched { path: path.to_owned(), last }) })
    }

    /// The list in force.
    pub fn current(&self) -> Guard<Arc<Revoked>> {
        self.current.load()
    }

    /// Whether there is a file that may change.
    pub fn may_change(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again when it has changed. Blocks.
    pub fn look(&self) {
        let Some(Watched { path, last }) = &self.file else { return };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata));
        let stamp = found.as_ref().ok().copied();
        if stamp.is_some_and(|stamp| last.stamp.is_some_and(|last| last.settled && last.is_of(&stamp))) {
            return;
        }
        match found.map_err(RevocationFileError::from).and_then(|_| read(path)) {
            Ok((stamp, list)) => {
                let same = last.problem.is_none() && last.stamp.is_some_and(|last| last.is_of(&stamp));
                *last = LastLook { stamp: Some(stamp), problem: None };
                if !same {
                    tracing::info!(entries = list.len(), "the list of revoked tokens was read again");
                }
                let version = self.current.load().version + 1;
                self.current.store(Arc::new(Revoked { list, version }));
            }
            Err(error) => {
                // The name stands in the line, the content never does.
                let problem = format!("auth.revocation_file {} {error}", path.display());
                if last.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}; the last good list stays");
                }
                *last = LastLook { stamp, problem: Some(problem) };
            }
        }
    }
}

fn read(path: &Path) -> Result<(Stamp, RevocationList), RevocationFileError> {
    let mut file = File::open(path)?;
    // Taken before the content: what changes in between is read once more.
    let stamp = Stamp::of(&file.metadata()?);
    let mut bytes = Vec::new();
    file.by_ref().take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(RevocationFileError::TooLarge);
    }
    let text = str::from_utf8(text_file::without_mark(&bytes)).map_err(|_| RevocationFileError::NoText)?;
    Ok((stamp, RevocationList::parse(text)?))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        let modified_ns = ns(metadata.mtime(), metadata.mtime_nsec());
        let changed_ns = ns(metadata.ctime(), metadata.ctime_nsec());
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let rest_ns = Duration::from_secs(2).as_nanos() as i128;
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified_ns,
            changed_ns,
            settled: modified_ns.max(changed_ns) + rest_ns < now_ns,
        }
    }

    /// Whether two stamps are of one content.
    fn is_of(&self, other: &Self) -> bool {
        Self { settled: true, ..*self } == Self { settled: true, ..*other }
    }
}

#[cfg(test)]
mod tests;
