//! The bytes of a segment: its header and its frames.
//!
//! All numbers are little-endian. A segment is a header, then frames, then perhaps zeros:
//!
//! | header | | frame | |
//! |---|---|---|---|
//! | 0 | magic `FSSG` | 0 | magic `FSFR` |
//! | 4 | CRC-32C of all that follows | 4 | CRC-32C of all that follows, started from the store's id |
//! | 8 | id of the store, 16 bytes | 8 | length of the payload in bytes, u32 |
//! | 24 | revision of the first event, u64 | 12 | kind, u32 |
//! | | | 16 | revision, u64 |
//! | | | 24 | durable, u64: the segment was durable up to this offset when the frame was written |
//! | | | 32 | payload |
//!
//! Since a checksum starts from the store's id, a caller cannot write a text that reads as a frame.

use feature_core::{Event, EventKind};
use uuid::Uuid;

use crate::format::encoding::is_plain;

/// The size of a segment's header, in bytes.
pub(super) const SEGMENT_HEADER: usize = 32;

const FRAME_HEADER: usize = 32;
const SEGMENT_MAGIC: [u8; 4] = *b"FSSG";
const BASE_MAGIC: [u8; 4] = *b"FSBS";
const FRAME_MAGIC: [u8; 4] = *b"FSFR";

/// One event in the form of the first binaries. The revision is the event's.
pub(super) const KIND_EVENT: u32 = 1;
/// A clean end, without payload. The revision is the last event's.
pub(super) const KIND_SEAL: u32 = 2;
/// One event with what the first binaries do not know: a comment, a credential, a value of a newer kind, a
/// definition.
pub(super) const KIND_RICH_EVENT: u32 = 3;
/// One event that is not the last one of its batch: the next frame has another event of the batch.
pub(super) const KIND_EVENT_OF_BATCH: u32 = 4;
/// A record of a base. The revision is the base's.
pub(super) const KIND_RECORD: u32 = 5;
/// The end of a base. The revision is the base's.
pub(super) const KIND_BASE_END: u32 = 6;
/// One event that erases what is known of a user. It is never one of a batch.
pub(super) const KIND_ERASURE: u32 = 7;

/// A frame whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u32,
    pub(super) revision: u64,
    pub(super) durable: u64,
    pub(super) payload: &'a [u8],
}

/// The kind of an event's frame.
pub(super) fn kind_of(event: &Event) -> u32 {
    match (event.kind, event.continues, is_plain(event)) {
        (EventKind::Erase, ..) => KIND_ERASURE,
        (_, true, _) => KIND_EVENT_OF_BATCH,
        (_, false, true) => KIND_EVENT,
        (_, false, false) => KIND_RICH_EVENT,
    }
}

impl<'a> Frame<'a> {
    /// Whether it has an event.
    pub(super) fn is_event(&self) -> bool {
        matches!(self.kind, KIND_EVENT | KIND_RICH_EVENT | KIND_EVENT_OF_BATCH | KIND_ERASURE)
    }

    /// The bytes that the frame takes in its segment.
    pub(super) fn size(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }

    /// Adds the frame to a buffer.
    pub(super) fn write(&self, seed: u32, buffer: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).expect("an event with capped values is far below 4 GiB");
        let start = buffer.len();
        buffer.extend(FRAME_MAGIC);
        buffer.extend([0; 4]);
        buffer.extend(length.to_le_bytes());
        buffer.extend(self.kind.to_le_bytes());
        buffer.extend(self.revision.to_le_bytes());
        buffer.extend(self.durable.to_le_bytes());
        buffer.extend(self.payload);
        let checksum = crc32c::crc32c_append(seed, &buffer[start + 8..]);
        buffer[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The bytes that the frame at `offset` takes, as far as its header is there; `None` when there is none.
    pub(super) fn size_at(bytes: &[u8], offset: usize) -> Option<usize> {
        let bytes = bytes.get(offset..)?;
        let length = u32_at(bytes, 8).filter(|_| bytes.starts_with(&FRAME_MAGIC))?;
        FRAME_HEADER.checked_add(usize::try_from(length).ok()?)
    }

    /// The frame at `offset`; `None` when it is missing or damaged.
    pub(super) fn read(bytes: &'a [u8], offset: usize, seed: u32) -> Option<Self> {
        let bytes = bytes.get(offset..)?;
        if *bytes.first_chunk()? != FRAME_MAGIC {
            return None;
        }
        let length = u32_at(bytes, 8)?;
        let end = FRAME_HEADER.checked_add(usize::try_from(length).ok()?)?;
        if crc32c::crc32c_append(seed, bytes.get(8..end)?) != u32_at(bytes, 4)? {
            return None;
        }
        Some(Self {
            kind: u32_at(bytes, 12)?,
            revision: u64_at(bytes, 16)?,
            durable: u64_at(bytes, 24)?,
            payload: &bytes[FRAME_HEADER..end],
        })
    }
}

/// The start value of the checksums of a store's frames.
pub(super) fn seed(store: Uuid) -> u32 {
    crc32c::crc32c(store.as_bytes())
}

/// The header of the segment whose first event has revision `first`.
pub(super) fn segment_header(store: Uuid, first: u64) -> [u8; SEGMENT_HEADER] {
    header(SEGMENT_MAGIC, store, first)
}

/// The header of the base of this revision.
pub(super) fn base_header(store: Uuid, revision: u64) -> [u8; SEGMENT_HEADER] {
    header(BASE_MAGIC, store, revision)
}

fn header(magic: [u8; 4], store: Uuid, revision: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..4].copy_from_slice(&magic);
    header[8..24].copy_from_slice(store.as_bytes());
    header[24..].copy_from_slice(&revision.to_le_bytes());
    let checksum = crc32c::crc32c(&header[8..]);
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    header
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().copied().map(u64::from_le_bytes)
}
