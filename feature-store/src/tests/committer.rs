//! Tests of the committer: grouping, the queue, poisoning and closing, with a store that blocks and fails on demand.

mod gated;

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Duration;

use feature_core::{Details, Operation, Record, Scope, Value, Write};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, yield_now};

use self::gated::Gated;
use super::conformance::every_store;
use super::fixtures::{scopes, write};
use crate::committer::{NoObserver, reply::NoEventLoops};
use crate::{CommitError, Committer, FeatureStore, StoreError, VALUE_MAX_BYTES};

type Answer = JoinHandle<Result<Details, CommitError>>;

/// A committer on a gated store, and one thread that polls all callers in the order in which they come.
struct Bench {
    runtime: Runtime,
    store: Arc<Gated>,
    committer: Arc<Committer>,
}

impl Bench {
    fn new(queue: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
        let store = Arc::new(Gated::default());
        let queue = NonZeroUsize::new(queue).expect("a queue has a place");
        let committer = Arc::new(Committer::start(store.clone(), queue).expect("a thread starts"));
        Self { runtime, store, committer }
    }

    /// Closes the gate, lets one write run into it, and returns both.
    fn block(&self) -> (MutexGuard<'_, ()>, Answer) {
        let gate = self.store.gate.lock().expect("no test panics behind the gate");
        let before = self.store.entered.load(Ordering::SeqCst);
        let first = self.send(write(&Scope::System, "first", Some(Value::Flag(true))));
        while self.store.entered.load(Ordering::SeqCst) == before {
            thread::yield_now();
        }
        (gate, first)
    }

    /// Starts a commit and returns when it is queued.
    fn send(&self, write: Write) -> Answer {
        let committer = self.committer.clone();
        let answer = self.runtime.spawn(async move { Ok(committer.commit(write).await?.details) });
        self.runtime.block_on(yield_now());
        answer
    }

    fn wait(&self, answer: Answer) -> Result<Details, CommitError> {
        self.runtime.block_on(answer).expect("a commit does not panic")
    }

    /// Lets the append after `successes` more fail.
    fn fail_after(&self, successes: usize, error: StoreError) {
        let mut failures = self.store.failures.lock().expect("no test panics with the failures");
        failures.extend((0..successes).map(|_| None).chain([Some(error)]));
    }
}

fn flag(key: &str) -> Write {
    write(&Scope::System, key, Some(Value::Flag(true)))
}

fn broken() -> StoreError {
    StoreError::Projection { reason: "broken".to_owned() }
}

#[test]
fn what_waits_is_committed_as_one_group_in_the_order_it_came() {
    let bench = Bench::new(100);
    let (gate, first) = bench.block();
    let dry_run = Write { validate_only: true, ..flag("dry") };
    let stale = Write { expected_sequence: Some(1), ..flag("stale") };
    let exact = Write { expected_sequence: Some(3), ..flag("exact") };
    let large = write(&Scope::System, "large", Some(Value::Text("x".repeat(VALUE_MAX_BYTES))));
    let reset = Write { operation: Operation::Reset, ..flag("reset") };
    // write | the sequence answered, or the text of the refusal
    let table = [
        (flag("a"), Ok(2)),
        (flag("a"), Ok(2)),
        (dry_run, Ok(2)),
        (flag("b"), Ok(3)),
        (stale, Err("expected_sequence is 1, but the sequence is 3: read again, then repeat the change")),
        (large, Err("the value of large takes 32772 bytes, at most 32768 are allowed")),
        (exact, Ok(4)),
        (reset, Ok(5)),
        (flag("c"), Ok(6)),
    ];
    let answers: Vec<_> = table.into_iter().map(|(write, expected)| (bench.send(write), expected)).collect();
    drop(gate);
    assert_eq!(bench.wait(first).unwrap().sequence, 1);
    for (answer, expected) in answers {
        let answer = bench.wait(answer).map(|details| details.sequence).map_err(|error| error.to_string());
        assert_eq!(answer, expected.map_err(str::to_owned));
    }
    assert_eq!(bench.store.entered.load(Ordering::SeqCst), 2, "two groups, two appends");
    let record = bench.store.record(&Scope::System).unwrap();
    assert_eq!(record.layer.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(bench.store.revision(), 6);
}

#[test]
fn a_write_that_changes_nothing_is_confirmed_by_a_batch_without_events() {
    let bench = Bench::new(1);
    let details = bench.wait(bench.send(Write { validate_only: true, ..flag("a") })).unwrap();
    assert_eq!((details.sequence, details.changed), (0, None));
    assert_eq!((bench.store.entered.load(Ordering::SeqCst), bench.store.revision()), (1, 0));
}

#[test]
fn a_full_queue_is_told_at_once() {
    let bench = Bench::new(2);
    let (gate, first) = bench.block();
    let queued = [bench.send(flag("a")), bench.send(flag("b"))];
    assert!(matches!(bench.wait(bench.send(flag("c"))), Err(CommitError::QueueFull)));
    drop(gate);
    bench.wait(first).unwrap();
    for answer in queued {
        bench.wait(answer).unwrap();
    }
    bench.wait(bench.send(flag("c"))).unwrap();
}

#[test]
fn a_failed_append_refuses_all_later_writes_and_no_reads() {
    let bench = Bench::new(100);
    let (gate, first) = bench.block();
    bench.fail_after(0, broken());
    drop(gate);
    assert!(matches!(bench.wait(first), Err(CommitError::Store(StoreError::Projection { .. }))));
    assert!(!*bench.committer.accepts_writes().borrow());
    for write in [flag("a"), Write { validate_only: true, ..flag("a") }] {
        let refused = bench.wait(bench.send(write)).unwrap_err();
        assert!(matches!(refused, CommitError::Store(StoreError::RefusingWrites { .. })), "{refused}");
        assert!(refused.to_string().contains("broken"));
    }
    assert_eq!(bench.store.entered.load(Ordering::SeqCst), 1, "a failed append is never repeated");
    assert_eq!(bench.store.record(&Scope::System).unwrap(), Record::default());
    bench.runtime.block_on(bench.committer.close()).unwrap();
}

#[test]
fn a_refused_append_is_told_to_its_whole_group_and_does_not_poison() {
    let bench = Bench::new(100);
    let (gate, first) = bench.block();
    bench.fail_after(1, StoreError::DiskFull { path: "data".into(), free: 1, reserve: 2 });
    // The second write would be rejected, but only on top of the first, which does not happen.
    let group = [flag("a"), Write { expected_sequence: Some(1), ..flag("b") }].map(|write| bench.send(write));
    drop(gate);
    assert_eq!(bench.wait(first).unwrap().sequence, 1);
    for answer in group {
        assert!(matches!(bench.wait(answer), Err(CommitError::Store(StoreError::DiskFull { .. }))));
    }
    assert!(*bench.committer.accepts_writes().borrow());
    assert_eq!(bench.wait(bench.send(flag("a"))).unwrap().sequence, 2);
}

#[test]
fn of_many_writes_that_expect_the_same_sequence_one_wins() {
    every_store(|store| {
        let runtime = Runtime::new().unwrap();
        let committer = Arc::new(Committer::start(store.clone(), NonZeroUsize::new(64).unwrap()).unwrap());
        for (round, scope) in scopes().iter().enumerate() {
            let attempts: Vec<_> = (0..32)
                .map(|key| Write {
                    expected_sequence: Some(0),
                    ..write(scope, &format!("f{key}"), Some(Value::Flag(true)))
                })
                .map(|write| (committer.clone(), write))
                .map(|(committer, write)| runtime.spawn(async move { committer.commit(write).await }))
                .collect();
            let won = attempts.into_iter().filter_map(|attempt| runtime.block_on(attempt).unwrap().ok());
            assert_eq!(won.map(|committed| committed.details.sequence).collect::<Vec<_>>(), [1]);
            assert_eq!(store.revision(), round as u64 + 1);
        }
    });
}

#[test]
fn a_caller_who_leaves_before_their_turn_writes_nothing() {
    let bench = Bench::new(100);
    let (gate, first) = bench.block();
    let gone = bench.send(flag("gone"));
    let stays = bench.send(flag("stays"));
    gone.abort();
    first.abort();
    bench.runtime.block_on(yield_now());
    drop(gate);
    assert_eq!(bench.wait(stays).unwrap().sequence, 2, "the first one's turn had come");
    assert_eq!(bench.store.record(&Scope::System).unwrap().layer.get("gone"), None);
}

#[test]
fn writes_count_as_not_accepted_while_the_disk_hangs() {
    let runtime = Runtime::new().unwrap();
    let store = Arc::new(Gated::default());
    let (event_loops, timeout) = (Arc::new(NoEventLoops), Duration::from_millis(20));
    let committer =
        Committer::start_with_timeout(event_loops, Arc::new(NoObserver), store.clone(), NonZeroUsize::MIN, timeout)
            .unwrap();
    let mut accepts = committer.accepts_writes();
    let mut until = |expected| *runtime.block_on(accepts.wait_for(|accepts| *accepts == expected)).unwrap();
    for sequence in 1..=2 {
        let gate = store.gate.lock().unwrap();
        let answer = committer.send(vec![flag(&format!("f{sequence}"))]).unwrap();
        until(false);
        drop(gate);
        assert_eq!(runtime.block_on(answer).unwrap().unwrap().details[0].sequence, sequence);
        until(true);
    }
    let gate = store.gate.lock().unwrap();
    store.failures.lock().unwrap().push_back(Some(broken()));
    let answer = committer.send(vec![flag("c")]).unwrap();
    until(false);
    drop(gate);
    runtime.block_on(answer).unwrap().unwrap_err();
    let refused = runtime.block_on(committer.commit(flag("d"))).unwrap_err();
    assert!(matches!(refused, CommitError::Store(StoreError::RefusingWrites { .. })), "{refused}");
    assert!(!*committer.accepts_writes().borrow(), "an append that hung and then failed is the last one");
}

#[test]
fn closing_finishes_what_is_queued_and_lets_the_store_go() {
    let bench = Bench::new(1);
    let (gate, first) = bench.block();
    let queued = bench.send(flag("a"));
    let committer = bench.committer.clone();
    let closing = bench.runtime.spawn(async move { committer.close().await });
    bench.runtime.block_on(yield_now());
    drop(gate);
    bench.runtime.block_on(closing).unwrap().unwrap();
    assert_eq!(bench.wait(first).unwrap().sequence, 1);
    assert_eq!(bench.wait(queued).unwrap().sequence, 2);
    assert!(matches!(bench.wait(bench.send(flag("b"))), Err(CommitError::Closed)));
    assert!(matches!(bench.runtime.block_on(bench.committer.close()), Err(CommitError::Closed)));
    assert!(!*bench.committer.accepts_writes().borrow());
    assert_eq!((bench.store.closed.load(Ordering::SeqCst), Arc::strong_count(&bench.store)), (1, 1));
}

#[test]
fn a_committer_that_panics_says_so() {
    let bench = Bench::new(1);
    // A panic with the lock of the failures makes the next append panic.
    thread::scope(|threads| {
        let lock = || drop(bench.store.failures.lock().map(|_guard| panic!("on purpose")));
        threads.spawn(lock).join().unwrap_err();
    });
    assert!(matches!(bench.wait(bench.send(flag("a"))), Err(CommitError::Closed)));
    let mut accepts = bench.committer.accepts_writes();
    assert!(!*bench.runtime.block_on(accepts.wait_for(|accepts| !accepts)).unwrap());
}
