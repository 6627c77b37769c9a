//! What the bytes of a segment prove: how far they are intact, and whether the bytes after that were once durable.

use super::frame::{Frame, KIND_ERASURE, KIND_EVENT_OF_BATCH, KIND_SEAL, SEGMENT_HEADER};

/// The content of a segment whose header is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// The offset behind the last frame that is intact and continues the history. With [`Tail::Nothing`] and
    /// [`Tail::Torn`], it is not within a batch.
    pub(super) end: usize,
    /// The revision of the last event up to there.
    pub(super) revision: u64,
    /// The offset of the last event up to there.
    pub(super) last_event: Option<usize>,
    /// The offset up to which these frames prove that the segment was durable.
    pub(super) durable: usize,
    /// The offsets of erasures up to there.
    pub(super) erasures: Vec<usize>,
    /// Whether the last frame is a seal.
    pub(super) sealed: bool,
    /// The bytes from `end` on.
    pub(super) tail: Tail,
}

/// The bytes behind the last good frame of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Only zeros, which are the space for later frames, or no bytes at all.
    Nothing,
    /// Damaged bytes, or the start of a batch. No later frame proves that they were ever durable.
    Torn,
    /// Bytes that were durable once and are damaged now, or an intact frame at a wrong place.
    Corrupt(&'static str),
    /// An intact frame of an unknown kind.
    NotUnderstood,
}

/// Scans a segment that continues the history after revision `revision`.
pub(super) fn scan(bytes: &[u8], seed: u32, revision: u64) -> Scan {
    let mut scan = Scan {
        end: SEGMENT_HEADER,
        revision,
        last_event: None,
        durable: SEGMENT_HEADER,
        erasures: Vec::new(),
        sealed: false,
        tail: Tail::Nothing,
    };
    // The state before the batch whose last event is yet to come.
    let mut before_batch: Option<Scan> = None;
    while scan.end < bytes.len() {
        let Some(frame) = Frame::read(bytes, scan.end, seed) else {
            scan.tail = after_damage(bytes, seed, scan.end);
            break;
        };
        let expected = match frame.kind {
            KIND_SEAL if before_batch.is_none() => scan.revision,
            KIND_SEAL => {
                scan.tail = Tail::Corrupt("a clean end stands within a batch");
                return scan;
            }
            _ if frame.is_event() => scan.revision + 1,
            _ => {
                scan.tail = Tail::NotUnderstood;
                return scan;
            }
        };
        let durable = usize::try_from(frame.durable).unwrap_or(usize::MAX);
        if frame.revision != expected || durable > scan.end {
            scan.tail = Tail::Corrupt("an intact frame stands at the wrong place");
            return scan;
        }
        before_batch = match frame.kind {
            KIND_EVENT_OF_BATCH => before_batch.or_else(|| Some(scan.clone())),
            _ => None,
        };
        if frame.kind == KIND_ERASURE {
            scan.erasures.push(scan.end);
        }
        scan.durable = scan.durable.max(durable);
        scan.revision = frame.revision;
        if frame.is_event() {
            scan.last_event = Some(scan.end);
        }
        scan.sealed = frame.kind == KIND_SEAL;
        scan.end += frame.size();
    }
    match (scan.tail, before_batch) {
        (Tail::Nothing | Tail::Torn, Some(before)) if scan.durable > before.end => {
            Scan { tail: Tail::Corrupt("a batch begins here that was durable, and its end is missing"), ..before }
        }
        // The write of a batch was interrupted.
        (Tail::Nothing | Tail::Torn, Some(before)) => Scan { durable: scan.durable, tail: Tail::Torn, ..before },
        _ => scan,
    }
}

/// A crash can damage only bytes that were not durable yet. Damage below an offset that a later frame calls durable has
/// another cause.
fn after_damage(bytes: &[u8], seed: u32, damage: usize) -> Tail {
    if bytes[damage..].iter().all(|&byte| byte == 0) {
        return Tail::Nothing;
    }
    let mut later = (damage + 1..bytes.len()).filter_map(|offset| Frame::read(bytes, offset, seed));
    if later.any(|frame| frame.durable > damage as u64) {
        Tail::Corrupt("the bytes here fail their check, but a later frame proves that they were durable")
    } else {
        Tail::Torn
    }
}
