//! Tests of selections: every store finds the same records as a search through all of them, page by page, and
//! [`Versioned`] shows them as they were, while others are written between two pages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fastrand::Rng;
use feature_core::{
    Event, FeatureKey, InstanceId, Level, OrganizationId, OwnKey, Record, Scope, Timestamp, UserId, Value, Write,
    decide,
};

use super::{every_store, projection};
use crate::store::limits::SIZES;
use crate::tests::fixtures::{append, history, scopes, write};
use crate::{FeatureStore, JournalStore, MemoryStore, Selected, Selection, StoreError, Versioned};

type Records = BTreeMap<Scope, Record>;

/// Scopes of all kinds, and so many users that one block of an index cannot have them.
fn many_scopes() -> Vec<Scope> {
    let instances: Vec<_> = ["a", "ab"].map(|id| InstanceId::new(id).unwrap()).into();
    let mut scopes = vec![Scope::System];
    for instance in &instances {
        scopes.push(Scope::Instance(instance.clone()));
        for number in 0..5 {
            let id = OrganizationId::new(&format!("o{number}")).unwrap();
            scopes.push(Scope::Organization(instance.clone(), id));
        }
        for number in 0..120 {
            scopes.push(Scope::User(instance.clone(), UserId::new(&format!("u{number}")).unwrap()));
        }
    }
    for owner in instances.into_iter().map(Some).chain([None]) {
        scopes.extend(["k", "l"].map(|key| Scope::Definition(owner.clone(), OwnKey::new(key).unwrap())));
    }
    scopes
}

/// Writes that set and unset features at random.
fn random_writes(rng: &mut Rng, scopes: &[Scope], count: usize) -> Vec<Write> {
    let random = |_| {
        let scope = &scopes[rng.usize(..scopes.len())];
        let value = rng.bool().then(|| Value::Flag(rng.bool()));
        write(scope, ["f", "g"][rng.usize(..2)], value)
    };
    (0..count).map(random).collect()
}

/// Appends what the writes bring about, and applies it to the records.
fn commit(store: &dyn FeatureStore, records: &mut Records, writes: &[Write]) {
    let events = decided(store.revision(), records, writes);
    append(store, &events).unwrap();
}

/// The events that the writes bring about after a revision. They are applied to the records.
fn decided(revision: u64, records: &mut Records, writes: &[Write]) -> Vec<Event> {
    let mut events = Vec::new();
    for write in writes {
        let record = records.entry(write.scope.clone()).or_default();
        let revision = revision + events.len() as u64 + 1;
        let event = decide(write, record, Timestamp::from_unix_nanos(revision as i64), revision).unwrap();
        event.iter().for_each(|event| record.apply(event));
        events.extend(event);
    }
    events
}

/// Checks every selection, with pages of about `limit` records that `page` reads.
fn check(records: &Records, page: impl Fn(Selection<'_>, Option<&Scope>) -> Selected) {
    let (a, b) = (InstanceId::new("a").unwrap(), InstanceId::new("b").unwrap());
    let (f, h, k) = (FeatureKey::from("f"), FeatureKey::from("h"), OwnKey::new("k").unwrap());
    let mut selections = vec![
        Selection::DefinitionsOf(None),
        Selection::DefinitionsOf(Some(&a)),
        Selection::DefinitionsOf(Some(&b)),
        Selection::DefinitionsNamed(&k),
        Selection::DefinitionsWith(&f),
    ];
    for level in Level::ALL {
        for instance in [None, Some(&a), Some(&b)] {
            for feature in [None, Some(&f), Some(&h)] {
                selections.push(Selection::Settings { level, instance, feature });
            }
        }
    }
    for selection in selections {
        let expected = records.iter().filter(|(scope, record)| selection.includes(scope, record));
        let expected: Vec<_> = expected.map(|(scope, record)| (scope, &record.layer)).collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let Selected { records, next_after } = page(selection, after.as_ref());
            assert!(records.iter().all(|(scope, _)| after.as_ref().is_none_or(|after| scope > after)));
            found.extend(records);
            after = next_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found.iter().map(|(scope, record)| (scope, &record.layer)).collect::<Vec<_>>(), expected);
    }
}

#[test]
pub(crate) fn every_selection_has_the_records_that_it_includes_in_pages_of_any_size() {
    every_store(|store| has_every_record(&*store, &scopes(), [1_000, 2, 1]));
}

#[test]
fn selections_of_many_scopes_have_the_records_that_they_include() {
    let folder = tempfile::tempdir().unwrap();
    has_every_record(&JournalStore::open_with(folder.path(), SIZES).unwrap(), &many_scopes(), [1_000, 200, 7]);
}

fn has_every_record(store: &dyn FeatureStore, scopes: &[Scope], limits: [usize; 3]) {
    let (mut rng, mut records) = (Rng::with_seed(18), Records::new());
    for limit in limits {
        for _ in 0..10 {
            let count = rng.usize(1..100);
            let writes = random_writes(&mut rng, scopes, count);
            commit(store, &mut records, &writes);
            check(&records, |selection, after| store.select(selection, after, limit).unwrap());
        }
    }
}

/// A store with versions, and its history.
fn versioned() -> (Arc<Versioned>, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    (Versioned::new(store.clone()), store)
}

#[test]
fn reads_at_a_revision_show_one_state_whatever_is_written_between_them() {
    let (store, log) = versioned();
    let (mut rng, mut records) = (Rng::with_seed(19), Records::new());
    let mut states = Vec::new();
    for _ in 0..30 {
        let count = rng.usize(1..40);
        let writes = random_writes(&mut rng, &many_scopes(), count);
        commit(&*store, &mut records, &writes);
        states.push((store.revision(), records.clone()));
    }
    for (revision, records) in &states {
        let select = |selection: Selection<'_>, after: Option<&Scope>| {
            store.select_at(&*log, *revision, selection, after, 10).unwrap().expect("the revision is a recent one")
        };
        check(records, select);
    }
    let newest = store.revision();
    let selection = Selection::DefinitionsOf(None);
    assert_eq!(store.select_at(&*log, newest + 1, selection, None, 10).unwrap(), None, "of the future");
}

#[test]
fn reads_at_a_revision_show_one_state_while_another_thread_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Versioned::new(Arc::new(projection(&folder.path().join("data"))));
    // All of it is recent.
    let log = MemoryStore::default();
    let states = Mutex::new(BTreeMap::from([(0, Records::new())]));
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let (mut rng, mut records) = (Rng::with_seed(21), Records::new());
            for _ in 0..200 {
                let count = rng.usize(1..60);
                let writes = random_writes(&mut rng, &many_scopes(), count);
                let events = decided(store.revision(), &mut records, &writes);
                let after = store.revision() + events.len() as u64;
                states.lock().unwrap().insert(after, records.clone());
                append(&*store, &events).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut compared = 0;
        while !done.load(Ordering::Relaxed) || compared == 0 {
            let revision = store.revision();
            let records = states.lock().unwrap()[&revision].clone();
            check(&records, |selection, after| store.select_at(&log, revision, selection, after, 40).unwrap().unwrap());
            compared += 1;
        }
        writer.join().unwrap();
    });
}

#[test]
fn an_old_revision_is_read_from_the_history_until_too_much_has_changed() {
    let (store, log) = versioned();
    let mut records = Records::new();
    let select_at = |revision| store.select_at(&*log, revision, Selection::DefinitionsOf(None), None, 10);
    let mut written = 0;
    let mut is_too_much = false;
    while !is_too_much {
        let value = Value::Text("x".repeat(30_000 + written % 2));
        commit(&*store, &mut records, &[write(&Scope::System, "f", Some(value))]);
        written += 1;
        if written % 100 == 0 {
            is_too_much = matches!(select_at(0), Err(StoreError::TooLongAgo { .. }));
            assert!(!is_too_much || written > 500, "{written} writes are too many");
            assert!(select_at(store.revision() - 50).unwrap().is_some());
        }
    }
}

#[test]
fn a_write_that_fails_leaves_no_event_behind() {
    let (store, log) = versioned();
    let (mut rng, mut records) = (Rng::with_seed(20), Records::new());
    let writes = random_writes(&mut rng, &many_scopes(), 100);
    commit(&*store, &mut records, &writes);
    let revision = store.revision();
    let other = MemoryStore::default();
    append(&other, &history([1])).unwrap();
    let stray = crate::Batch::fold(&other, history([2])).unwrap();
    store.append(&stray).unwrap_err();
    let before = records.clone();
    let writes = random_writes(&mut rng, &many_scopes(), 100);
    commit(&*store, &mut records, &writes);
    check(&before, |selection, after| store.select_at(&*log, revision, selection, after, 50).unwrap().unwrap());
}
