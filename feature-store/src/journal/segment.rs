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

pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

pub(super) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(segment_name(first))
}

/// The revisions that name the segments in a folder, ascending. Other files are ignored.
pub(super) fn segments_in(folder: &Path) -> Result<Vec<u64>, FileError> {
    let names = files::names(folder)?;
    let revision = |name: &String| name.strip_suffix(".log")?.parse().ok();
    // `1.log` and `+1.log` parse too, but the segment of that revision has another name.
    let segment = |name| revision(name).filter(|first| segment_name(*first) == *name);
    let mut segments: Vec<_> = names.iter().filter_map(segment).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Reads a whole segment: its size is bounded, and one read gets the full speed of the disk.
pub(super) fn read_segment(folder: &Path, first: u64) -> Result<Vec<u8>, OpenError> {
    let path = segment_path(folder, first);
    files::read(&path)?.ok_or(OpenError::JournalMissing { path })
}
