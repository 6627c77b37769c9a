//! The bytes of a journal segment, by the documented format. Pure.

use std::iter;

/// The length of the header of a segment, and of the header of a frame.
const HEADER: usize = 32;

/// The first bytes of a frame.
const MAGIC: [u8; 4] = *b"FSFR";

/// The offset of the payload's length in a frame's header.
const LENGTH_AT: usize = 8;

/// The start of the frame that contains this byte, or would contain it; 0 for the segment's header.
pub fn frame_at(segment: &[u8], byte: usize) -> usize {
    if byte < HEADER {
        return 0;
    }
    ends(segment).take_while(|&end| end <= byte).last().unwrap_or(HEADER)
}

/// The end of the last frame. Zeros may follow, as space for later frames.
pub fn end(segment: &[u8]) -> usize {
    ends(segment).last().unwrap_or(segment.len())
}

/// The end of the header, then the end of each frame.
fn ends(segment: &[u8]) -> impl Iterator<Item = usize> {
    iter::successors((segment.len() >= HEADER).then_some(HEADER), |&start| {
        let rest = segment[start..].strip_prefix(&MAGIC)?;
        let length = u32::from_le_bytes(*rest.get(LENGTH_AT - MAGIC.len()..)?.first_chunk()?);
        let end = start + HEADER + length as usize;
        (end <= segment.len()).then_some(end)
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A segment with three frames, at bytes 32, 74 and 106; 438 bytes in all.
    pub fn segment() -> Vec<u8> {
        let frame = |payload: u32| {
            let mut frame = vec![7; HEADER + payload as usize];
            frame[..4].copy_from_slice(&MAGIC);
            frame[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&payload.to_le_bytes());
            frame
        };
        [vec![1; HEADER], frame(10), frame(0), frame(300)].concat()
    }

    #[test]
    fn a_byte_belongs_to_the_frame_that_begins_before_it() {
        // byte | start of its frame
        for (byte, start) in
            [(0, 0), (31, 0), (32, 32), (73, 32), (74, 74), (105, 74), (106, 106), (437, 106), (438, 438)]
        {
            assert_eq!(frame_at(&segment(), byte), start, "byte {byte}");
        }
    }

    #[test]
    fn a_segment_ends_after_its_last_frame_and_ignores_later_bytes() {
        for rest in [&[][..], &[0; 1000], b"FSFR", &[7; 40]] {
            assert_eq!(end(&[&segment()[..], rest].concat()), 438, "{rest:?}");
        }
        assert_eq!(end(&segment()[..437]), 106);
        assert_eq!(end(&segment()[..HEADER]), HEADER);
        assert_eq!(end(&[1; 5]), 5);
    }
}
