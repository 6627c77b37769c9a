//! The conformance suite: what the contract promises, run against every store. A new store is one more row.

pub(super) mod event_log;
pub(super) mod selection;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use feature_core::{Event, Record, Scope, Value};
use uuid::Uuid;

use super::fixtures::{append, event, history, records, scopes, values};
use super::fleet::replica_over_memory;
use crate::format::identity::Identity;
use crate::journal::Journal;
use crate::projection::Projection;
use crate::store::limits::SIZES;
use crate::store::write_behind::WriteBehind;
use crate::{Batch, FeatureStore, JournalStore, MemoryStore, StoreError, VALUE_MAX_BYTES, VALUE_MAX_DEPTH, Versioned};

type Constructor = fn(&Path) -> Arc<dyn FeatureStore>;

/// Every store with its name.
const STORES: [(&str, Constructor); 8] = [
    ("memory", |_| Arc::new(MemoryStore::default())),
    ("journal", |folder| Arc::new(journal_store(folder))),
    ("projection", |folder| Arc::new(projection(folder))),
    ("write-behind over memory", |_| Arc::new(write_behind(MemoryStore::default()))),
    ("write-behind over a projection", |folder| Arc::new(write_behind(projection(folder)))),
    ("versioned over memory", |_| Versioned::new(Arc::new(MemoryStore::default()))),
    ("versioned over a journal", |folder| Versioned::new(Arc::new(journal_store(folder)))),
    ("replica over memory", |_| Arc::new(replica_over_memory())),
];

fn journal_store(folder: &Path) -> JournalStore {
    JournalStore::open_with(folder, SIZES).expect("an empty folder can be opened")
}

fn projection(folder: &Path) -> Projection {
    let (journal_folder, identity) = (folder.join("journal"), Identity { store: Uuid::nil(), oldest: 1 });
    Journal::create(&journal_folder, identity).expect("an empty folder takes a journal");
    let journal = Journal::open(&journal_folder, identity, SIZES).expect("the journal is new");
    Projection::open(&folder.join("projection"), &journal, SIZES.cache_bytes).expect("an empty folder can be opened")
}

fn write_behind(slower: impl FeatureStore + 'static) -> WriteBehind {
    WriteBehind::start(Box::new(slower)).expect("a thread starts")
}

/// Makes a new store.
type AnyConstructor = Box<dyn Fn() -> Arc<dyn FeatureStore>>;

thread_local! {
    /// A further store, which replaces the others on this thread.
    pub(super) static ANOTHER: RefCell<Option<AnyConstructor>> = const { RefCell::new(None) };
}

/// Runs a test against every store, each of them new.
pub(super) fn every_store(test: impl Fn(Arc<dyn FeatureStore>)) {
    let another = ANOTHER.with_borrow(|construct| construct.as_ref().map(|construct| construct()));
    if let Some(store) = another {
        return test(store);
    }
    for (name, construct) in STORES {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        println!("store: {name}");
        test(construct(&folder.path().join("data")));
    }
}

fn record_of(events: &[Event]) -> Record {
    let mut record = Record::default();
    events.iter().for_each(|event| record.apply(event));
    record
}

#[test]
pub(super) fn a_new_store_is_empty() {
    every_store(|store| {
        assert_eq!(store.revision(), 0);
        assert!(records(&*store).iter().all(|record| *record == Record::default()));
        append(&*store, &[]).unwrap();
        assert_eq!(store.revision(), 0);
        store.close().unwrap();
    });
}

#[test]
pub(super) fn what_is_appended_is_there_exactly_and_only_where_it_belongs() {
    every_store(|store| {
        let scopes = scopes();
        let events: Vec<_> = (1..).zip(&scopes).map(|(revision, scope)| event(revision, scope, 9, &values())).collect();
        append(&*store, &events[..2]).unwrap();
        assert_eq!(store.revision(), 2);
        append(&*store, &events[2..]).unwrap();
        assert_eq!(store.revision(), scopes.len() as u64);
        for event in &events {
            assert_eq!(store.record(&event.scope).unwrap(), record_of(std::slice::from_ref(event)));
        }
    });
}

#[test]
pub(super) fn later_events_change_earlier_records_within_a_group_and_after_it() {
    every_store(|store| {
        let user = scopes().pop().unwrap();
        let mut unset = event(3, &user, 4, &[]);
        unset.changes = event(2, &user, 1, &values()[..2]).changes;
        unset.changes.iter_mut().for_each(|change| change.old = change.new.take());
        unset.organization = None;
        let events = [event(1, &user, 1, &values()), event(2, &user, 2, &[Value::Flag(true)]), unset];
        append(&*store, &events[..2]).unwrap();
        append(&*store, &events[2..]).unwrap();
        let record = store.record(&user).unwrap();
        assert_eq!(record, record_of(&events));
        assert_eq!((record.sequence, record.organization, record.created), (4, None, Some(events[0].time)));
        assert_eq!(record.layer.iter().count(), values().len() - 2);
    });
}

#[test]
pub(super) fn a_group_that_does_not_continue_the_history_is_refused_whole() {
    every_store(|store| {
        append(&*store, &history([1])).unwrap();
        let before = records(&*store);
        // revisions | the one expected and the one found
        for (revisions, expected) in
            [(vec![1], (2, 1)), (vec![3], (2, 3)), (vec![2, 2], (3, 2)), (vec![2, 3, 5], (4, 5))]
        {
            // Made for a store that is as far as the first event needs.
            let other = MemoryStore::default();
            append(&other, &history(1..revisions[0])).unwrap();
            let batch = Batch::fold(&other, history(revisions));
            let error = batch.and_then(|batch| store.append(&batch)).unwrap_err();
            assert!(error.is_refusal());
            match error {
                StoreError::WrongRevision { expected: wanted, actual } => assert_eq!((wanted, actual), expected),
                // A store with several writers: the batch is to be decided again.
                StoreError::Overtaken => assert!(expected.1 < expected.0),
                error => panic!("{error}"),
            }
        }
        assert!(store.write_failure().is_none(), "a refusal is not a failure");
        assert_eq!((store.revision(), records(&*store)), (1, before));
        append(&*store, &history([2])).unwrap();
    });
}

#[test]
pub(super) fn a_value_above_a_limit_is_refused_and_harms_nothing() {
    every_store(|store| {
        let mut deep = Value::Flag(true);
        for _ in 0..VALUE_MAX_DEPTH {
            deep = Value::Message([("part".to_owned(), deep)].into());
        }
        let deepest = deep.clone();
        let too_deep = Value::Message([("part".to_owned(), deep)].into());
        let largest = Value::Text("x".repeat(VALUE_MAX_BYTES - 4));
        let too_large = Value::Text("x".repeat(VALUE_MAX_BYTES));
        for refused in [too_deep, too_large] {
            let events = [history([1]), vec![event(2, &Scope::System, 2, &[Value::Flag(true), refused])]].concat();
            let error = append(&*store, &events).unwrap_err();
            assert!(error.is_refusal() && error.to_string().contains("f1"), "{error}");
            assert_eq!((store.revision(), store.record(&Scope::System).unwrap()), (0, Record::default()));
        }
        let accepted = event(1, &Scope::System, 1, &[deepest, largest]);
        append(&*store, std::slice::from_ref(&accepted)).unwrap();
        assert_eq!(store.record(&Scope::System).unwrap(), record_of(&[accepted]));
    });
}

#[test]
pub(super) fn readers_never_see_a_record_go_back_nor_one_that_its_revision_lacks() {
    every_store(|store| {
        let done = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let revision = store.revision();
                        let record = store.record(&Scope::System).unwrap();
                        assert!(record.sequence >= revision, "revision {revision} is not visible yet");
                        assert!(record.sequence >= last, "{} came after {last}", record.sequence);
                        assert_eq!(record.layer.get("f0"), record.layer.get("f1"), "half of an event is visible");
                        last = record.sequence;
                    }
                });
            }
            for revision in 1..=200 {
                let value = Value::Numbers(vec![revision as i32]);
                append(&*store, &[event(revision, &Scope::System, revision, &[value.clone(), value])]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(store.record(&Scope::System).unwrap().sequence, 200);
    });
}
