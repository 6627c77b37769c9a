//! What the bytes of a segment prove: how far they are whole, and whether what follows was once durable. Pure.

use super::frame::{Frame, KIND_EVENT, KIND_SEAL, SEGMENT_HEADER};

/// What was found in a segment whose header is right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The offset behind the last frame that is whole and continues the history.
    pub(super) end: usize,
    /// The revision of the last event up to there.
    pub(super) revision: u64,
    /// The offset up to which these frames say that the segment was durable.
    pub(super) durable: usize,
    /// Whether the last frame is a seal.
    pub(super) sealed: bool,
    /// What follows at `end`.
    pub(super) tail: Tail,
}

/// What follows the last good frame of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros: the space that was made for later frames.
    Nothing,
    /// Bytes that are no intact frame, and no later frame says that they were ever durable.
    Torn,
    /// What was durable once and is not intact any more, or an intact frame that cannot stand here.
    Corrupt(&'static str),
    /// An intact frame of an unknown kind.
    NotUnderstood,
}

/// Scans a segment that continues the history after revision `revision`.
pub(super) fn scan(bytes: &[u8], seed: u32, revision: u64) -> Scan {
    let mut scan = Scan { end: SEGMENT_HEADER, revision, durable: SEGMENT_HEADER, sealed: false, tail: Tail::Nothing };
    while scan.end < bytes.len() {
        let Some(frame) = Frame::read(bytes, scan.end, seed) else {
            scan.tail = after_damage(bytes, seed, scan.end);
            return scan;
        };
        let expected = match frame.kind {
            KIND_EVENT => scan.revision + 1,
            KIND_SEAL => scan.revision,
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
        scan.durable = scan.durable.max(durable);
        scan.revision = frame.revision;
        scan.sealed = frame.kind == KIND_SEAL;
        scan.end += frame.size();
    }
    scan
}

/// A crash can tear only what was not durable yet. So damage below the offset that a later frame calls durable
/// is none of a crash.
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
