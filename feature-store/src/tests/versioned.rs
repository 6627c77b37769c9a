//! Tests of versions: what a reader may conclude from them at each moment of a write.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use feature_core::{InstanceId, Operation, OwnKey, Record, Scope, Value, Write};

use super::fixtures::{append, decided, event, scopes, write};
use crate::{Batch, FeatureStore, MemoryStore, Selected, Selection, StoreError, Versioned};

/// A store whose appends report their begin, and then wait for their outcome.
pub(super) struct Stepwise {
    pub(super) inner: MemoryStore,
    pub(super) begun: Sender<()>,
    pub(super) ends: Mutex<Receiver<Result<(), StoreError>>>,
}

impl FeatureStore for Stepwise {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.begun.send(()).unwrap();
        self.ends.lock().unwrap().recv().unwrap().and_then(|()| self.inner.append(batch))
    }

    fn write_failure(&self) -> Option<StoreError> {
        None
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

#[test]
fn all_definitions_of_an_owner_have_one_version() {
    let store = Versioned::new(Arc::new(MemoryStore::default()));
    let definition = |instance: Option<&str>, key: &str| {
        let instance = instance.map(|id| InstanceId::new(id).unwrap());
        Scope::Definition(instance, OwnKey::new(key).unwrap())
    };
    let of_a = store.version(&definition(Some("a"), "one")).unwrap();
    assert_eq!(store.version(&definition(Some("a"), "other")), Some(of_a));
    let of_system = store.version(&definition(None, "one")).unwrap();
    append(&*store, &[event(1, &definition(Some("a"), "third"), 1, &[Value::Flag(true)])]).unwrap();
    assert!(!store.is_current(of_a));
    assert!(store.is_current(of_system));
}

#[test]
fn a_record_has_no_version_while_it_is_written_and_another_one_after() {
    let ((begun, has_begun), (end, ends)) = (channel(), channel());
    let store = Versioned::new(Arc::new(Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(ends) }));
    let scopes = scopes();
    let (user, other) = (&scopes[4], &scopes[1]);
    let refused = StoreError::WrongRevision { expected: 1, actual: 2 };
    for outcome in [Ok(()), Err(refused)] {
        let (before, of_other) = (store.version(user).unwrap(), store.version(other).unwrap());
        assert!(store.is_current(before));
        thread::scope(|scope| {
            // Two events of one scope count like one.
            let events = [1, 2].map(|n| event(store.revision() + n, user, n, &[Value::Flag(true)]));
            let appending = scope.spawn({
                let store = &store;
                move || append(&**store, &events).is_ok()
            });
            has_begun.recv().unwrap();
            assert_eq!(store.version(user), None);
            assert!(!store.is_current(before));
            assert!(store.is_current(of_other));
            end.send(outcome.clone()).unwrap();
            assert_eq!(appending.join().unwrap(), outcome.is_ok());
        });
        assert!(!store.is_current(before), "{outcome:?}");
        assert!(store.is_current(store.version(user).unwrap()));
        assert!(store.is_current(of_other));
    }
}

#[test]
fn an_erasure_takes_nothing_out_of_memory_unless_it_comes_about() {
    let ((begun, _has_begun), (end, ends)) = (channel(), channel());
    let store = Versioned::new(Arc::new(Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(ends) }));
    let user = &scopes()[4];
    let set = write(user, "k", Some(Value::Flag(true)));
    let events = decided(&[set.clone(), Write { operation: Operation::Erase, ..set }]);
    let full = StoreError::DiskFull { path: "/".into(), free: 0, reserve: 1 };
    for (event, outcome, is_blank) in [(0, Ok(()), false), (1, Err(full), false), (1, Ok(()), true)] {
        end.send(outcome.clone()).unwrap();
        assert_eq!(append(&*store, &events[event..=event]).is_ok(), outcome.is_ok());
        let first = store.recent_events(0, 1).unwrap().remove(0);
        assert_eq!(first.changes[0].is_blank(), is_blank, "{outcome:?}");
    }
}
