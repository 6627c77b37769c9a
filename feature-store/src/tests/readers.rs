//! Tests of the readers: their queue, callers who leave, and reads that hang or panic.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::thread;

use feature_core::{Scope, Value};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, yield_now};

use super::fixtures::{append, event};
use crate::{FeatureStore, MemoryStore, ReadError, Readers};

/// Readers of an empty store, and one thread that polls all callers in the order in which they come.
struct Bench {
    runtime: Runtime,
    store: Arc<MemoryStore>,
    readers: Arc<Readers>,
    /// The reads that began.
    begun: Arc<AtomicUsize>,
}

type Answer = JoinHandle<Result<u64, ReadError>>;

impl Bench {
    fn new(threads: usize, queue: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
        let size = |size| NonZeroUsize::new(size).expect("a size is not 0");
        let store = Arc::new(MemoryStore::default());
        let readers = Readers::start(store.clone(), size(threads), size(queue)).expect("threads start");
        Self { runtime, store, readers: Arc::new(readers), begun: Arc::default() }
    }

    /// Starts a read that does this first and then tells the revision; returns when it is queued.
    fn send(&self, first: impl FnOnce() + Send + 'static) -> Answer {
        let (readers, begun) = (self.readers.clone(), self.begun.clone());
        let read = move |store: &dyn FeatureStore| {
            begun.fetch_add(1, Ordering::SeqCst);
            first();
            store.revision()
        };
        let answer = self.runtime.spawn(async move { readers.read(read).await });
        self.runtime.block_on(yield_now());
        answer
    }

    /// Makes one thread hang until the sender is dropped.
    fn hang(&self) -> (mpsc::Sender<()>, Answer) {
        let (go_on, hangs) = mpsc::channel::<()>();
        let before = self.begun.load(Ordering::SeqCst);
        let answer = self.send(move || assert!(hangs.recv().is_err(), "nothing is sent"));
        while self.begun.load(Ordering::SeqCst) == before {
            thread::yield_now();
        }
        (go_on, answer)
    }

    fn wait(&self, answer: Answer) -> Result<u64, ReadError> {
        self.runtime.block_on(answer).expect("a caller does not panic")
    }
}

#[test]
fn a_read_sees_the_newest_state() {
    let bench = Bench::new(3, 100);
    for revision in 1..=20 {
        append(&*bench.store, &[event(revision, &Scope::System, revision, &[Value::Flag(true)])]).unwrap();
        assert_eq!(bench.wait(bench.send(|| ())), Ok(revision));
    }
}

#[test]
fn reads_go_on_while_one_hangs_and_another_thread_is_left() {
    let bench = Bench::new(2, 1);
    let (go_on, hanging) = bench.hang();
    for _ in 0..20 {
        assert_eq!(bench.wait(bench.send(|| ())), Ok(0));
    }
    drop(go_on);
    assert_eq!(bench.wait(hanging), Ok(0));
}

#[test]
fn a_full_queue_is_told_at_once() {
    let bench = Bench::new(1, 2);
    let (go_on, hanging) = bench.hang();
    let queued = [bench.send(|| ()), bench.send(|| ())];
    assert_eq!(bench.wait(bench.send(|| ())), Err(ReadError::QueueFull));
    drop(go_on);
    for answer in queued.into_iter().chain([hanging]) {
        assert_eq!(bench.wait(answer), Ok(0));
    }
    assert_eq!(bench.wait(bench.send(|| ())), Ok(0));
}

#[test]
fn a_caller_who_leaves_is_not_read_for() {
    let bench = Bench::new(1, 100);
    let (go_on, hanging) = bench.hang();
    let gone: Vec<_> = (0..10).map(|_| bench.send(|| ())).collect();
    gone.iter().for_each(JoinHandle::abort);
    hanging.abort();
    bench.runtime.block_on(yield_now());
    drop(go_on);
    assert_eq!(bench.wait(bench.send(|| ())), Ok(0));
    assert_eq!(bench.begun.load(Ordering::SeqCst), 2, "the one that hung and the last one");
}

#[test]
fn a_read_that_panics_fails_alone() {
    let bench = Bench::new(1, 100);
    for _ in 0..3 {
        assert_eq!(bench.wait(bench.send(|| panic!("on purpose"))), Err(ReadError::Panicked));
        assert_eq!(bench.wait(bench.send(|| ())), Ok(0));
    }
}

#[test]
fn dropping_the_readers_ends_them_and_lets_the_store_go() {
    let Bench { runtime, store, readers, .. } = Bench::new(3, 100);
    let weak: Weak<MemoryStore> = Arc::downgrade(&store);
    drop((runtime, store, readers));
    while weak.strong_count() > 0 {
        thread::yield_now();
    }
}
