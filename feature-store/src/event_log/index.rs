//! The index of a part of a history: which of its events concern a term.
//!
//! A part is complete and never changes, so its index is made once, from its events alone. The stored form, with all
//! numbers little-endian:
//!
//! | offset | |
//! |---|---|
//! | 0 | magic `FSIX` |
//! | 4 | CRC-32C of all that follows, started from the store's id |
//! | 8 | print of the part, u64: an index of other events has another one |
//! | 16 | number of events, u32 |
//! | 20 | number of terms, u32 |
//! | 24 | number of marks, u32 |
//! | 28 | marks: the offset of every 64th event in its file, u64 each |
//! | | terms, ascending: the term and the offset of its list among the lists, u32 each |
//! | | lists: the numbers of the term's events in the part, as differences, in LEB128 |

use feature_core::Event;

use super::term::Term;

const MAGIC: [u8; 4] = *b"FSIX";
const HEADER: usize = 28;
const MARK: usize = 8;
const ENTRY: usize = 8;

/// So many events have one mark.
const MARK_EVENTS: u32 = 64;

/// The index of a part that goes on: events can be added.
#[derive(Debug, Default)]
pub(crate) struct OpenIndex {
    events: u32,
    /// Each term of each event, with the number of the event.
    entries: Vec<(Term, u32)>,
    marks: Vec<u64>,
}

/// The index of a complete part, in its stored form.
#[derive(Debug)]
pub(crate) struct PartIndex {
    bytes: Vec<u8>,
    terms: usize,
    marks: usize,
}

impl OpenIndex {
    /// An index that lacks so many events at the beginning of its part.
    pub(crate) fn after(events: u32) -> Self {
        Self { events, ..Self::default() }
    }

    /// Adds the next event, which is at this offset of its file, if it is in one.
    pub(crate) fn add(&mut self, event: &Event, offset: Option<u64>) {
        if self.events.is_multiple_of(MARK_EVENTS) {
            self.marks.extend(offset);
        }
        self.entries.extend(Term::all_of(event).into_iter().map(|term| (term, self.events)));
        self.events += 1;
    }

    /// The number of events, with those that it lacks.
    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// The numbers of the events that concern a term, ascending.
    pub(crate) fn list(&self, term: Term) -> Vec<u32> {
        self.entries.iter().filter(|(other, _)| *other == term).map(|(_, event)| *event).collect()
    }

    /// The last event with a mark that is not after this one, and its offset.
    pub(crate) fn mark_before(&self, event: u32) -> Option<(u32, u64)> {
        let number = event / MARK_EVENTS;
        Some((number * MARK_EVENTS, *self.marks.get(number as usize)?))
    }

    /// The stored form.
    ///
    /// * `seed`: from the store's id.
    /// * `print`: of the part.
    pub(crate) fn finish(mut self, seed: u32, print: u64) -> PartIndex {
        self.entries.sort_unstable();
        let (mut table, mut lists) = (Vec::new(), Vec::new());
        for of_term in self.entries.chunk_by(|(one, _), (other, _)| one == other) {
            table.extend(of_term[0].0.0.to_le_bytes());
            table.extend(length(&lists).to_le_bytes());
            let mut before = 0;
            for (_, event) in of_term {
                write_number(&mut lists, event - before);
                before = *event;
            }
        }
        let (terms, marks) = (table.len() / ENTRY, self.marks.len());
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 4]);
        bytes.extend(print.to_le_bytes());
        bytes.extend(self.events.to_le_bytes());
        bytes.extend((terms as u32).to_le_bytes());
        bytes.extend((marks as u32).to_le_bytes());
        bytes.extend(self.marks.iter().flat_map(|mark| mark.to_le_bytes()));
        bytes.extend(table);
        bytes.extend(lists);
        let checksum = crc32c::crc32c_append(seed, &bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        PartIndex { bytes, terms, marks }
    }
}

impl PartIndex {
    /// Reads a stored index; `None` when it is damaged, or is one of other events.
    pub(crate) fn read(bytes: Vec<u8>, seed: u32, print: u64, events: u32) -> Option<Self> {
        let is_whole = bytes.starts_with(&MAGIC) && crc32c::crc32c_append(seed, bytes.get(8..)?) == u32_at(&bytes, 4)?;
        if !is_whole || u64_at(&bytes, 8)? != print || u32_at(&bytes, 16)? != events {
            return None;
        }
        let (terms, marks) = (u32_at(&bytes, 20)? as usize, u32_at(&bytes, 24)? as usize);
        (bytes.len() >= HEADER + MARK * marks + ENTRY * terms).then_some(Self { bytes, terms, marks })
    }

    /// The stored form.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As for [`OpenIndex::list`].
    pub(crate) fn list(&self, term: Term) -> Vec<u32> {
        let (mut low, mut high) = (0, self.terms);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.entry(middle).is_some_and(|(found, _)| found < term) { low = middle + 1 } else { high = middle }
        }
        match self.entry(low) {
            Some((found, start)) if found == term => {
                let end = self.entry(low + 1).map_or(self.lists().len(), |(_, end)| end);
                read_numbers(self.lists().get(start..end).unwrap_or_default())
            }
            _ => Vec::new(),
        }
    }

    /// As for [`OpenIndex::mark_before`].
    pub(crate) fn mark_before(&self, event: u32) -> Option<(u32, u64)> {
        let number = event / MARK_EVENTS;
        let mark = Some(number as usize).filter(|number| *number < self.marks)?;
        Some((number * MARK_EVENTS, u64_at(&self.bytes, HEADER + MARK * mark)?))
    }

    /// A term, with the place of its list.
    fn entry(&self, number: usize) -> Option<(Term, usize)> {
        let at = HEADER + MARK * self.marks + ENTRY * Some(number).filter(|number| *number < self.terms)?;
        Some((Term(u32_at(&self.bytes, at)?), u32_at(&self.bytes, at + 4)? as usize))
    }

    fn lists(&self) -> &[u8] {
        &self.bytes[HEADER + MARK * self.marks + ENTRY * self.terms..]
    }
}

/// The numbers that are in all of these ascending lists.
pub(crate) fn in_all(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    lists.sort_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let mut common = lists.next().unwrap_or_default();
    for list in lists {
        common.retain(|number| list.binary_search(number).is_ok());
    }
    common
}

fn length(lists: &[u8]) -> u32 {
    u32::try_from(lists.len()).expect("a part has far less than 4 GiB of events")
}

fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads numbers that are stored as their differences.
fn read_numbers(bytes: &[u8]) -> Vec<u32> {
    let (mut numbers, mut last, mut number, mut shift) = (Vec::new(), 0_u32, 0_u32, 0);
    for byte in bytes {
        number |= u32::from(byte & 0x7f) << shift;
        shift = if byte & 0x80 == 0 { 0 } else { shift + 7 };
        if shift == 0 {
            last += std::mem::take(&mut number);
            numbers.push(last);
        }
    }
    numbers
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixtures::{event, scopes, values};

    #[test]
    fn a_stored_index_finds_what_the_open_one_does_and_refuses_damage() {
        let mut open = OpenIndex::default();
        let scopes = scopes();
        for number in 0..500 {
            let scope = &scopes[number % scopes.len()];
            open.add(&event(number as u64 + 1, scope, 1, &values()[..number % 3]), Some(number as u64 * 100));
        }
        let terms = [Term::scope(&scopes[1]), Term::feature("F1"), Term::actor("writer"), Term::feature("none")];
        let expected: Vec<_> = terms.iter().map(|term| open.list(*term)).collect();
        assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [56, 111, 500, 0]);
        let marks: Vec<_> = (0..500).map(|event| open.mark_before(event)).collect();
        assert_eq!(marks[130], Some((128, 12_800)));
        let stored = open.finish(7, 9).bytes().to_vec();
        let index = PartIndex::read(stored.clone(), 7, 9, 500).unwrap();
        assert_eq!(terms.map(|term| index.list(term)).to_vec(), expected);
        assert_eq!((0..500).map(|event| index.mark_before(event)).collect::<Vec<_>>(), marks);
        for (seed, print, events) in [(8, 9, 500), (7, 8, 500), (7, 9, 499)] {
            assert!(PartIndex::read(stored.clone(), seed, print, events).is_none());
        }
        for at in (0..stored.len()).step_by(97) {
            let mut damaged = stored.clone();
            damaged[at] ^= 1;
            assert!(PartIndex::read(damaged, 7, 9, 500).is_none(), "{at}");
        }
        assert!(PartIndex::read(stored[..stored.len() - 1].to_vec(), 7, 9, 500).is_none());
    }
}
