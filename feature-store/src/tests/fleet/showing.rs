//! A write beside the feed: the view shows entries before their position is published.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use fastrand::Rng;
use feature_core::{Record, Scope};
use uuid::Uuid;

use super::connection::Connection;
use super::log::{Log, STORE};
use super::run::Rules;
use crate::engine::{Append, Engine, Position};
use crate::tests::fixtures::history;
use crate::{Batch, FeatureStore, MemoryStore, Replica, Selected, Selection, StoreError};

/// A view that pauses at the end of its first append: it shows the events, and the append has not returned.
struct Paused {
    view: MemoryStore,
    shows: Sender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl FeatureStore for Paused {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.view.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.view.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.view.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.view.append(batch)?;
        if self.shows.send(()).is_ok() {
            let _ = self.goes_on.lock().expect("a failed append ends the test").recv();
        }
        Ok(())
    }

    fn write_failure(&self) -> Option<StoreError> {
        None
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn a_write_may_be_decided_upon_entries_that_are_just_being_shown() {
    let mut log = Log::new(Rng::with_seed(0), Rules::default());
    log.is_busy = false;
    let (log, start) = (Arc::new(Mutex::new(log)), Position::start(STORE));
    let connection = || Arc::new(Connection::new(&log, 0));
    assert_eq!(connection().append(start, &start.entries(history([1]).iter())).unwrap(), Append::Added);
    let (shows, shown) = channel();
    let (go_on, goes_on) = channel();
    let view = Paused { view: MemoryStore::default(), shows, goes_on: Mutex::new(goes_on) };
    let replica = Replica::new((Uuid::nil(), STORE), connection(), Arc::new(view), start);
    let replica = &replica;
    thread::scope(|scope| {
        scope.spawn(|| replica.follow().unwrap());
        shown.recv().unwrap();
        drop(shown);
        let batch = Batch::fold(replica, history([2])).unwrap();
        let write = scope.spawn(move || replica.append(&batch));
        // A write that does not wait is over soon.
        for _ in 0..10_000 {
            if write.is_finished() {
                break;
            }
            thread::yield_now();
        }
        drop(go_on);
        write.join().unwrap().unwrap();
    });
    assert_eq!(replica.position(), log.lock().unwrap().end());
}
