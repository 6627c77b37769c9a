//! What an event log promises, against a naive search through all events.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use feature_core::{Event, EventKind, Record, Scope, Timestamp};

use crate::event_log::past::{record_at, revision_at};
use crate::event_log::term::Term;
use crate::event_log::{EventLog, Found, Order};
use crate::store::limits::SIZES;
use crate::tests::fixtures::{append, event, place, scopes, values};
use crate::tests::fleet::replica_over_memory;
use crate::{FeatureStore, JournalStore, MemoryStore, StoreError};

/// Events of all scopes by several actors. Some of them have large values.
fn random_events(rng: &mut Rng, count: u64) -> Vec<Event> {
    let scopes = scopes();
    let mut records = vec![Record::default(); scopes.len()];
    let event = |revision| {
        let number = rng.usize(..scopes.len());
        let record = &mut records[number];
        let mut event = event(revision, &scopes[number], 0, &values()[..rng.usize(..4)]);
        // What an event says of the past fits the events before it.
        event.changes.iter_mut().for_each(|change| change.old = record.layer.get(change.key.as_str()).cloned());
        if rng.u8(..3) == 0 {
            event.changes.iter_mut().for_each(|change| change.new = None);
        }
        event.actor = format!("actor {}", rng.u8(..3));
        event.kind = if rng.u8(..8) == 0 { EventKind::Reset } else { EventKind::Set };
        event.sequence = record.sequence + event.steps();
        record.apply(&event);
        event
    };
    (1..=count).map(event).collect()
}

/// All revisions that a search finds.
pub(crate) fn search(log: &dyn EventLog, terms: &[Term], from: u64, order: Order) -> Vec<u64> {
    let (mut all, mut next) = (Vec::new(), Some(from));
    while let Some(from) = next {
        let Found { revisions, next: then } = log.find(terms, from, order).unwrap();
        all.extend(revisions);
        next = then;
    }
    all
}

/// Checks a log that has exactly these events.
pub(crate) fn check(log: &dyn EventLog, events: &[Event]) {
    let newest = events.len() as u64;
    assert_eq!((log.oldest().unwrap(), log.newest()), (1, newest));
    for from in 1..=newest + 2 {
        for limit in [1, 2, 7] {
            let read = log.events(from, limit).unwrap();
            let expected = events.get(from as usize - 1..).unwrap_or_default();
            assert_eq!(read, expected[..read.len()], "{limit} events from {from} on");
            assert!(read.len() <= limit && read.is_empty() == expected.is_empty(), "{limit} events from {from} on");
        }
    }
    let some: Vec<_> = (1..=newest + 1).filter(|revision| revision % 3 != 1).collect();
    let (mut read, mut left) = (Vec::new(), &some[..]);
    while !left.is_empty() {
        let page = log.events_at(left).unwrap();
        let Some(last) = page.last().map(|event| event.revision) else { break };
        read.extend(page);
        left = &left[left.partition_point(|revision| *revision <= last)..];
    }
    let expected = events.iter().filter(|event| some.contains(&event.revision));
    assert!(read.iter().eq(expected), "single events");

    let (scope, feature, actor) = (Term::scope(&scopes()[1]), Term::feature("F1"), Term::actor("actor 2"));
    let instance = Term::instance(scopes()[1].instance().unwrap());
    let key = Term::feature("b");
    for terms in [&[][..], &[scope], &[feature], &[actor, instance], &[scope, feature, actor], &[key], &[Term(7)]] {
        let concerned = |event: &&Event| terms.iter().all(|term| Term::all_of(event).contains(term));
        let expected: Vec<_> = events.iter().filter(concerned).map(|event| event.revision).collect();
        for from in [0, 1, newest / 2, newest, newest + 5] {
            let mut newest_first: Vec<_> = expected.iter().copied().filter(|revision| *revision <= from).collect();
            newest_first.reverse();
            let oldest_first: Vec<_> = expected.iter().copied().filter(|revision| *revision >= from).collect();
            assert_eq!(search(log, terms, from, Order::NewestFirst), newest_first, "{terms:?} from {from}");
            assert_eq!(search(log, terms, from, Order::OldestFirst), oldest_first, "{terms:?} from {from}");
        }
    }
}

/// Checks the records of all scopes at every revision, and the revisions of times.
fn check_past(store: &(impl FeatureStore + EventLog), events: &[Event]) {
    let mut records = vec![Record::default(); scopes().len()];
    for revision in 0..=events.len() as u64 {
        if let Some(event) = revision.checked_sub(1).map(|place| &events[place as usize]) {
            records[place(&event.scope)].apply(event);
            assert_eq!(revision_at(store, event.time).unwrap(), revision);
            assert_eq!(
                revision_at(store, Timestamp::from_unix_nanos(event.time.unix_nanos() - 1)).unwrap(),
                revision - 1
            );
        }
        for (scope, expected) in scopes().iter().zip(&records) {
            let mut found = record_at(store, scope, store.record(scope).unwrap(), revision).unwrap();
            // A value that was overwritten since does not say who had set it.
            let known = &expected.revisions;
            assert!(found.revisions.iter().all(|(key, of_value)| known.get(key) == Some(of_value)), "{scope:?}");
            found.revisions = known.clone();
            assert_eq!(found, *expected, "{scope:?} at {revision}");
        }
    }
}

/// Appends events in groups to an empty store, and checks its log now and then.
pub(crate) fn check_growing(store: &(impl FeatureStore + EventLog)) -> Vec<Event> {
    let mut rng = Rng::with_seed(7);
    let events = random_events(&mut rng, 60);
    check(store, &[]);
    let mut at = 0;
    while at < events.len() {
        let end = events.len().min(at + rng.usize(1..6));
        append(store, &events[at..end]).unwrap();
        at = end;
        if rng.bool() || at == events.len() {
            check(store, &events[..at]);
        }
    }
    events
}

fn small_segments(folder: &Path) -> JournalStore {
    JournalStore::open_with(folder, crate::store::limits::Sizes { segment_bytes: 600, ..SIZES }).unwrap()
}

#[test]
fn every_event_log_finds_what_concerns_a_term_and_nothing_is_missing() {
    let memory = MemoryStore::default();
    check_past(&memory, &check_growing(&memory));
    let replica = replica_over_memory();
    check_past(&replica, &check_growing(&replica));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let events = check_growing(&small_segments(&data));
    // Now with the stored indexes, and without.
    check(&small_segments(&data), &events);
    check_past(&small_segments(&data), &events);
    fs::remove_dir_all(data.join("history")).unwrap();
    check(&small_segments(&data), &events);
}

#[test]
fn a_damaged_index_and_one_of_other_events_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let events = check_growing(&small_segments(&data));
    let mut indexes: Vec<_> = fs::read_dir(data.join("history")).unwrap().map(|entry| entry.unwrap().path()).collect();
    indexes.sort();
    assert!(indexes.len() > 3, "there are several segments");
    let whole = fs::read(&indexes[0]).unwrap();
    fs::write(&indexes[0], &whole[..whole.len() / 2]).unwrap();
    fs::write(&indexes[1], &whole).unwrap();
    check(&small_segments(&data), &events);
    assert_eq!(fs::read(&indexes[0]).unwrap(), whole);
}

#[test]
fn a_damaged_event_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = small_segments(&data);
    append(&store, &(1..=9).map(|revision| event(revision, &Scope::System, revision, &[])).collect::<Vec<_>>())
        .unwrap();
    let segment = data.join("journal/00000000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(9).position(|text| text == b"request 5").unwrap();
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert!(matches!(store.events(5, 1), Err(StoreError::DamagedEvent { revision: 5 })));
}
