//! Carries out erasures in the files of a journal: a complete segment or a base is replaced by one without what they
//! take out. A crash leaves the old file or the new one.

use std::path::{Path, PathBuf};

use feature_core::Erasure;
use uuid::Uuid;

use super::base::{BaseReader, BaseWriter};
use super::frame::{self, Frame, SEGMENT_HEADER, kind_of};
use super::{corrupt, not_understood, read_segment, segment_path};
use crate::engine::BaseRecord;
use crate::error::OpenError;
use crate::event_log::erasures::{EmptiedRecords, blank};
use crate::files;
use crate::format::encoding::{decode_event, encode_event};

/// Writes a complete segment without what is erased beside it, durably. Returns the path, and by how many bytes it is
/// shorter; `None` when there is nothing to take out.
///
/// # Errors
/// [`OpenError`] when the segment is damaged or cannot be read or written. It is then as before.
pub(crate) fn erase_in_segment(
    folder: &Path,
    store: Uuid,
    first: u64,
    erasures: &[Erasure],
) -> Result<Option<(PathBuf, u64)>, OpenError> {
    let (seed, segment) = (frame::seed(store), read_segment(folder, first)?);
    let mut rewritten = Vec::with_capacity(segment.len());
    rewritten.extend(&segment[..SEGMENT_HEADER.min(segment.len())]);
    let mut offset = SEGMENT_HEADER;
    while offset < segment.len() {
        let frame = Frame::read(&segment, offset, seed);
        let frame = frame.ok_or_else(|| corrupt(folder, first, offset, "the bytes here fail their check"))?;
        let mut event = match frame.is_event().then(|| decode_event(frame.revision, frame.payload)) {
            Some(event) => Some(event.map_err(|_| not_understood(folder, first, offset))?),
            None => None,
        };
        event.iter_mut().for_each(|event| blank(erasures, event));
        let payload = event.as_ref().filter(|event| event.is_erased).map(encode_event);
        let (kind, payload) = match (&event, &payload) {
            (Some(event), Some(payload)) => (kind_of(event), &payload[..]),
            _ => (frame.kind, frame.payload),
        };
        // All before it is durable in the new file, too, where it may be shorter.
        let durable = frame.durable.min(rewritten.len() as u64);
        Frame { kind, durable, payload, ..frame }.write(seed, &mut rewritten);
        offset += frame.size();
    }
    if rewritten == segment {
        return Ok(None);
    }
    let path = files::write_beside(&segment_path(folder, first), &rewritten)?;
    Ok(Some((path, segment.len().saturating_sub(rewritten.len()) as u64)))
}

/// Takes the settings of erased users out of a base from before, durably.
///
/// # Errors
/// As for [`erase_in_segment`].
pub(crate) fn erase_in_base(folder: &Path, store: Uuid, revision: u64, erasures: &[Erasure]) -> Result<(), OpenError> {
    let emptied = EmptiedRecords::of(erasures, revision);
    let (mut base, mut has_values) = (BaseReader::open(folder, store, revision)?, false);
    while let Some(BaseRecord { key, body, .. }) = base.next()? {
        let unchanged = emptied.emptied(&key, body.clone()).map_err(|_| base.not_understood())? == body;
        has_values |= !unchanged;
    }
    if !has_values {
        return Ok(());
    }
    let (mut base, mut rewritten) =
        (BaseReader::open(folder, store, revision)?, BaseWriter::begin(folder, store, revision)?);
    while let Some(BaseRecord { key, body, .. }) = base.next()? {
        rewritten.put(&key, &emptied.emptied(&key, body).map_err(|_| base.not_understood())?)?;
    }
    Ok(rewritten.finish(base.check()?.newest_event)?)
}
