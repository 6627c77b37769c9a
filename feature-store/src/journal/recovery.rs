//! The check of a whole journal on the disk. It changes no file.

use std::path::Path;

use feature_core::Timestamp;
use uuid::Uuid;

use super::frame::{self, Frame, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::scan::{Scan, Tail, scan};
use super::{corrupt, not_understood, read_segment, segments_in, start_of};
use crate::error::OpenError;
use crate::format::encoding::decode_event;

/// A journal that has everything that was once durable, and perhaps a torn end.
#[derive(Debug)]
pub(super) struct CheckedJournal {
    /// The revisions that name the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// The last of them.
    pub(super) last: u64,
    /// The bytes of the last one; for a half-made one, the bytes of its header as they must be.
    pub(super) bytes: Vec<u8>,
    /// The content of the last one.
    pub(super) scan: Scan,
    /// Whether a crash interrupted the creation of the last segment, before any frame.
    pub(super) half_made: bool,
    /// The bytes of all segments up to the end of the last good frame.
    pub(super) total_bytes: u64,
    /// The time of the last event, if this version understands it.
    pub(super) newest_event: Option<Timestamp>,
}

/// Checks every frame of the journal in `folder`.
///
/// # Errors
/// [`OpenError`] when the journal is not what was once durable.
pub(super) fn check_journal(folder: &Path, store: Uuid) -> Result<CheckedJournal, OpenError> {
    let segments = segments_in(folder)?;
    let Some(&last) = segments.last() else { return Err(OpenError::JournalMissing { path: folder.to_owned() }) };
    let proven = Mark::read(folder, frame::seed(store))?;
    let mut revision = 0;
    let (mut total_bytes, mut newest_event) = (0, None);
    for &first in &segments[..segments.len() - 1] {
        let bytes = read_segment(folder, first)?;
        let scan = check_segment(folder, store, first, &bytes, revision)?;
        // A segment frees its space before the next one begins.
        if scan.end < bytes.len() {
            return Err(corrupt(folder, first, scan.end, "the bytes here fail their check, but a segment follows"));
        }
        revision = scan.revision;
        total_bytes += scan.end as u64;
        newest_event = time_of_last_event(&bytes, &scan, store).or(newest_event);
    }

    let mut bytes = read_segment(folder, last)?;
    let half_made = last == revision + 1 && last != 1 && bytes.len() <= SEGMENT_HEADER && proven < Some(start_of(last));
    if half_made {
        bytes = frame::segment_header(store, last).to_vec();
    }
    let scan = check_segment(folder, store, last, &bytes, revision)?;
    total_bytes += scan.end as u64;
    newest_event = time_of_last_event(&bytes, &scan, store).or(newest_event);
    let end = Position { segment: last, offset: scan.end as u64 };
    if let Some(proven) = proven
        && proven > end
    {
        let Position { segment, offset } = proven;
        let reason = format!("the journal ends here, but it was durable up to byte {offset} of segment {segment}");
        return Err(corrupt(folder, last, scan.end, &reason));
    }
    Ok(CheckedJournal { segments, last, bytes, scan, half_made, total_bytes, newest_event })
}

fn time_of_last_event(bytes: &[u8], scan: &Scan, store: Uuid) -> Option<Timestamp> {
    let frame = Frame::read(bytes, scan.last_event?, frame::seed(store))?;
    decode_event(frame.revision, frame.payload).ok().map(|event| event.time)
}

fn check_segment(folder: &Path, store: Uuid, first: u64, bytes: &[u8], revision: u64) -> Result<Scan, OpenError> {
    if first != revision + 1 {
        let reason = format!("the journal goes on here, but the events from revision {} on are missing", revision + 1);
        return Err(corrupt(folder, first, 0, &reason));
    }
    if !bytes.starts_with(&frame::segment_header(store, first)) {
        return Err(corrupt(folder, first, 0, "the header is damaged or the one of another store"));
    }
    let scan = scan(bytes, frame::seed(store), revision);
    match scan.tail {
        Tail::Corrupt(reason) => Err(corrupt(folder, first, scan.end, reason)),
        Tail::NotUnderstood => Err(not_understood(folder, first, scan.end)),
        Tail::Nothing | Tail::Torn => Ok(scan),
    }
}
