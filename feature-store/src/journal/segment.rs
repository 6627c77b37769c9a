//! The files of a journal: one for each segment.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::frame::{self, SEGMENT_HEADER};
use super::mark::Position;
use crate::error::OpenError;
use crate::files::{self, DataFile, FileError};

/// Creates a segment without frames, or empties a half-made one. The result is durable.
pub(super) fn start_segment(folder: &Path, store: Uuid, first: u64) -> Result<DataFile, FileError> {
    let file = DataFile::open(&segment_path(folder, first))?;
    file.truncate(0)?;
    file.write_at(&frame::segment_header(store, first), 0)?;
    file.sync_all()?;
    files::sync_folder(folder)?;
    Ok(file)
}

pub(super) fn start_of(segment: u64) -> Position {
    Position { segment, offset: SEGMENT_HEADER as u64 }
}

const SUFFIX: &str = ".log";

pub(crate) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(numbered_name(first, SUFFIX))
}

/// The revisions that name the segments in a folder, ascending.
pub(crate) fn segments_in(folder: &Path) -> Result<Vec<u64>, FileError> {
    numbered(folder, SUFFIX)
}

/// The name of the file of a revision.
pub(super) fn numbered_name(revision: u64, suffix: &str) -> String {
    format!("{revision:020}{suffix}")
}

/// The revisions in the names of files that end so, ascending. Other files are ignored.
pub(super) fn numbered(folder: &Path, suffix: &str) -> Result<Vec<u64>, FileError> {
    let names = files::names(folder)?;
    let revision = |name: &String| name.strip_suffix(suffix)?.parse().ok();
    // `1.log` and `+1.log` parse too, but the segment of that revision has another name.
    let named = |name| revision(name).filter(|revision| numbered_name(*revision, suffix) == *name);
    let mut revisions: Vec<_> = names.iter().filter_map(named).collect();
    revisions.sort_unstable();
    Ok(revisions)
}

/// Removes segments that a crash has left half rewritten.
pub(crate) fn remove_half_made(folder: &Path) -> Result<(), FileError> {
    let names = files::names(folder)?;
    names.iter().filter(|name| name.ends_with(".log.new")).try_for_each(|name| files::remove_file(&folder.join(name)))
}

/// Reads a whole segment: its size is bounded, and one read gets the full speed of the disk.
pub(super) fn read_segment(folder: &Path, first: u64) -> Result<Vec<u8>, OpenError> {
    let path = segment_path(folder, first);
    files::read(&path)?.ok_or(OpenError::JournalMissing { path })
}
