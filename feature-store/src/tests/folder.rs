//! Tests of a store's folder: each content that an opening may find, and the outcome.

mod checkpoints;
mod erasures;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use feature_core::{Record, Scope, Value};

use super::doubtful::open_sled;
use super::fixtures::{append, copy, event, history, records, scopes, values};
use crate::store::limits::{SIZES, Sizes};
use crate::{FeatureStore, JournalStore, OpenError, StoreError, files};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().expect("the system has a folder for temporary files");
    let folder = guard.path().join("some/where");
    (guard, folder)
}

/// Opens a store, and waits for its lock: a process that another test forks has all locks of this one until its exec.
pub(super) fn open(folder: &Path) -> JournalStore {
    loop {
        match JournalStore::open_with(folder, SIZES) {
            Err(OpenError::Locked { .. }) => thread::yield_now(),
            outcome => return outcome.expect("the folder can be opened"),
        }
    }
}

/// A closed store with some events, and its records.
pub(super) fn filled() -> (tempfile::TempDir, PathBuf, Vec<Record>) {
    let (guard, folder) = folder();
    let store = open(&folder);
    for (revision, scope) in (1..).zip(scopes().iter().cycle().take(20)) {
        append(&store, &[event(revision, scope, revision, &values())]).expect("the disk works");
    }
    store.close().expect("the disk works");
    let records = records(&store);
    (guard, folder, records)
}

#[test]
fn what_was_appended_is_there_after_closing_dropping_and_killing() {
    let (guard, folder) = folder();
    let store = open(&folder);
    append(&store, &history(1..=3)).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(&folder);
    append(&store, &history(4..=5)).unwrap();
    drop(store);
    let store = open(&folder);
    append(&store, &history(6..=9)).unwrap();
    let copied = guard.path().join("killed");
    copy(&folder, &copied).unwrap();
    for other in [store, open(&copied)] {
        assert_eq!((other.revision(), other.record(&Scope::System).unwrap().sequence), (9, 9));
    }
}

#[test]
fn a_journal_that_ends_before_the_projection_is_refused() {
    let (guard, folder, expected) = filled();
    let older = guard.path().join("older");
    copy(&folder.join("journal"), &older).unwrap();
    let store = open(&folder);
    append(&store, &history(21..=22)).unwrap();
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(folder.join("journal")).unwrap();
    copy(&older, &folder.join("journal")).unwrap();
    let end = fs::metadata(older.join("00000000000000000001.log")).unwrap().len();
    let says = format!(
        "00000000000000000001.log ends at byte {end} with revision 20, but the projection knows revision 22, so \
         acknowledged writes are missing: restore the folder journal as it was; or, to go on without them, remove the \
         folder projection"
    );
    // It stays so when the projection is damaged too.
    for damage in [|_: &Path| (), |projection: &Path| drop(open_sled(projection).remove("rs").unwrap())] {
        damage(&folder.join("projection"));
        let line = JournalStore::open_with(&folder, SIZES).unwrap_err().to_string();
        assert!(line.ends_with(&says), "{line}");
    }
    fs::remove_dir_all(folder.join("projection")).unwrap();
    assert_eq!(records(&open(&folder)), expected);
}

#[test]
fn a_folder_that_cannot_be_trusted_is_refused_in_one_line() {
    let (guard, folder, expected) = filled();
    let backup = guard.path().join("backup");
    copy(&folder, &backup).unwrap();
    let identity = folder.join("identity");
    let held = open(&folder);
    let line = JournalStore::open_with(&folder, SIZES).unwrap_err().to_string();
    assert!(line.ends_with("is in use by another process: stop that one, or choose another data folder"), "{line}");
    drop(held);
    // what happened | a part of the line
    let table: [(&dyn Fn(), &str); 7] = [
        (
            &|| fs::write(&identity, r#"{"format":2,"new":[]}"#).unwrap(),
            "has format 2, this binary knows 1: start the newer",
        ),
        (&|| fs::write(&identity, "").unwrap(), "identity is damaged: restore"),
        (&|| fs::write(&identity, r#"{"format":1,"store":"x"}"#).unwrap(), "identity is damaged: restore"),
        (&|| fs::remove_file(&identity).unwrap(), "identity is missing beside a journal with records: restore"),
        (&|| fs::remove_dir_all(folder.join("journal")).unwrap(), "journal is missing: restore"),
        (&|| fs::remove_file(folder.join("journal/00000000000000000001.log")).unwrap(), "journal is missing: restore"),
        (
            &|| fs::write(folder.join("journal/00000000000000000001.log"), "").unwrap(),
            "00000000000000000001.log at byte 0: the header is damaged or the one of another store; restore",
        ),
    ];
    for (damage, expected) in table {
        damage();
        let line = JournalStore::open_with(&folder, SIZES).unwrap_err().to_string();
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
        fs::remove_dir_all(folder.join("journal")).unwrap_or_default();
        copy(&backup.join("journal"), &folder.join("journal")).unwrap();
        fs::copy(backup.join("identity"), &identity).unwrap();
    }
    assert_eq!(records(&open(&folder)), expected);
    let line = JournalStore::open_with(&identity, SIZES).unwrap_err().to_string();
    assert!(line.contains("check that the data folder is writable"), "{line}");
}

#[test]
fn a_creation_that_a_crash_cut_short_begins_again() {
    let (_guard, folder) = folder();
    let segment = folder.join("journal/00000000000000000001.log");
    drop(open(&folder));
    let header = fs::read(&segment).unwrap();
    for left in [&header[..], &header[..9], b""] {
        fs::remove_file(folder.join("identity")).unwrap();
        fs::write(&segment, left).unwrap();
        let store = open(&folder);
        store.close().unwrap();
        assert_eq!(store.revision(), 0);
        drop(store);
        fs::remove_dir_all(folder.join("journal")).unwrap();
        fs::remove_file(folder.join("identity")).unwrap();
        open(&folder);
    }
}

#[test]
fn several_processes_may_make_the_folder_at_once() {
    let (guard, _) = folder();
    for round in 0..50 {
        let path = guard.path().join(format!("{round}/some/where"));
        thread::scope(|threads| {
            let makers: Vec<_> = (0..4).map(|_| threads.spawn(|| files::create_folder(&path))).collect();
            makers.into_iter().for_each(|maker| maker.join().unwrap().unwrap());
        });
    }
}

#[test]
fn a_file_that_is_no_segment_does_not_matter() {
    let (_guard, folder, expected) = filled();
    for name in ["1.log", "+1.log", "2.log", "x.log", "00000000000000000001.log.bak"] {
        fs::write(folder.join("journal").join(name), "nothing").unwrap();
    }
    assert_eq!(records(&open(&folder)), expected);
}

#[test]
fn an_append_that_cannot_measure_the_free_space_is_the_last_one() {
    let (guard, folder) = folder();
    let store = open(&folder);
    let elsewhere = guard.path().join("elsewhere");
    fs::rename(&folder, &elsewhere).unwrap();
    let error = append(&store, &history(1..=1)).unwrap_err();
    assert!(matches!(error, StoreError::Io(_)) && !error.is_refusal(), "{error}");
    assert!(matches!(store.write_failure(), Some(StoreError::Io(_))));
    fs::rename(&elsewhere, &folder).unwrap();
    let error = append(&store, &history(1..=1)).unwrap_err();
    assert!(matches!(error, StoreError::RefusingWrites { .. }), "{error}");
    assert_eq!(store.revision(), 0);
}

#[test]
fn a_nearly_full_disk_refuses_writes_and_poisons_nothing() {
    let (_guard, folder) = folder();
    let store = JournalStore::open_with(&folder, Sizes { reserve_bytes: u64::MAX, ..SIZES }).unwrap();
    for _ in 0..2 {
        let error = append(&store, &[event(1, &Scope::System, 1, &[Value::Flag(true)])]).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }) && error.is_refusal(), "{error}");
    }
    assert!(store.write_failure().is_none());
    assert_eq!(store.record(&Scope::System).unwrap(), Record::default());
    store.close().unwrap();
}
