//! Tests of verification and backup: what is damaged is found, what is not is left alone, and a copy is whole.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use feature_core::Scope;

use super::fixtures::{append, copy, decided, history, records, some_writes, users};
use super::transfer::{exported, store_of};
use crate::format::identity;
use crate::maintenance::verify::verify_in_passes;
use crate::store::limits::{SIZES, Sizes};
use crate::{FeatureStore, History, JournalStore, OpenError, ProjectionState, Verification, backup};

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().expect("the system has a folder for temporary files");
    let folder = guard.path().join("data");
    (guard, folder)
}

/// The same with one pass and with several.
fn verified(folder: &Path) -> Result<Verification, OpenError> {
    let history = History::open(folder)?;
    let in_passes = |passes| {
        let scratch = tempfile::tempdir().expect("the system has a folder for temporary files");
        verify_in_passes(&history, scratch.path(), passes, &mut |_, _| {})
    };
    let found = in_passes(1)?;
    let again = in_passes(5)?;
    assert_eq!(again.scopes, found.scopes);
    assert_eq!(std::mem::discriminant(&again.projection), std::mem::discriminant(&found.projection));
    Ok(found)
}

/// Every file with its content and the time of its last change.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()));
        }
    }
    found
}

#[test]
fn verification_says_how_the_projection_fits_and_changes_nothing() {
    let (guard, folder) = temporary();
    let events: Vec<_> = users(50).collect();
    store_of(&events[..40], &folder);
    let behind = guard.path().join("behind");
    copy(&folder.join("projection"), &behind).unwrap();
    let store = JournalStore::open_with(&folder, SIZES).unwrap();
    append(&store, &events[40..]).unwrap();
    store.close().unwrap();
    drop(store);
    let (_other, other) = temporary();
    store_of(&events, &other);
    let projection = folder.join("projection");
    let replace = |from: &Path| {
        fs::remove_dir_all(&projection).unwrap();
        copy(from, &projection).unwrap();
    };
    let edit = |edit: &dyn Fn(&sled::Db)| {
        let tree = sled::open(&projection).unwrap();
        edit(&tree);
        tree.flush().unwrap();
    };
    let key = || sled::open(&projection).unwrap().scan_prefix("ru").next().unwrap().unwrap().0;
    let pristine = guard.path().join("pristine");
    copy(&projection, &pristine).unwrap();
    let in_doubt = |reason: &str| ProjectionState::InDoubt(reason.to_owned());
    // what happened | what is said
    let table: [(&dyn Fn(), ProjectionState); 7] = [
        (&|| {}, ProjectionState::Agrees),
        (&|| replace(&behind), ProjectionState::Behind(40)),
        (&|| fs::remove_dir_all(&projection).unwrap(), ProjectionState::Absent),
        (
            &|| {
                fs::remove_dir_all(&projection).unwrap();
                fs::write(&projection, "x").unwrap();
            },
            in_doubt("it is no folder"),
        ),
        (&|| replace(&other.join("projection")), in_doubt("it belongs to another store")),
        (
            &|| {
                let key = key();
                edit(&|tree| drop(tree.remove(&key).unwrap()));
            },
            in_doubt("a record is missing or not the newest"),
        ),
        (&|| edit(&|tree| drop(tree.insert("m", vec![9; 40]).unwrap())), in_doubt("its progress is damaged")),
    ];
    for (change, expected) in table {
        let _ = fs::remove_file(&projection);
        let _ = fs::remove_dir_all(&projection);
        copy(&pristine, &projection).unwrap();
        change();
        let before = files(&folder);
        assert_eq!(verified(&folder).unwrap(), Verification { scopes: 50, projection: expected });
        assert_eq!(files(&folder), before);
    }
}

#[test]
fn a_projection_that_is_consistent_but_wrong_is_found() {
    let (guard, folder) = temporary();
    let events: Vec<_> = users(50).collect();
    store_of(&events, &folder);
    // Another history of the same store: it fits itself, but not the journal.
    let forged = guard.path().join("forged");
    copy(&folder, &forged).unwrap();
    fs::remove_dir_all(forged.join("journal")).unwrap();
    fs::remove_dir_all(forged.join("projection")).unwrap();
    let mut others = events.clone();
    others[30].organization = None;
    let identity = identity::read(&folder).unwrap().unwrap();
    crate::journal::Journal::create(&forged.join("journal"), identity).unwrap();
    store_of(&others, &forged);
    fs::remove_dir_all(folder.join("projection")).unwrap();
    copy(&forged.join("projection"), &folder.join("projection")).unwrap();
    match verified(&folder).unwrap().projection {
        ProjectionState::InDoubt(reason) => assert!(reason.ends_with("is not the sum of its events"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_torn_tail_is_told_and_stays() {
    let (_guard, folder) = temporary();
    store_of(&users(5).collect::<Vec<_>>(), &folder);
    let segment = folder.join("journal/00000000000000000001.log");
    let length = fs::metadata(&segment).unwrap().len();
    OpenOptions::new().append(true).open(&segment).unwrap().write_all(b"torn").unwrap();
    let before = files(&folder);
    assert_eq!(verified(&folder).unwrap().scopes, 5);
    let history = History::open(&folder).unwrap();
    let torn = history.torn().unwrap();
    assert_eq!((torn.segment.as_path(), torn.offset, torn.bytes), (&*segment, length, 4));
    assert_eq!(exported(&folder).lines().count(), 7);
    assert_eq!(files(&folder), before);
}

#[test]
fn a_damaged_journal_is_named_with_segment_and_offset() {
    // The events of these fixtures do not go on from each other.
    let (_guard, folder) = temporary();
    store_of(&history(1..=2), &folder);
    let second = fs::metadata(folder.join("journal/00000000000000000001.log")).unwrap().len() / 2;
    match verified(&folder).unwrap_err() {
        OpenError::Corrupt { segment, offset, reason } => {
            assert!(segment.ends_with("journal/00000000000000000001.log") && offset > second / 2, "{offset}");
            assert_eq!(reason, "changes[0].old: is not what the scope had set before");
        }
        other => panic!("{other}"),
    }
    let (_guard, folder) = temporary();
    store_of(&decided(&some_writes()), &folder);
    let segment = folder.join("journal/00000000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let line = verified(&folder).unwrap_err().to_string();
    assert!(line.contains("00000000000000000001.log at byte 32: "), "{line}");
    let line = verified(&folder.join("journal")).unwrap_err().to_string();
    assert!(line.starts_with("there is no store in "), "{line}");
}

#[test]
fn backups_of_a_store_that_is_written_to_hold_all_that_was_acknowledged_before() {
    let (guard, folder) = temporary();
    let store = JournalStore::open_with(&folder, Sizes { segment_bytes: 2_000, ..SIZES }).unwrap();
    let acknowledged = AtomicU64::new(0);
    let enough = AtomicU64::new(0);
    thread::scope(|threads| {
        threads.spawn(|| {
            for event in users(u64::MAX) {
                if enough.load(Ordering::Acquire) > 0 {
                    break;
                }
                append(&store, &[event]).unwrap();
                acknowledged.fetch_add(1, Ordering::Release);
            }
        });
        let mut segments = 0;
        // Until the copies span several segments, so that some were rolled in between.
        for round in 0.. {
            let before = acknowledged.load(Ordering::Acquire);
            let target = guard.path().join(format!("backup {round}"));
            let revision = backup(&folder, &target, &["keys"], &mut |_, _| {}).unwrap();
            assert!(revision >= before, "{revision} of {before}");
            let copy = History::open(&target).unwrap();
            assert_eq!((copy.revision(), copy.torn()), (revision, None));
            segments = segments.max(copy.segments());
            drop(copy);
            assert_eq!(verified(&target).unwrap().scopes as u64, revision);
            let opened = JournalStore::open_with(&target, SIZES).unwrap();
            let newest = users(revision).last().map_or(Scope::System, |event| event.scope);
            assert_eq!(opened.record(&newest).unwrap().sequence > 0, revision > 0);
            if round >= 5 && segments > 3 {
                break;
            }
        }
        enough.store(1, Ordering::Release);
    });
}

#[test]
fn a_backup_after_a_power_cut_holds_what_the_mark_no_longer_proves() {
    let (guard, folder) = temporary();
    let events: Vec<_> = users(20).collect();
    store_of(&events[..10], &folder);
    let old_mark = fs::read(folder.join("journal/durable")).unwrap();
    let store = JournalStore::open_with(&folder, SIZES).unwrap();
    append(&store, &events[10..]).unwrap();
    store.close().unwrap();
    drop(store);
    for (round, mark) in [Some(old_mark), None].into_iter().enumerate() {
        let path = folder.join("journal/durable");
        match mark {
            Some(mark) => fs::write(&path, mark).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        // A segment whose creation was torn is not copied.
        fs::write(folder.join("journal/00000000000000000021.log"), "FSSG").unwrap();
        let target = guard.path().join(format!("backup {round}"));
        assert_eq!(backup(&folder, &target, &[], &mut |_, _| {}).unwrap(), 20);
        let (ours, theirs) = (JournalStore::open_with(&target, SIZES).unwrap(), exported(&folder));
        assert_eq!(ours.revision(), 20);
        drop(ours);
        assert_eq!(exported(&target), theirs);
    }
}

#[test]
fn a_backup_keeps_other_folders_for_their_owner_alone_and_wants_an_empty_target() {
    let (guard, folder) = temporary();
    store_of(&decided(&some_writes()), &folder);
    let keys = folder.join("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, PermissionsExt::from_mode(0o700)).unwrap();
    for (name, mode) in [("1.pem", 0o600), ("note", 0o640), (".half.tmp", 0o600)] {
        fs::write(keys.join(name), name).unwrap();
        fs::set_permissions(keys.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let target = guard.path().join("backups/monday");
    assert_eq!(backup(&folder, &target, &["keys", "none"], &mut |_, _| {}).unwrap(), 3);
    let mode = |path: &str| fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keys"), mode("keys/1.pem"), mode("keys/note")), (0o700, 0o600, 0o600));
    assert_eq!(fs::read(target.join("keys/1.pem")).unwrap(), b"1.pem");
    let names = |folder: &Path| {
        let mut names = crate::files::names(folder).unwrap();
        names.sort();
        names
    };
    assert_eq!(names(&target), ["identity", "journal", "keys"]);
    assert_eq!(names(&target.join("keys")), ["1.pem", "note"]);
    let before = files(&target);
    let error = backup(&folder, &target, &["keys"], &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, OpenError::NotEmpty { .. }), "{error}");
    assert_eq!(files(&target), before);
    let error = backup(&guard.path().join("nowhere"), &target, &[], &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, OpenError::NoStore { .. }), "{error}");
}

#[test]
fn no_backup_is_made_of_a_damaged_journal() {
    let (guard, folder) = temporary();
    store_of(&users(20).collect::<Vec<_>>(), &folder);
    let held = JournalStore::open_with(&folder, SIZES).unwrap();
    let segment = folder.join("journal/00000000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let target = guard.path().join("backup");
    let error = backup(&folder, &target, &[], &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(!target.exists());
    drop(held);
    assert!(
        records(&JournalStore::open_with(&guard.path().join("new"), SIZES).unwrap())
            .iter()
            .all(|record| record.sequence == 0)
    );
}
