//! Tests of erasures: what is known of a user goes out of every file, and the shape of the history stays.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, slice, thread};

use feature_core::{Credential, Event, EventKind, Operation, Scope, Value, Write};

use super::checkpoints::{SMALL, exported_and_verified, fill, kept, open};
use crate::event_log::term::Term;
use crate::tests::conformance::event_log::search;
use crate::tests::fixtures::{append, copy, decided, erase, records, scopes, write};
use crate::tests::fleet::replica_over_memory;
use crate::{EventLog, FeatureStore, JournalStore, MemoryStore, Order, StoreError, backup, record_at};

/// Her id.
const ANN: &str = "b";
const SECRET: &str = "the secret of Ann";
const COMMENT: &str = "Ann asked for it";

/// Ann, her instance, another instance, and a user there.
fn places() -> [Scope; 4] {
    let scopes = scopes();
    [4, 1, 2, 5].map(|place| scopes[place].clone())
}

fn ann() -> Scope {
    let [ann, ..] = places();
    ann
}

fn by(actor: &str, write: Write) -> Write {
    Write { actor: actor.to_owned(), credential: Some(Credential::Certificate), ..write }
}

fn erasure() -> Write {
    by("operator", Write { operation: Operation::Erase, ..write(&ann(), "k", None) })
}

/// Ann's settings among those of others, and what she has changed elsewhere; then she is erased, and comes back.
fn writes() -> Vec<Write> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let [ann, instance, other, bob] = places();
    let mut writes = Vec::new();
    for number in 0..12 {
        let secret = format!("{SECRET} {number}");
        writes.push(by(ANN, write(&ann, "k", text(&secret))));
        writes.push(Write { comment: COMMENT.to_owned(), ..by("admin", write(&ann, "l", text(&secret))) });
        writes.push(by(ANN, write(&instance, "k", Some(Value::Integer(number)))));
        writes.push(by(ANN, write(&other, "k", Some(Value::Integer(number)))));
        writes.push(write(&bob, "k", Some(Value::Integer(number))));
    }
    writes.push(erasure());
    writes.push(by(ANN, write(&ann, "k", text("back again"))));
    writes
}

/// Whether a file below a folder has these bytes.
fn has(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("it is there").any(|entry| {
        let path = entry.expect("it is there").path();
        let is_in = |bytes: Vec<u8>| bytes.windows(text.len()).any(|found| found == text.as_bytes());
        if path.is_dir() { has(&path, text) } else { is_in(fs::read(&path).expect("it is there")) }
    })
}

/// How many events name Ann as the actor.
fn times_actor(store: &dyn EventLog) -> usize {
    kept(store).iter().filter(|event| event.actor == ANN).count()
}

#[test]
fn what_is_known_of_a_user_goes_and_the_shape_stays() {
    let events = decided(&writes());
    let mut expected = events.clone();
    erase(&mut expected);
    let guard = tempfile::tempdir().unwrap();
    let (memory, replica) = (MemoryStore::default(), replica_over_memory());
    let journal = open(&guard.path().join("data"), SMALL);
    fill(&journal, &events);
    for store in [&memory as &dyn FeatureStore, &replica] {
        append(store, &events).unwrap();
    }
    while replica.bring_base_forward().unwrap() {}
    let stores: [(&str, &dyn FeatureStore, &dyn EventLog); 3] =
        [("memory", &memory, &memory), ("journal", &journal, &journal), ("replica", &replica, &replica)];
    let erased_at = events.iter().find(|event| event.kind == EventKind::Erase).unwrap().revision;
    for (name, store, log) in stores {
        assert_eq!(kept(log), expected, "{name}");
        // In the other instance, and after the erasure.
        assert_eq!(times_actor(log), 12 + 1, "{name}");
        let shape = |event: &Event| (event.revision, event.scope.clone(), event.time, event.changes.len());
        assert!(kept(log).iter().map(shape).eq(events.iter().map(shape)), "{name}");
        let newest = store.record(&ann()).unwrap();
        assert_eq!(newest.layer.iter().count(), 1, "{name}");
        let then = record_at(log, &ann(), newest.clone(), erased_at - 1);
        let before = erased_at - 1;
        assert!(matches!(then, Err(StoreError::Erased { revision }) if revision == before), "{name}: {then:?}");
        let after = record_at(log, &ann(), newest, erased_at).unwrap();
        assert!(after.layer.is_empty() && after.sequence > 0, "{name}");
        let [.., bob] = places();
        assert!(!record_at(log, &bob, store.record(&bob).unwrap(), 7).unwrap().layer.is_empty(), "{name}");
    }
    // The index of the files does not find her any more.
    let found = search(&journal, &[Term::actor(ANN)], u64::MAX, Order::NewestFirst);
    assert_eq!(found.len(), 13);
}

#[test]
fn no_file_has_what_was_erased_nor_has_a_backup_or_an_export() {
    let guard = tempfile::tempdir().unwrap();
    let folder = |name| guard.path().join(name);
    let events = decided(&writes());
    let store = open(&folder("data"), SMALL);
    fill(&store, &events[..events.len() - 2]);
    assert!(has(&folder("data/journal"), SECRET) && has(&folder("data/journal"), COMMENT));
    fill(&store, &events[events.len() - 2..]);
    assert!(!store.owes_erasures());
    backup(&folder("data"), &folder("copy"), &[], &mut |_, _| {}).unwrap();
    for name in ["data/journal", "data/history", "copy"] {
        assert!(!has(&folder(name), SECRET) && !has(&folder(name), COMMENT), "{name}");
    }
    store.close().unwrap();
    drop(store);
    for name in ["data", "copy"] {
        let lines = exported_and_verified(&folder(name));
        assert!(!lines.contains(SECRET) && !lines.contains(COMMENT), "{name}");
        assert_eq!(lines.matches("\"erased\":true").count(), 37, "{name}");
    }
}

#[test]
fn until_the_files_are_rewritten_nothing_shows_what_was_erased() {
    let guard = tempfile::tempdir().unwrap();
    let folder = |name| guard.path().join(name);
    let (events, store) = (decided(&writes()), open(&folder("data"), SMALL));
    let mut expected = events.clone();
    erase(&mut expected);
    let before = events.len() - 2;
    fill(&store, &events[..before]);
    append(&store, slice::from_ref(&events[before])).unwrap();
    assert!(store.owes_erasures() && has(&folder("data/journal"), SECRET));
    assert_eq!(kept(&store), expected[..=before]);
    // A process that was killed at this moment, and a backup of it.
    copy(&folder("data"), &folder("killed")).unwrap();
    backup(&folder("data"), &folder("copy"), &[], &mut |_, _| {}).unwrap();
    assert!(!has(&folder("copy"), SECRET) && !has(&folder("copy"), COMMENT));
    for name in ["killed", "copy"] {
        let lines = exported_and_verified(&folder(name));
        assert!(!lines.contains(SECRET), "{name}");
        let next: JournalStore = open(&folder(name), SMALL);
        assert!(next.owes_erasures(), "{name}");
        assert_eq!((kept(&next), records(&next)), (expected[..=before].to_vec(), records(&store)), "{name}");
        next.checkpoint(events[before].time).unwrap();
        assert!(!next.owes_erasures(), "{name}");
        assert!(!has(&folder(name).join("journal"), SECRET), "{name}");
        assert_eq!(kept(&next), expected[..=before], "{name}");
        next.close().unwrap();
        drop(next);
        exported_and_verified(&folder(name));
    }
}

#[test]
fn a_user_without_settings_and_one_who_erases_themself_are_erased_too() {
    let [_, instance, ..] = places();
    let changes = [by(ANN, write(&instance, "k", Some(Value::Flag(true)))), by(ANN, erasure())];
    let guard = tempfile::tempdir().unwrap();
    let store = open(guard.path(), SMALL);
    fill(&store, &decided(&changes));
    let events = kept(&store);
    // Who has erased someone stays known.
    assert_eq!(events.iter().map(|event| &*event.actor).collect::<Vec<_>>(), ["", ANN]);
    assert!(events[0].credential.is_none());
    assert!(events[0].changes[0].new.is_some(), "it was no value of hers");
    // Once more, after she came back.
    let again = [&changes[..], &[write(&ann(), "k", Some(Value::Flag(true))), erasure(), erasure()]].concat();
    fill(&store, &decided(&again)[2..]);
    assert_eq!(kept(&store).len(), 5);
    assert!(kept(&store)[2].changes[0].is_blank());
    assert!(!store.owes_erasures());
}

#[test]
fn readers_of_the_history_never_see_a_part_of_a_rewritten_segment() {
    let guard = tempfile::tempdir().unwrap();
    let store = open(guard.path(), SMALL);
    let mut writes: Vec<Write> = Vec::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !done.load(Ordering::Acquire) || reads == 0 {
                        let from = store.oldest().unwrap();
                        let shown = if store.newest() < from { Vec::new() } else { store.events(from, 40).unwrap() };
                        assert!(shown.iter().zip(from..).all(|(event, revision)| event.revision == revision));
                        search(&store, &[Term::scope(&ann())], u64::MAX, Order::NewestFirst);
                        reads += 1;
                    }
                })
            })
            .collect();
        for round in 0..30 {
            let from = decided(&writes).len();
            let set = |number: usize| write(&ann(), "k", Some(Value::Text(format!("{SECRET} {round} {number}"))));
            writes.extend((0..10).map(set));
            writes.push(erasure());
            fill(&store, &decided(&writes)[from..]);
        }
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(!has(&guard.path().join("journal"), SECRET));
}
