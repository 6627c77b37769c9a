//! Tests of building a projection: however little memory there is, it is the same. And of what a crash leaves of one.

use std::collections::BTreeSet;
use std::fs;

use fastrand::Rng;
use feature_core::{Level, Value};
use uuid::Uuid;

use super::*;
use crate::JournalStore;
use crate::format::scope_key;
use crate::store::limits::{SIZES, SMALL_CACHE_BYTES};
use crate::tests::fixtures::{append, history, users};

#[test]
fn a_projection_built_with_any_memory_is_the_one_that_was_written_event_by_event() {
    let guard = tempfile::tempdir().unwrap();
    let store = Uuid::from_u128(7);
    // Users of one event each, and one scope that comes again and again.
    let mut events: Vec<_> = users(300).collect();
    events.extend(history(301..=400));
    let empty = |name: &str| {
        let tree = open_tree(&guard.path().join(name), SMALL_CACHE_BYTES).unwrap();
        let progress = Mutex::new(read_progress(&tree, store).unwrap());
        Projection { folder: guard.path().to_owned(), tree, progress, indexing: RwLock::default() }
    };
    let expected = empty("expected");
    events.iter().for_each(|event| append(&expected, std::slice::from_ref(event)).unwrap());
    for fold_bytes in [1, 5_000, FOLD_BYTES] {
        let projection = empty(&format!("built with {fold_bytes}"));
        let mut builder = Builder::new(&projection, fold_bytes);
        events.iter().for_each(|event| builder.add(event).unwrap());
        builder.finish().unwrap();
        let progress = projection.progress().clone();
        check(&projection.tree, &progress).unwrap();
        let records = |projection: &Projection| projection.tree.scan_prefix([RECORD]).map(Result::unwrap).collect();
        let (built, written): (Vec<_>, Vec<_>) = (records(&projection), records(&expected));
        assert_eq!(built, written, "{fold_bytes}");
        assert_eq!(index_of(&projection), index_of(&expected), "{fold_bytes}");
    }
}

/// Every feature with its scopes, as the index has them.
fn index_of(projection: &Projection) -> Vec<(String, Vec<u8>)> {
    index::entries(&projection.tree).flat_map(Result::unwrap).collect()
}

#[test]
fn the_index_is_that_of_the_records_after_any_writes() {
    let guard = tempfile::tempdir().unwrap();
    let tree = open_tree(&guard.path().join("tree"), SMALL_CACHE_BYTES).unwrap();
    let progress = Mutex::new(read_progress(&tree, Uuid::from_u128(7)).unwrap());
    let projection = Projection { folder: guard.path().to_owned(), tree, progress, indexing: RwLock::default() };
    let mut rng = Rng::with_seed(18);
    let (mut events, mut model) = (users(700).collect::<Vec<_>>(), BTreeSet::new());
    for round in 0..40 {
        let mut batch = Vec::new();
        for event in &mut events[..if round < 20 { 700 } else { 60 }] {
            if rng.usize(..4) > 0 {
                continue;
            }
            let record = projection.record(&event.scope).unwrap();
            event.revision = projection.revision() + batch.len() as u64 + 1;
            event.sequence = record.sequence + 1;
            for change in &mut event.changes {
                change.old = record.layer.get(change.key.as_str()).cloned();
                change.new = rng.bool().then_some(Value::Flag(true));
                let entry = (change.key.to_string(), scope_key::encode(&event.scope));
                if change.new.is_some() {
                    model.insert(entry)
                } else {
                    model.remove(&entry)
                };
            }
            batch.push(event.clone());
        }
        append(&projection, &batch).unwrap();
        check(&projection.tree, &projection.progress()).unwrap();
        assert_eq!(index_of(&projection), Vec::from_iter(model.clone()), "round {round}");
    }
}

#[test]
fn a_projection_of_another_version_is_built_anew() {
    let guard = tempfile::tempdir().unwrap();
    let (data, projection) = (guard.path().join("data"), guard.path().join("data/projection"));
    let store = JournalStore::open_with(&data, SIZES).unwrap();
    append(&store, &users(50).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
    drop(store);
    let tree = open_tree(&projection, SMALL_CACHE_BYTES).unwrap();
    let value = tree.get(PROGRESS_KEY).unwrap().unwrap();
    let progress = Progress::decode(open_value(PROGRESS_KEY, &value).unwrap().1).unwrap();
    let earlier = Progress { content: CONTENT - 1, ..progress };
    tree.insert(PROGRESS_KEY, seal_value(PROGRESS_KEY, &earlier.encode_to_vec()).1).unwrap();
    drop(tree);
    let store = JournalStore::open_with(&data, SIZES).unwrap();
    let selection = Selection::Settings { level: Level::User, instance: None, feature: Some(&"f0".into()) };
    assert_eq!(store.select(selection, None, 1_000).unwrap().records.len(), 50);
    assert!(projection.with_added_extension("set-aside").exists());
}

/// As a `kill -9` leaves it when sled has written some records of a projection that is being built.
#[test]
fn a_building_that_was_interrupted_begins_again_and_is_no_doubt() {
    let guard = tempfile::tempdir().unwrap();
    let (data, projection) = (guard.path().join("data"), guard.path().join("data/projection"));
    let events: Vec<_> = users(50).collect();
    let store = JournalStore::open_with(&data, SIZES).unwrap();
    append(&store, &events).unwrap();
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(&projection).unwrap();
    let tree = open_tree(&projection, SMALL_CACHE_BYTES).unwrap();
    for event in &events[..20] {
        tree.insert(record_key(&event.scope), "of another time").unwrap();
    }
    drop(tree);
    let store = JournalStore::open_with(&data, SIZES).unwrap();
    assert_eq!(store.revision(), 50);
    for event in &events {
        assert_eq!(store.record(&event.scope).unwrap().sequence, event.sequence);
    }
    drop(store);
    assert!(!projection.with_added_extension("set-aside").exists());
}

/// As a `kill -9` leaves it now and then, when sled has begun to write one and nothing of it is there yet.
#[test]
fn a_snapshot_that_sled_has_not_finished_is_not_taken_for_one() {
    let guard = tempfile::tempdir().unwrap();
    let folder = guard.path().join("projection");
    let tree = open_tree(&folder, SMALL_CACHE_BYTES).unwrap();
    tree.insert("key", "value").unwrap();
    drop(tree);
    let unfinished = folder.join("snap.0000000000000100.generating");
    fs::write(&unfinished, []).unwrap();
    assert!(sled::open(&folder).is_err(), "sled has learned it by now: then this need not be done here");
    let tree = open_tree(&folder, SMALL_CACHE_BYTES).unwrap();
    assert_eq!(tree.get("key").unwrap().unwrap(), "value");
    assert!(!unfinished.exists());
}
