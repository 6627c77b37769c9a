//! Tests of checkpoints: what they leave is the same store, with less to read and perhaps less history.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{slice, thread};

use feature_core::{Event, Timestamp, Value};
use proptest::prelude::*;
use uuid::Uuid;

use crate::store::limits::{Keep, SIZES, Sizes};
use crate::tests::fixtures::{append, decided, erase, records, scopes, write};
use crate::tests::model::a_write;
use crate::tests::transfer::exported;
use crate::{EventLog, FeatureStore, History, JournalStore, MemoryStore, OpenError, ProjectionState, StoreError};
use crate::{backup, import, record_at, verify};

/// Segments that take a few events.
pub(super) const SMALL: Sizes = Sizes { segment_bytes: 400, ..SIZES };

const SECOND: i64 = 1_000_000_000;

fn keeping(keep: Keep) -> Sizes {
    // A part of the bytes would make segments of less than one event.
    Sizes { keep, ..SMALL }
}

pub(super) fn open(folder: &Path, sizes: Sizes) -> JournalStore {
    JournalStore::open_with(folder, sizes).expect("the folder can be opened")
}

/// Appends events one by one, with a checkpoint now and then. The time is that of the newest event.
pub(super) fn fill(store: &JournalStore, events: &[Event]) {
    for event in events {
        append(store, slice::from_ref(event)).expect("the disk works");
        if event.revision.is_multiple_of(7) {
            store.checkpoint(event.time).expect("the disk works");
        }
    }
    let now = events.last().map_or(Timestamp::from_unix_nanos(0), |event| event.time);
    store.checkpoint(now).expect("the disk works");
}

/// All events that are kept.
pub(super) fn kept(store: &dyn EventLog) -> Vec<Event> {
    let mut kept = Vec::new();
    let mut from = store.oldest().expect("the disk works");
    while from <= store.newest() {
        kept.extend(store.events(from, 5).expect("they are kept"));
        from = kept.last().map_or(from, |event: &Event| event.revision) + 1;
    }
    kept
}

/// So many changes of one feature, one a second.
fn changes(count: usize) -> Vec<Event> {
    let scopes = scopes();
    let writes = (0..count).map(|index| write(&scopes[index % 3], "k", Some(Value::Integer(index as i64))));
    decided(&writes.collect::<Vec<_>>())
}

fn files_with(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("journal")).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it is there").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|found| found == end)).collect();
    paths.sort();
    paths
}

fn state_of(folder: &Path) -> Result<ProjectionState, OpenError> {
    let scratch = tempfile::tempdir().expect("the system has a folder for temporary files");
    verify(&History::open(folder)?, scratch.path(), &mut |_, _| {}).map(|found| found.projection)
}

/// The lines of an export, of a folder that a verification finds intact.
pub(super) fn exported_and_verified(folder: &Path) -> String {
    let state = state_of(folder).expect("it is intact");
    assert!(!matches!(state, ProjectionState::InDoubt(_)), "{state:?}");
    exported(folder)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_changes_nothing_but_the_length_of_the_history(
        writes in prop::collection::vec(a_write(), 0..60),
        keep in prop::sample::select(vec![Keep::Forever, Keep::Bytes(3_200), Keep::For(Duration::from_secs(15))]),
    ) {
        let guard = tempfile::tempdir().unwrap();
        let folder = |name| guard.path().join(name);
        let events = decided(&writes);
        let plain = open(&folder("plain"), SMALL);
        append(&plain, &events).unwrap();
        let store = open(&folder("data"), keeping(keep));
        fill(&store, &events);
        prop_assert!(!store.owes_erasures());
        let mut events = events;
        erase(&mut events);
        prop_assert!(events.ends_with(&kept(&store)));
        prop_assert!(keep != Keep::Forever || kept(&store).len() == events.len());
        prop_assert_eq!(records(&store), records(&plain));
        store.close().unwrap();
        drop(store);
        prop_assert_eq!(state_of(&folder("data")).unwrap(), ProjectionState::Agrees);

        // The way out and back, and a copy without a projection.
        let lines = exported(&folder("data"));
        import(&mut lines.as_bytes(), &folder("imported"), &mut |_| {}).unwrap();
        prop_assert_eq!(exported(&folder("imported")), lines);
        prop_assert_eq!(state_of(&folder("imported")).unwrap(), ProjectionState::Agrees);
        backup(&folder("data"), &folder("copy"), &[], &mut |_, _| {}).unwrap();
        for name in ["data", "imported", "copy"] {
            let store = open(&folder(name), keeping(keep));
            prop_assert_eq!(records(&store), records(&plain));
            prop_assert!(events.ends_with(&kept(&store)));
        }
    }
}

#[test]
fn old_events_go_by_bytes_or_by_age_and_reads_below_say_so() {
    let events = changes(60);
    // what is kept | the oldest revision afterwards
    for (keep, oldest) in [(Keep::Forever, 1), (Keep::Bytes(3_200), 21), (Keep::For(Duration::from_secs(20)), 37)] {
        let guard = tempfile::tempdir().unwrap();
        let store = open(guard.path(), keeping(keep));
        fill(&store, &events);
        assert_eq!(store.oldest().unwrap(), oldest, "{keep:?}");
        assert_eq!(
            store.status().journal_bytes,
            files_with(guard.path(), "log")
                .iter()
                .map(|path| {
                    let bytes = fs::read(path).unwrap();
                    bytes.len() as u64 - bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64
                })
                .sum::<u64>(),
            "{keep:?}"
        );
        if oldest > 1 {
            let below = store.events(oldest - 1, 1).unwrap_err();
            assert!(matches!(below, StoreError::Compacted { oldest: from, newest: 60 } if from == oldest), "{below:?}");
            assert_eq!(store.events_at(&[1, oldest]).unwrap()[0].revision, oldest);
        }
        // The oldest state that can be read is the one before the oldest event.
        let scope = &scopes()[0];
        let then = record_at(&store, scope, store.record(scope).unwrap(), oldest - 1).unwrap();
        let changes_then = events.iter().filter(|event| event.scope == *scope && event.revision < oldest).count();
        assert_eq!(then.sequence, changes_then as u64, "{keep:?}");
    }
}

#[test]
fn events_go_by_age_although_nothing_is_written_any_more() {
    let guard = tempfile::tempdir().unwrap();
    let store = open(guard.path(), keeping(Keep::For(Duration::from_secs(1_000))));
    fill(&store, &changes(60));
    assert_eq!(store.oldest().unwrap(), 1);
    let bases = files_with(guard.path(), "base").len();
    assert_eq!(bases, 2, "the newest ones are enough");
    store.checkpoint(Timestamp::from_unix_nanos(1_000_000 * SECOND)).unwrap();
    // The last complete segment stays, and the one that takes events.
    assert_eq!(files_with(guard.path(), "log").len(), 2);
    let firsts = files_with(guard.path(), "log");
    assert_eq!(files_with(guard.path(), "base").len(), 2, "{firsts:?}");
}

#[test]
fn a_damaged_base_is_made_up_for_or_refused() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 5]).unwrap();
    };
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let damages: [&dyn Fn(&Path); 3] = [&flip, &cut, &remove];
    for (number, damage) in damages.iter().enumerate() {
        // what is kept | which bases are damaged, the newest first | whether a start without a projection goes on
        for (keep, which, goes_on) in [
            (Keep::Forever, &[0][..], true),
            (Keep::Bytes(3_200), &[0], true),
            (Keep::Bytes(3_200), &[2], true),
            (Keep::Bytes(3_200), &[0, 1], true),
            (Keep::Bytes(3_200), &[0, 1, 2], false),
        ] {
            let case = format!("damage {number}, {keep:?}, {which:?}");
            let guard = tempfile::tempdir().unwrap();
            let folder = guard.path().join("data");
            let store = open(&folder, keeping(keep));
            fill(&store, &changes(60));
            let expected = records(&store);
            store.close().unwrap();
            drop(store);
            let mut bases = files_with(&folder, "base");
            bases.reverse();
            which.iter().for_each(|index| damage(&bases[*index]));
            fs::remove_dir_all(folder.join("projection")).unwrap();
            match JournalStore::open_with(&folder, keeping(keep)) {
                Ok(store) if goes_on => {
                    assert_eq!(records(&store), expected, "{case}");
                    if which == [0] {
                        store.checkpoint(Timestamp::from_unix_nanos(0)).unwrap();
                        store.close().unwrap();
                        drop(store);
                        assert_eq!(state_of(&folder).unwrap(), ProjectionState::Agrees, "{case}");
                    }
                }
                Err(OpenError::BaseDamaged { .. } | OpenError::Corrupt { .. }) if !goes_on => {}
                outcome => panic!("{case}: {:?}", outcome.err()),
            }
        }
    }
}

#[test]
fn a_base_with_other_records_than_its_events_give_is_found() {
    let guard = tempfile::tempdir().unwrap();
    // Two stores with one id, and histories that differ in the values alone.
    let bases = [0, 1].map(|more| {
        let folder = guard.path().join(format!("data {more}"));
        let store = JournalStore::open_over(&folder, SMALL, Uuid::nil(), |_| Ok(Box::new(MemoryStore::default())));
        let store = store.unwrap();
        let values = (0..60).map(|index| write(&scopes()[index % 3], "k", Some(Value::Integer(index as i64 + more))));
        fill(&store, &decided(&values.collect::<Vec<_>>()));
        store.close().unwrap();
        files_with(&folder, "base").pop().unwrap()
    });
    assert_eq!(bases[0].file_name(), bases[1].file_name());
    assert_eq!(state_of(&guard.path().join("data 0")).unwrap(), ProjectionState::Absent);
    fs::copy(&bases[1], &bases[0]).unwrap();
    let error = state_of(&guard.path().join("data 0")).unwrap_err();
    assert!(matches!(&error, OpenError::BaseDiffers { .. }), "{error}");
    assert!(error.to_string().contains("(the record of "), "{error}");
}

#[test]
fn a_backup_is_whole_while_events_are_dropped() {
    let guard = tempfile::tempdir().unwrap();
    let folder = guard.path().join("data");
    let store = open(&folder, keeping(Keep::Bytes(3_200)));
    let events = changes(400);
    fill(&store, &events[..60]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            fill(&store, &events[60..]);
            done.store(true, Ordering::Release);
        });
        let mut number = 0;
        while !done.load(Ordering::Acquire) || number < 3 {
            let copy = guard.path().join(format!("copy {number}"));
            let revision = backup(&folder, &copy, &[], &mut |_, _| {}).unwrap();
            assert_eq!(state_of(&copy).unwrap(), ProjectionState::Absent);
            let copied = open(&copy, SMALL);
            assert_eq!(copied.revision(), revision);
            assert!(events[..revision as usize].ends_with(&kept(&copied)));
            number += 1;
        }
    });
}

#[test]
fn a_projection_from_before_the_oldest_event_is_built_anew() {
    let guard = tempfile::tempdir().unwrap();
    let events = changes(60);
    let store = open(guard.path(), keeping(Keep::Bytes(3_200)));
    fill(&store, &events[..7]);
    store.close().unwrap();
    drop(store);
    let (projection, older) = (guard.path().join("projection"), guard.path().join("older"));
    crate::tests::fixtures::copy(&projection, &older).unwrap();
    let store = open(guard.path(), keeping(Keep::Bytes(3_200)));
    fill(&store, &events[7..]);
    let expected = records(&store);
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(&projection).unwrap();
    fs::rename(&older, &projection).unwrap();
    assert_eq!(records(&open(guard.path(), keeping(Keep::Bytes(3_200)))), expected);
}
