//! The file with the list of revoked tokens: read at start, and again after each change.
//!
//! If the file breaks or disappears, the last good list stays: no accident makes a revoked token valid again.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};

use crate::revocation::list::{ListError, RevocationList};
use crate::text_file;

/// The largest accepted file, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevocationFileError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is too large.
    #[error("has more than {FILE_MAX_BYTES} bytes: take out entries whose tokens have expired")]
    TooLarge,
    /// The file is no UTF-8.
    #[error("is no UTF-8 text")]
    NoText,
    /// The text is no list.
    #[error(transparent)]
    List(#[from] ListError),
}

/// A list with its version.
#[derive(Debug, Default)]
pub(crate) struct ListSnapshot {
    /// The list.
    pub list: RevocationList,
    /// A number that changes with every reading.
    pub version: u64,
}

/// The current list, and the file that it comes from.
#[derive(Debug)]
pub(crate) struct Revocations {
    current: ArcSwap<ListSnapshot>,
    file: Option<ListFile>,
}

#[derive(Debug)]
struct ListFile {
    path: PathBuf,
    last: Mutex<LastReading>,
}

#[derive(Debug, Default)]
struct LastReading {
    stamp: Option<Stamp>,
    /// Why the last reading failed. It is logged once.
    problem: Option<String>,
}

/// Distinguishes two contents of a file without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
    /// Whether the last change was some time ago. A recent change may be followed by another one within the same tick
    /// of the file system's clock.
    settled: bool,
}

impl Revocations {
    /// Reads the file. Without a file no token is revoked.
    ///
    /// # Errors
    /// [`RevocationFileError`] if the file cannot be used.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, RevocationFileError> {
        let Some(path) = path else { return Ok(Self { current: ArcSwap::default(), file: None }) };
        let (stamp, list) = read(path)?;
        let last = Mutex::new(LastReading { stamp: Some(stamp), problem: None });
        let current = ArcSwap::from_pointee(ListSnapshot { list, version: 0 });
        Ok(Self { current, file: Some(ListFile { path: path.to_owned(), last }) })
    }

    /// The current list.
    pub(crate) fn current(&self) -> Guard<Arc<ListSnapshot>> {
        self.current.load()
    }

    /// Whether the list comes from a file.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again if it has changed. Blocks.
    pub(crate) fn reload(&self) {
        let Some(ListFile { path, last }) = &self.file else { return };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata));
        let stamp = found.as_ref().ok().copied();
        if stamp.is_some_and(|stamp| last.stamp.is_some_and(|last| last.settled && last.is_of(&stamp))) {
            return;
        }
        match found.map_err(RevocationFileError::from).and_then(|_| read(path)) {
            Ok((stamp, list)) => {
                let same = last.problem.is_none() && last.stamp.is_some_and(|last| last.is_of(&stamp));
                *last = LastReading { stamp: Some(stamp), problem: None };
                if !same {
                    tracing::info!(entries = list.len(), "the list of revoked tokens was read again");
                }
                let version = self.current.load().version + 1;
                self.current.store(Arc::new(ListSnapshot { list, version }));
            }
            Err(error) => {
                // The log has the name of the file, never its content.
                let problem = format!("auth.revocation_file {} {error}", path.display());
                if last.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}; the last good list stays");
                }
                *last = LastReading { stamp, problem: Some(problem) };
            }
        }
    }
}

fn read(path: &Path) -> Result<(Stamp, RevocationList), RevocationFileError> {
    let mut file = File::open(path)?;
    // Taken before the content, so that a change in between causes another reading.
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

    /// Whether both stamps belong to one content.
    fn is_of(&self, other: &Self) -> bool {
        Self { settled: true, ..*self } == Self { settled: true, ..*other }
    }
}

#[cfg(test)]
mod tests;
