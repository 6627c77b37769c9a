//! Revoked tokens: the current list, from a file that is read at start, and again after each change.
//!
//! If the file breaks or disappears, the last good list stays: no accident makes a revoked token valid again.
//!
//! A line is an entry, a comment after `#`, or blank. An id with blanks or quotes is written as a JSON string.
//!
//! ```text
//! # what      id                                    of one issuer alone           issued before (Unix time)
//! jti         0b7c62be-4b0c-4f43-9d39-3f1c2b9d6f10  issuer https://id.example.com
//! subject     ann                                   issuer https://id.example.com before 1800000000
//! subject     "Mary Ann"
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::clock::Timestamp;
use crate::text_file;

/// The largest accepted file, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The most entries of a list, which take about 150 MB of memory.
pub const ENTRIES_MAX: usize = 1_000_000;

/// The current list, and the file that it comes from. The servers of a fleet have another list in common.
#[derive(Debug)]
pub(crate) struct Revocations {
    file: Option<PathBuf>,
    current: ArcSwap<RevocationList>,
    shared: ArcSwap<RevocationList>,
    /// Changes with every reading.
    version: AtomicU64,
    /// Notifies those who wait for the next reading.
    changed: Arc<Notify>,
    last: Mutex<LastReading>,
}

#[derive(Debug, Default)]
struct LastReading {
    stamp: Option<Stamp>,
    /// Why the reading failed. It is logged once.
    problem: Option<String>,
}

/// Distinguishes two contents of a file without reading them: place, size, times of the last changes.
type Stamp = ([u64; 3], [i64; 4]);

impl Revocations {
    /// Reads the file. Without a file no token is revoked.
    pub(crate) fn open(file: Option<&Path>, now: Timestamp) -> Result<Self, ListError> {
        let stamp = file.and_then(|file| stamp(file, now));
        let list = file.map(read).transpose()?.unwrap_or_default();
        let current = ArcSwap::from_pointee(list);
        let last = Mutex::new(LastReading { stamp, problem: None });
        let (shared, version, changed) = (ArcSwap::default(), AtomicU64::new(0), Arc::default());
        Ok(Self { file: file.map(Path::to_owned), current, shared, version, changed, last })
    }

    /// Ready at the next reading.
    pub(crate) fn next_change(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// A number that changes with every reading.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn set(&self, list: &ArcSwap<RevocationList>, newer: RevocationList) {
        list.store(Arc::new(newer));
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether a token is revoked: by its id (`jti`), or by its subject and the time when it was issued.
    pub(crate) fn revokes(&self, issuer: &str, id: Option<&str>, subject: &str, issued_at_s: Option<u64>) -> bool {
        let in_list = |list: &ArcSwap<RevocationList>| list.load().revokes(issuer, id, subject, issued_at_s);
        in_list(&self.current) || in_list(&self.shared)
    }

    /// Replaces the list that the servers of a fleet have in common. What cannot be read as an entry is left out and
    /// logged: it must not keep the others from counting.
    pub(crate) fn set_shared(&self, entries: &[String]) {
        let mut list = RevocationList::default();
        for (index, entry) in entries.iter().enumerate() {
            if list.len() == ENTRIES_MAX {
                tracing::warn!(
                    "the database has more revoked tokens than {ENTRIES_MAX}: remove those that have expired"
                );
                break;
            }
            if let Err(problem) = list.add(entry.trim()) {
                tracing::warn!(row = index + 1, problem, "a row of revoked tokens does not count");
            }
        }
        if list != **self.shared.load() {
            tracing::info!(entries = list.len(), "the revoked tokens in the database were read");
            self.set(&self.shared, list);
        }
    }

    /// Reads the file again if it has changed. Blocks.
    pub(crate) fn reload(&self, now: Timestamp) {
        let Some(file) = &self.file else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(file, now);
        if stamp.is_some() && last.stamp == stamp {
            return;
        }
        last.stamp = stamp;
        match read(file) {
            Ok(list) => {
                if last.problem.take().is_some() || list != **self.current.load() {
                    tracing::info!(entries = list.len(), "the list of revoked tokens was read again");
                }
                self.set(&self.current, list);
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

/// Checks an entry, as a line of a file or a row of a database has it.
///
/// # Errors
/// What is wrong with it.
pub fn check_entry(entry: &str) -> Result<(), &'static str> {
    if entry.contains(['\n', '\r']) {
        return Err("it is more than a line");
    }
    RevocationList::default().add(entry.trim())
}

/// The stamp of a file, taken before its content is read, so that a change in between causes another reading. `None` if
/// it has just been changed: another change may follow within the same tick of the file system's clock.
fn stamp(path: &Path, now: Timestamp) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    let is_settled = file.mtime().max(file.ctime()).saturating_add(2) < now.unix_s as i64;
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    is_settled.then_some(([file.dev(), file.ino(), file.len()], times))
}

/// Tokens that are refused although they are valid otherwise.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RevocationList {
    /// The number of each issuer, from 1: a list names few issuers many times.
    issuers: HashMap<Box<str>, u32>,
    tokens: Entries,
    subjects: Entries,
}

/// For each issuer, or 0 for all issuers, and each id the time before which issued tokens are revoked, in seconds since
/// 1970; `u64::MAX` for all.
type Entries = HashMap<(u32, Box<str>), u64>;

/// Why a list cannot be used. The errors do not repeat the line: it may be a secret in the wrong file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("has more than {FILE_MAX_BYTES} bytes: take out entries whose tokens have expired")]
    TooLarge,
    #[error("is no UTF-8 text")]
    NoText,
    /// The text is empty, which is also how a file looks that is just being written.
    #[error("is empty: if nothing is revoked, write a comment such as '# nothing is revoked'")]
    Empty,
    #[error("line {0} does not end with a line break, so it may be incomplete")]
    Incomplete(usize),
    #[error(
        "line {0} is no entry ({1}); an entry is 'jti ID [issuer ISSUER]' or \
         'subject ID [issuer ISSUER] [before UNIX_SECONDS]'"
    )]
    Line(usize, &'static str),
    #[error("has more than {ENTRIES_MAX} entries: take out those whose tokens have expired")]
    TooMany,
}

impl RevocationList {
    /// Reads a list.
    fn parse(text: &str, entries_max: usize) -> Result<Self, ListError> {
        if text.is_empty() {
            return Err(ListError::Empty);
        }
        if !text.ends_with('\n') {
            return Err(ListError::Incomplete(text.lines().count()));
        }
        let mut list = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if list.len() == entries_max {
                return Err(ListError::TooMany);
            }
            list.add(line).map_err(|problem| ListError::Line(index + 1, problem))?;
        }
        Ok(list)
    }

    fn add(&mut self, mut entry: &str) -> Result<(), &'static str> {
        let of_subject = match word(&mut entry)?.as_deref() {
            Some("jti") => false,
            Some("subject") => true,
            _ => return Err("it begins with neither 'jti' nor 'subject'"),
        };
        let id = word(&mut entry)?.filter(|id| !id.is_empty()).ok_or("the id is missing")?;
        let (mut issuer, mut before_s) = (None, None);
        while let Some(name) = word(&mut entry)? {
            let value = word(&mut entry)?.ok_or("a value is missing at its end")?;
            if name == "issuer" && issuer.is_none() {
                issuer = Some(value);
            } else if name == "before" && of_subject && before_s.is_none() {
                before_s = Some(value.parse().map_err(|_| "'before' takes whole seconds since 1970")?);
            } else {
                return Err("it says more than belongs there, or the same twice");
            }
        }
        let next = self.issuers.len() as u32 + 1;
        let issuer = issuer.map_or(0, |issuer| *self.issuers.entry(issuer.into()).or_insert(next));
        let entries = if of_subject { &mut self.subjects } else { &mut self.tokens };
        let before = entries.entry((issuer, id.into())).or_default();
        *before = before_s.unwrap_or(u64::MAX).max(*before);
        Ok(())
    }

    /// The number of its entries.
    fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len()
    }

    /// As [`Revocations::revokes`].
    fn revokes(&self, issuer: &str, id: Option<&str>, subject: &str, issued_at_s: Option<u64>) -> bool {
        // A token without `iat` may be an old one.
        let issued_before = |before: &u64| issued_at_s.is_none_or(|issued| issued < *before);
        [Some(&0), self.issuers.get(issuer)].into_iter().flatten().any(|&issuer| {
            id.is_some_and(|id| self.tokens.contains_key(&(issuer, id.into())))
                || self.subjects.get(&(issuer, subject.into())).is_some_and(issued_before)
        })
    }
}

/// Takes the next word, or the next JSON string, from a trimmed text.
fn word<'l>(rest: &mut &'l str) -> Result<Option<Cow<'l, str>>, &'static str> {
    if rest.is_empty() {
        return Ok(None);
    }
    if !rest.starts_with('"') {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        *rest = after.trim_start();
        return Ok(Some(Cow::Borrowed(word)));
    }
    let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let word = strings.next().and_then(Result::ok).ok_or("a text in quotes is no JSON string")?;
    let after = &rest[strings.byte_offset()..];
    if !after.is_empty() && !after.starts_with(char::is_whitespace) {
        return Err("something follows a text in quotes without a blank");
    }
    *rest = after.trim_start();
    Ok(Some(Cow::Owned(word)))
}

#[cfg(test)]
mod tests;
