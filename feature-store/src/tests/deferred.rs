//! The store that hands events on later: what is visible when, what a slower store that hangs or fails does to it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use feature_core::{Event, Record, Scope};

use super::fixtures::{history, records};
use super::versioned::Stepwise;
use crate::deferred::Deferred;
use crate::{FeatureStore, MemoryStore, StoreError};

/// A store that others can look into, too.
struct Shared(Arc<Stepwise>);

impl FeatureStore for Shared {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.0.record(scope)
    }

    fn revision(&self) -> u64 {
        self.0.revision()
    }

    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        self.0.append(events)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

/// Tells an append how it ends.
type End = Sender<Result<(), StoreError>>;

/// A deferred store over a slower one, whose appends tell when they begin and end as they are told.
fn deferred() -> (Deferred, Arc<Stepwise>, Receiver<()>, End) {
    let ((begun, has_begun), (end, ends)) = (channel(), channel());
    let slower = Arc::new(Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(ends) });
    let deferred = Deferred::start(Box::new(Shared(Arc::clone(&slower)))).unwrap();
    (deferred, slower, has_begun, end)
}

/// A store that is not deferred, with the events up to this revision.
fn at_once(revision: u64) -> MemoryStore {
    let store = MemoryStore::default();
    store.append(&history(1..=revision)).unwrap();
    store
}

#[test]
fn what_is_appended_is_visible_while_the_slower_store_hangs() {
    let (deferred, slower, has_begun, end) = deferred();
    deferred.append(&history(1..=2)).unwrap();
    has_begun.recv().unwrap();
    for revision in 3..=9 {
        deferred.append(&history([revision])).unwrap();
        assert_eq!(records(&deferred), records(&at_once(revision)), "revision {revision}");
        assert_eq!(deferred.revision(), revision);
    }
    assert_eq!(slower.revision(), 0, "it has taken nothing yet");
    end.send(Ok(())).unwrap();
    // Seven appends are handed on as one.
    has_begun.recv().unwrap();
    assert_eq!(slower.revision(), 2);
    assert_eq!(records(&deferred), records(&at_once(9)), "one part is handed on, one is not");
    end.send(Ok(())).unwrap();
    deferred.close().unwrap();
    assert_eq!(records(&*slower), records(&at_once(9)));
    assert_eq!(records(&deferred), records(&at_once(9)));
}

#[test]
fn nothing_is_lost_by_dropping_it() {
    let (deferred, slower, _has_begun, end) = deferred();
    deferred.append(&history(1..=3)).unwrap();
    end.send(Ok(())).unwrap();
    drop(deferred);
    assert_eq!(records(&*slower), records(&at_once(3)));
}

#[test]
fn after_a_failure_writes_are_refused_and_reads_go_on() {
    let (deferred, _, has_begun, end) = deferred();
    let failure = StoreError::Projection { reason: "broken".to_owned() };
    deferred.append(&history([1])).unwrap();
    has_begun.recv().unwrap();
    end.send(Err(failure)).unwrap();
    // The failure may be told a moment later than it was made.
    let refused = (2..).find(|revision| deferred.append(&history([*revision])).is_err()).unwrap();
    assert_eq!(records(&deferred), records(&at_once(refused - 1)));
    assert!(deferred.close().is_err());
}

#[test]
fn a_panic_of_the_slower_store_is_a_failure() {
    let (begun, has_begun) = channel();
    // Nobody listens to what it says, at which it panics.
    drop(has_begun);
    let slower = Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(channel().1) };
    let deferred = Deferred::start(Box::new(slower)).unwrap();
    deferred.append(&history([1])).unwrap();
    assert!(deferred.close().is_err());
    assert_eq!(records(&deferred), records(&at_once(1)));
}
