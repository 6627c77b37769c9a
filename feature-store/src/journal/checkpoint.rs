//! Makes a base of an earlier base and the segment after it. Both never change, so no writer waits.

use std::collections::BTreeMap;
use std::path::Path;

use feature_core::{Event, Record, Timestamp, check_continuity};
use uuid::Uuid;

use super::base::{BaseReader, BaseWriter, base_path};
use super::frame::{self, Frame, KIND_SEAL, SEGMENT_HEADER, kind_of};
use super::{corrupt, not_understood, read_segment};
use crate::engine::BaseRecord;
use crate::error::OpenError;
use crate::files;
use crate::format::encoding::{decode_event, decode_record, encode_event, encode_record, scope_of_event};
use crate::format::export_format::field_of;

/// Makes the base at the end of a complete segment, durably.
///
/// * `first`: the revision that names the segment. There is a base of the revision before, unless it is 1.
/// * `go_on`: asked now and then; `false` ends the making without a base.
///
/// # Errors
/// [`OpenError`] when segment or base are damaged, or a file cannot be read or written.
pub(crate) fn make_base(
    folder: &Path,
    store: Uuid,
    first: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<u64>, OpenError> {
    let segment = read_segment(folder, first)?;
    let events = Events::of(folder, store, first, &segment)?;
    let mut earlier = if first == 1 { None } else { Some(BaseReader::open(folder, store, first - 1)?) };
    let mut next = || earlier.as_mut().map_or(Ok(None), BaseReader::next);
    let mut base = BaseWriter::begin(folder, store, events.revision)?;
    let mut before = next()?;
    for (key, offsets) in &events.offsets {
        while let Some(untouched) = before.take_if(|before| before.key < *key && go_on()) {
            base.put(&untouched.key, &untouched.body)?;
            before = next()?;
        }
        if !go_on() {
            return Ok(None);
        }
        let mut record = Record::default();
        if let Some(BaseRecord { body, .. }) = before.take_if(|before| before.key == *key) {
            let path = base_path(folder, first - 1);
            // A field of a newer binary would be lost without a word.
            let known = decode_record(&body).ok().filter(|record| encode_record(record) == body);
            record = known.ok_or(OpenError::NotUnderstood { segment: path, offset: 0 })?;
            before = next()?;
        }
        for offset in offsets {
            let frame = Frame::read(&segment, *offset as usize, events.seed).expect("it was read before");
            let is_known = |event: &Event| encode_event(event) == frame.payload && kind_of(event) == frame.kind;
            let event = decode_event(frame.revision, frame.payload).ok().filter(is_known);
            let event = event.ok_or_else(|| not_understood(folder, first, *offset as usize))?;
            check_continuity(&record, &event)
                .map_err(|error| corrupt(folder, first, *offset as usize, &format!("{}: {error}", field_of(&error))))?;
            record.apply(&event);
        }
        base.put(key, &encode_record(&record))?;
    }
    while let Some(untouched) = before {
        if !go_on() {
            return Ok(None);
        }
        base.put(&untouched.key, &untouched.body)?;
        before = next()?;
    }
    base.finish(events.newest)?;
    Ok(Some(events.revision))
}

/// Removes a base.
///
/// # Errors
/// [`OpenError`] when that fails.
pub(crate) fn remove_base(folder: &Path, revision: u64) -> Result<(), OpenError> {
    files::remove_file(&base_path(folder, revision))?;
    Ok(files::sync_folder(folder)?)
}

/// Where the events of a segment are, by the keys of their scopes.
struct Events {
    offsets: BTreeMap<Vec<u8>, Vec<u32>>,
    seed: u32,
    /// The last one.
    revision: u64,
    newest: Timestamp,
}

impl Events {
    fn of(folder: &Path, store: Uuid, first: u64, segment: &[u8]) -> Result<Self, OpenError> {
        let seed = frame::seed(store);
        let (mut offsets, mut last, mut revision) = (BTreeMap::<_, Vec<u32>>::new(), None, first - 1);
        let mut offset = SEGMENT_HEADER;
        while offset < segment.len() {
            let frame =
                Frame::read(segment, offset, seed).filter(|frame| frame.revision == revision + 1 || !frame.is_event());
            let frame = frame.ok_or_else(|| corrupt(folder, first, offset, "the bytes here fail their check"))?;
            if frame.is_event() {
                let scope = scope_of_event(frame.payload).map_err(|_| not_understood(folder, first, offset))?;
                // Only an import could write so long a segment.
                let place =
                    u32::try_from(offset).map_err(|_| corrupt(folder, first, offset, "the segment is too long"))?;
                offsets.entry(scope).or_default().push(place);
                (last, revision) = (Some(frame), frame.revision);
            } else if frame.kind != KIND_SEAL {
                return Err(not_understood(folder, first, offset));
            }
            offset += frame.size();
        }
        let last = last.ok_or_else(|| corrupt(folder, first, SEGMENT_HEADER, "the segment has no event"))?;
        let newest = decode_event(revision, last.payload).map_err(|_| not_understood(folder, first, offset))?.time;
        Ok(Self { offsets, seed, revision, newest })
    }
}
