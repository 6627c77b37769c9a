//! Revoked tokens: the current list, from a file that is read at start, and again after each change.
//!
//! If the file breaks or disappears, the last good list stays: no accident makes a revoked token valid again.

pub(crate) mod list;

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use self::list::{ENTRIES_MAX, ListError, RevocationList};
use crate::clock::Timestamp;
use crate::text_file;

/// The largest accepted file, in bytes.
pub(crate) const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct ListSnapshot {
    pub list: RevocationList,
    /// A number that changes with every reading.
    pub version: u64,
}

/// The current list, and the file that it comes from.
#[derive(Debug)]
pub(crate) struct Revocations {
    file: Option<PathBuf>,
    pub current: ArcSwap<ListSnapshot>,
    last: Mutex<LastReading>,
}

#[derive(Debug, Default)]
struct LastReading {
    /// `None` if the file had just been changed: another change may follow within the same tick of the file system's
    /// clock.
    stamp: Option<Stamp>,
    /// Why the reading failed. It is logged once.
    problem: Option<String>,
}

/// Distinguishes two contents of a file without reading them: place, size, times of the last changes.
type Stamp = ([u64; 3], [i64; 4]);

impl Revocations {
    /// Reads the file. Without a file no token is revoked.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, ListError> {
        let list = file.map(read).transpose()?.unwrap_or_default();
        let current = ArcSwap::from_pointee(ListSnapshot { list, version: 0 });
        Ok(Self { file: file.map(Path::to_owned), current, last: Mutex::default() })
    }

    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again if it has changed. Blocks.
    pub(crate) fn reload(&self) {
        let Some(file) = &self.file else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the content, so that a change in between causes another reading.
        let metadata = fs::metadata(file).ok();
        let stamp = metadata.as_ref().map(stamp);
        if stamp.is_some() && last.stamp == stamp {
            return;
        }
        last.stamp = stamp.filter(|_| metadata.is_some_and(|metadata| is_settled(&metadata)));
        match read(file) {
            Ok(list) => {
                let current = self.current.load();
                if last.problem.take().is_some() || list != current.list {
                    tracing::info!(entries = list.len(), "the list of revoked tokens was read again");
                }
                self.current.store(Arc::new(ListSnapshot { list, version: current.version + 1 }));
            }
            Err(error) => {
                if let ListError::Io(_) = error {
                    // The same file may be readable the next time.
                    last.stamp = None;
                }
                // The log has the name of the file, never its content.
                let problem = Some(format!("auth.revocation_file {} {error}", file.display()));
                if let Some(problem) = problem.as_ref().filter(|_| last.problem != problem) {
                    tracing::warn!("{problem}; the last good list stays");
                }
                last.problem = problem;
            }
        }
    }
}

fn read(path: &Path) -> Result<RevocationList, ListError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(ListError::TooLarge);
    }
    let text = str::from_utf8(text_file::without_mark(&bytes)).map_err(|_| ListError::NoText)?;
    RevocationList::parse(text, ENTRIES_MAX)
}

fn stamp(file: &Metadata) -> Stamp {
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    ([file.dev(), file.ino(), file.len()], times)
}

/// Whether the last change was some time ago.
fn is_settled(file: &Metadata) -> bool {
    file.mtime().max(file.ctime()).saturating_add(2) < Timestamp::now().unix_s as i64
}

#[cfg(test)]
mod tests;
