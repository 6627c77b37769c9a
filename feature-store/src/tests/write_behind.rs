//! Tests of write-behind: visibility, and a slower store that hangs or fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use feature_core::Value;

use super::fixtures::{append, event, history, records, scopes};
use super::versioned::Stepwise;
use crate::store::write_behind::WriteBehind;
use crate::{FeatureStore, MemoryStore, StoreError};

/// Sends an append its outcome.
type End = Sender<Result<(), StoreError>>;

/// A store over a slower one, whose appends report their begin and wait for their outcome.
fn write_behind() -> (WriteBehind, Arc<Stepwise>, Receiver<()>, End) {
    let ((begun, has_begun), (end, ends)) = (channel(), channel());
    let slower = Arc::new(Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(ends) });
    let write_behind = WriteBehind::start(Box::new(Arc::clone(&slower))).unwrap();
    (write_behind, slower, has_begun, end)
}

/// A store without write-behind, with the events up to this revision.
fn at_once(revision: u64) -> MemoryStore {
    let store = MemoryStore::default();
    append(&store, &history(1..=revision)).unwrap();
    store
}

#[test]
fn what_is_appended_is_visible_while_the_slower_store_hangs() {
    let (write_behind, slower, has_begun, end) = write_behind();
    append(&write_behind, &history(1..=2)).unwrap();
    has_begun.recv().unwrap();
    for revision in 3..=9 {
        append(&write_behind, &history([revision])).unwrap();
        assert_eq!(records(&write_behind), records(&at_once(revision)), "revision {revision}");
        assert_eq!(write_behind.revision(), revision);
    }
    assert_eq!(slower.revision(), 0, "it has taken nothing yet");
    end.send(Ok(())).unwrap();
    // Seven appends are handed on as one.
    has_begun.recv().unwrap();
    assert_eq!(slower.revision(), 2);
    assert_eq!(records(&write_behind), records(&at_once(9)), "one part is handed on, one is not");
    end.send(Ok(())).unwrap();
    write_behind.close().unwrap();
    assert_eq!(records(&*slower), records(&at_once(9)));
    assert_eq!(records(&write_behind), records(&at_once(9)));
}

#[test]
fn nothing_is_lost_by_dropping_it() {
    let (write_behind, slower, _has_begun, end) = write_behind();
    append(&write_behind, &history(1..=3)).unwrap();
    end.send(Ok(())).unwrap();
    drop(write_behind);
    assert_eq!(records(&*slower), records(&at_once(3)));
}

#[test]
fn after_a_failure_writes_are_refused_and_reads_go_on() {
    let (write_behind, _, has_begun, end) = write_behind();
    let failure = StoreError::Projection { reason: "broken".to_owned() };
    append(&write_behind, &history([1])).unwrap();
    has_begun.recv().unwrap();
    end.send(Err(failure)).unwrap();
    // The failure may become visible a moment after the append.
    let refused = (2..).find(|revision| append(&write_behind, &history([*revision])).is_err()).unwrap();
    assert_eq!(records(&write_behind), records(&at_once(refused - 1)));
    assert!(write_behind.close().is_err());
}

#[test]
fn a_panic_of_the_slower_store_is_a_failure() {
    let (begun, has_begun) = channel();
    // Its report has no receiver, at which it panics.
    drop(has_begun);
    let slower = Stepwise { inner: MemoryStore::default(), begun, ends: Mutex::new(channel().1) };
    let write_behind = WriteBehind::start(Box::new(slower)).unwrap();
    append(&write_behind, &history([1])).unwrap();
    assert!(write_behind.close().is_err());
    assert_eq!(records(&write_behind), records(&at_once(1)));
}

/// Appends a thousand events with a large value to one scope, and counts them. Ends early when one is refused.
fn append_large(write_behind: &WriteBehind, appended: &AtomicU64) {
    let (scope, value) = (&scopes()[1], [Value::Text("x".repeat(32_000))]);
    for revision in 1..=1_000 {
        if append(write_behind, &[event(revision, scope, revision, &value)]).is_err() {
            break;
        }
        appended.store(revision, Ordering::SeqCst);
    }
}

#[test]
fn a_writer_waits_while_too_much_is_on_its_way() {
    // 16 MiB are 258 of them: each takes its value, the record with that value, and 1 KiB.
    let room = 250..=260;
    let failure = StoreError::Projection { reason: "broken".to_owned() };
    for (outcome, expected) in [(Ok(()), 1_000..=1_000), (Err(failure), room.clone())] {
        let (write_behind, slower, has_begun, end) = write_behind();
        let appended = AtomicU64::new(0);
        thread::scope(|scope| {
            let writer = scope.spawn(|| append_large(&write_behind, &appended));
            has_begun.recv().unwrap();
            // The slower store has begun with a part, which frees nothing before it is done.
            while appended.load(Ordering::SeqCst) < *room.start() && !writer.is_finished() {
                thread::yield_now();
            }
            // Time enough to go on, which another writer does.
            append_large(&WriteBehind::start(Box::new(MemoryStore::default())).unwrap(), &AtomicU64::new(0));
            let by_now = appended.load(Ordering::SeqCst);
            (0..1_000).for_each(|_| end.send(outcome.clone()).unwrap());
            assert!(room.contains(&by_now), "{by_now} before the slower store has taken any");
        });
        assert!(expected.contains(&appended.load(Ordering::SeqCst)), "{appended:?} after {outcome:?}");
        assert_eq!(write_behind.close().is_ok(), outcome.is_ok());
        assert_eq!(slower.revision() == 1_000, outcome.is_ok());
    }
}
