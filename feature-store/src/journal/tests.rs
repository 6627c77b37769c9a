//! Tests of the journal: what a crash may leave behind is cut off, and any other damage is refused.

mod batches;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use super::*;
use crate::store::limits::SIZES;
use crate::tests::fixtures::history;

/// A journal in a temporary folder, closed unless a test opens it.
struct Bench {
    folder: PathBuf,
    store: Uuid,
    _guard: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let guard = tempfile::tempdir().expect("the system has a folder for temporary files");
        let folder = guard.path().join("journal");
        let store = Uuid::from_u128(7);
        Journal::create(&folder, identity(store)).expect("an empty folder takes a journal");
        Self { folder, store, _guard: guard }
    }

    fn open(&self) -> Result<Journal, OpenError> {
        Journal::open(&self.folder, identity(self.store), Sizes { segment_bytes: 1000, ..SIZES })
    }

    /// Appends the events of these revisions, each with a sync of its own, and returns where each of them began. No
    /// space is left behind the last one.
    fn append(&self, revisions: std::ops::RangeInclusive<u64>) -> Vec<Position> {
        let mut journal = self.open().expect("the journal is intact");
        let append = |event: Event| {
            let start = journal.end;
            journal.append(&[event]).expect("the disk works");
            if journal.end.segment == start.segment { start } else { start_of(journal.end.segment) }
        };
        let starts = history(revisions).into_iter().map(append).collect();
        journal.give_back_space().expect("the disk works");
        starts
    }

    fn segment(&self, first: u64) -> PathBuf {
        segment_path(&self.folder, first)
    }

    fn last_segment(&self) -> PathBuf {
        self.segment(*segments_in(&self.folder).expect("the folder can be listed").last().expect("there is one"))
    }

    fn remove_mark(&self) {
        let _ = fs::remove_file(self.folder.join("durable"));
    }

    /// The place that opening calls corrupt.
    fn corrupt_at(&self) -> (PathBuf, u64) {
        match self.open() {
            Err(OpenError::Corrupt { segment, offset, .. }) => (segment, offset),
            outcome => panic!("not refused: {outcome:?}"),
        }
    }
}

fn identity(store: Uuid) -> Identity {
    Identity { store, oldest: 1 }
}

fn events_of(journal: &Journal, after: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let take = |batch: Vec<Event>| {
        assert!(batch.len() <= 3);
        events.extend(batch);
        Ok(())
    };
    journal.replay(after, 3, take).expect("the journal is intact");
    events
}

#[test]
fn events_come_back_over_segments_and_restarts() {
    let bench = Bench::new();
    bench.append(1..=10);
    bench.append(11..=40);
    let mut journal = bench.open().unwrap();
    assert!(journal.segments.len() > 3, "{:?}", journal.segments);
    journal.append(&history(41..=60)).unwrap();
    for after in [0, 1, 10, 41, 59, 60] {
        assert_eq!(events_of(&journal, after), history(after + 1..=60));
    }
    assert!(!journal.is_sealed());
    journal.seal().unwrap();
    drop(journal);
    for _ in 0..2 {
        let mut journal = bench.open().unwrap();
        assert!(journal.is_sealed());
        assert_eq!((journal.revision(), events_of(&journal, 0)), (60, history(1..=60)));
        journal.seal().unwrap();
    }
    bench.append(61..=61);
    assert_eq!(events_of(&bench.open().unwrap(), 0), history(1..=61));
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte() {
    let bench = Bench::new();
    bench.append(1..=4);
    let mark = fs::read(bench.folder.join("durable")).unwrap();
    let start = bench.append(5..=5)[0].offset;
    let whole = fs::read(bench.segment(1)).unwrap();
    for end in start as usize..whole.len() {
        for tail in [&[][..], &[0; 50], &[0xa5; 50]] {
            fs::write(bench.segment(1), [&whole[..end], tail].concat()).unwrap();
            fs::write(bench.folder.join("durable"), &mark).unwrap();
            let mut journal = bench.open().unwrap();
            assert_eq!((journal.revision(), journal.end.offset), (4, start), "cut at {end}");
            assert_eq!(fs::metadata(bench.segment(1)).unwrap().len(), start);
            if end % 16 == 0 {
                journal.append(&history([5])).unwrap();
                assert_eq!(events_of(&bench.open().unwrap(), 0), history(1..=5));
            }
        }
    }
}

#[test]
fn a_durable_end_that_is_missing_is_refused_at_every_byte() {
    let bench = Bench::new();
    bench.append(1..=4);
    let start = bench.append(5..=5)[0].offset;
    let whole = fs::read(bench.segment(1)).unwrap();
    for end in 0..whole.len() {
        fs::write(bench.segment(1), &whole[..end]).unwrap();
        let (segment, offset) = bench.corrupt_at();
        assert_eq!(segment, bench.segment(1));
        assert!(offset <= end as u64 && (offset == start || end < start as usize), "cut at {end}: {offset}");
        assert_eq!(fs::read(segment).unwrap(), &whole[..end], "what is refused is not changed");
    }
}

#[test]
fn a_journal_grows_in_steps_and_gives_back_what_it_did_not_need() {
    let bench = Bench::new();
    let length = || fs::metadata(bench.segment(1)).unwrap().len();
    let open =
        || Journal::open(&bench.folder, identity(bench.store), Sizes { segment_bytes: u64::MAX, ..SIZES }).unwrap();
    let mut journal = open();
    for revision in 1..=4_000 {
        journal.append(&history([revision])).unwrap();
        assert_eq!(length(), journal.end.offset.next_multiple_of(SPACE_BYTES), "after revision {revision}");
    }
    assert!(length() > SPACE_BYTES);
    // Space is nothing that a crash has torn, with or without damage in it.
    let whole = fs::read(bench.segment(1)).unwrap();
    let end = journal.end;
    for damaged in [None, Some(end.offset as usize), Some(whole.len() - 1)] {
        let mut bytes = whole.clone();
        damaged.into_iter().for_each(|byte| bytes[byte] ^= 1);
        fs::write(bench.segment(1), &bytes).unwrap();
        let rest = check_journal(&bench.folder, identity(bench.store), Depth::Whole).unwrap().scan.tail;
        assert_eq!(rest, if damaged.is_some() { Tail::Torn } else { Tail::Nothing });
        let journal = open();
        assert_eq!((journal.revision(), journal.end, length()), (4_000, end, end.offset));
    }
    open().append(&history([4_001])).unwrap();
    let mut journal = open();
    journal.seal().unwrap();
    assert_eq!((journal.revision(), journal.end.offset), (4_001, length()));
}

#[test]
fn a_segment_that_is_full_gives_its_space_back() {
    let bench = Bench::new();
    let mut journal = bench.open().unwrap();
    while journal.segments.len() < 3 {
        journal.append(&history([journal.revision() + 1])).unwrap();
    }
    for &first in &journal.segments[..2] {
        let bytes = read_segment(&bench.folder, first).unwrap();
        assert_eq!(scan::scan(&bytes, journal.seed, first - 1).end, bytes.len(), "segment {first}");
    }
    assert_eq!(events_of(&journal, 0), history(1..=journal.revision()));
    let mut bytes = read_segment(&bench.folder, 1).unwrap();
    let end = bytes.len();
    bytes.extend([0; 20]);
    fs::write(bench.segment(1), bytes).unwrap();
    assert_eq!(bench.corrupt_at(), (bench.segment(1), end as u64));
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused_where_it_is() {
    let bench = Bench::new();
    let mut starts = bench.append(1..=5);
    bench.open().unwrap().seal().unwrap();
    starts.insert(0, Position { segment: 1, offset: 0 });
    let whole = fs::read(bench.segment(1)).unwrap();
    let mark = fs::read(bench.folder.join("durable")).unwrap();
    let last = starts.last().unwrap().offset as usize;
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << (byte % 8);
        fs::write(bench.segment(1), &flipped).unwrap();
        let start = starts.iter().rev().map(|start| start.offset).find(|&start| start <= byte as u64).unwrap();
        let seal = whole.len() - 32;
        let start = if byte >= seal { seal as u64 } else { start };
        assert_eq!(bench.corrupt_at(), (bench.segment(1), start), "byte {byte}");
        // Without the mark, the frames themselves still prove that all but the seal were durable.
        bench.remove_mark();
        if byte < seal {
            assert_eq!(bench.corrupt_at(), (bench.segment(1), start), "byte {byte} without the mark");
        }
        fs::write(bench.folder.join("durable"), &mark).unwrap();
    }
    assert!(last < whole.len() - 32);
}

#[test]
fn a_damaged_mark_proves_nothing() {
    let bench = Bench::new();
    bench.append(1..=5);
    let mark = fs::read(bench.folder.join("durable")).unwrap();
    for byte in 0..mark.len() {
        let mut flipped = mark.clone();
        flipped[byte] ^= 0x10;
        fs::write(bench.folder.join("durable"), &flipped).unwrap();
        assert_eq!(bench.open().unwrap().revision(), 5);
    }
}

#[test]
fn a_missing_or_foreign_segment_is_refused() {
    let bench = Bench::new();
    bench.append(1..=40);
    let segments = segments_in(&bench.folder).unwrap();
    for (position, &first) in segments.iter().enumerate() {
        let path = bench.segment(first);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let next =
            segments.get(position + 1).map_or_else(|| bench.segment(segments[position - 1]), |&s| bench.segment(s));
        assert_eq!(bench.corrupt_at().0, next);
        let foreign = [&frame::segment_header(Uuid::from_u128(8), first)[..], &bytes[SEGMENT_HEADER..]].concat();
        for other in [&foreign[..], b""] {
            fs::write(&path, other).unwrap();
            assert_eq!(bench.corrupt_at(), (path.clone(), 0));
        }
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(bench.open().unwrap().revision(), 40);
}

#[test]
fn a_segment_whose_creation_was_torn_is_created_again() {
    let bench = Bench::new();
    while segments_in(&bench.folder).unwrap().len() < 2 {
        let next = bench.open().unwrap().revision() + 1;
        bench.append(next..=next);
    }
    let revision = bench.open().unwrap().revision() - 1;
    let header = frame::segment_header(bench.store, revision + 1);
    for length in 0..=SEGMENT_HEADER {
        fs::write(bench.last_segment(), &header[..length]).unwrap();
        bench.remove_mark();
        assert_eq!(bench.open().unwrap().revision(), revision);
        assert_eq!(fs::read(bench.last_segment()).unwrap(), header);
    }
    bench.append(revision + 1..=revision + 3);
    assert_eq!(events_of(&bench.open().unwrap(), 0), history(1..=revision + 3));
}

#[test]
fn a_frame_from_the_future_is_refused() {
    let bench = Bench::new();
    bench.append(1..=2);
    let end = fs::metadata(bench.segment(1)).unwrap().len();
    let mut bytes = Vec::new();
    let frame = Frame { kind: 9, revision: 3, durable: SEGMENT_HEADER as u64, payload: b"news" };
    frame.write(frame::seed(bench.store), &mut bytes);
    let file = OpenOptions::new().write(true).open(bench.segment(1)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, end).unwrap();
    assert!(matches!(bench.open(), Err(OpenError::NotUnderstood { offset, .. }) if offset == end));
}
