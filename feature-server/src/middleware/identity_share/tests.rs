//! Rates, costs, and turns on a worker.

use feature_core::InstanceId;

use super::*;

fn identity(name: &str) -> Identity {
    Identity::new("issuer", name, None)
}

#[test]
fn an_identity_has_its_even_rate_and_two_seconds_of_it_at_once() {
    let start = Instant::now();
    let rates = CallRates::new(10, start);
    #[rustfmt::skip]
    let table = [
        // at ms    who    calls   let through   then wait ms
        (0,         "ann", 30,     20,           100),
        (0,         "bob", 5,      5,            0),
        (99,        "ann", 1,      0,            1),
        (100,       "ann", 3,      1,            100),
        (350,       "ann", 5,      2,            50),
        (350,       "bob", 20,     18,           50),
        (3_600_000, "ann", 25,     20,           100),
    ];
    for (at_ms, who, calls, let_through, wait_ms) in table {
        let at = start + Duration::from_millis(at_ms);
        let outcomes: Vec<_> = (0..calls).map(|_| rates.take(&identity(who), at)).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), let_through, "{who} at {at_ms} ms");
        let wait = outcomes.last().unwrap().as_ref().err().copied().unwrap_or_default();
        assert_eq!(wait, Duration::from_millis(wait_ms), "{who} at {at_ms} ms");
    }
}

#[test]
fn large_requests_cost_more_calls() {
    let start = Instant::now();
    let table = [
        // calls a second, bytes of the first call, calls let through at once after it
        (10, 0, 19),
        (10, 8 * 1024 - 1, 19),
        (10, 8 * 1024, 18),
        (10, 80 * 1024, 9),
        (10, 8 << 20, 0),
        (0, 8 << 20, 100),
    ];
    for (calls_per_second, bytes, let_through) in table {
        let rates = CallRates::new(calls_per_second, start);
        rates.take(&identity("ann"), start).unwrap().0.add_large_bytes(bytes);
        let calls = (0..100).filter(|_| rates.take(&identity("ann"), start).is_ok()).count();
        assert_eq!(calls, let_through, "{calls_per_second} calls a second, {bytes} bytes");
    }
}

#[test]
fn calls_at_once_share_one_bucket() {
    let start = Instant::now();
    let rates = CallRates::new(100, start);
    let let_through: usize = std::thread::scope(|scope| {
        let caller = || (0..100).filter(|_| rates.take(&identity("ann"), start).is_ok()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(caller)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(let_through, 200);
}

#[test]
fn an_identity_is_an_issuer_a_subject_and_an_instance() {
    let demo = InstanceId::new("demo").unwrap();
    let parts = [("i", "ann", None), ("ia", "nn", None), ("j", "ann", None), ("i", "ann", Some(&demo))];
    for (index, one) in parts.iter().enumerate() {
        for (other_index, other) in parts.iter().enumerate() {
            let [one, other] =
                [one, other].map(|(issuer, subject, instance)| Identity::new(issuer, subject, *instance));
            assert_eq!(one == other, index == other_index);
        }
    }
}

/// How many of `calls` calls of an identity continue at once. The others wait in the worker.
fn goes_on(worker: &mut WorkerCalls, identity: usize, calls: usize, turns: &mut Vec<Turn>) -> usize {
    let waiting = turns.len();
    turns.extend((0..calls).filter_map(|_| worker.begin(identity, 1)));
    calls - (turns.len() - waiting)
}

#[test]
fn one_identity_gets_all_of_a_busy_worker_and_several_get_equal_parts() {
    let (mallory, ann, bob) = (1, 2, 3);
    let mut worker = WorkerCalls::default();
    let mut turns = Vec::new();
    assert_eq!(goes_on(&mut worker, mallory, 256, &mut turns), 256, "the worker is not busy");
    assert_eq!(goes_on(&mut worker, mallory, 500, &mut turns), 500, "there are no others");
    assert_eq!(goes_on(&mut worker, ann, 1, &mut turns), 1);
    assert_eq!(goes_on(&mut worker, mallory, 100, &mut turns), 0, "it has had more than half");
    assert_eq!(goes_on(&mut worker, ann, 100, &mut turns), 100, "it has had less");
    assert_eq!(goes_on(&mut worker, bob, 67, &mut turns), 67);
    assert_eq!(turns.len(), 100);
}

#[test]
fn waiting_calls_continue_when_the_worker_is_idle() {
    let (mallory, ann) = (1, 2);
    let mut worker = WorkerCalls::default();
    let mut turns = Vec::new();
    goes_on(&mut worker, mallory, 700, &mut turns);
    goes_on(&mut worker, ann, 1, &mut turns);
    assert_eq!(goes_on(&mut worker, mallory, 100, &mut turns), 0);
    let mut released = |worker: &mut WorkerCalls| {
        worker.restart(0);
        turns.iter_mut().map(|turn| usize::from(turn.try_recv().is_ok())).sum::<usize>()
    };
    assert_eq!([released(&mut worker), released(&mut worker), released(&mut worker)], [64, 36, 0]);
}

#[test]
fn waiting_calls_continue_with_a_new_window() {
    let (mallory, ann) = (1, 2);
    let mut worker = WorkerCalls::default();
    let mut turns = Vec::new();
    goes_on(&mut worker, mallory, 700, &mut turns);
    goes_on(&mut worker, ann, 1, &mut turns);
    assert_eq!(goes_on(&mut worker, mallory, 10, &mut turns), 0);
    goes_on(&mut worker, ann, 1_000, &mut Vec::new());
    assert!(turns.iter_mut().all(|turn| turn.try_recv().is_ok()));
}

#[test]
fn the_cost_of_calls_counts_and_not_their_number() {
    let (mallory, ann) = (1, 2);
    let mut worker = WorkerCalls::default();
    worker.begin(mallory, 256);
    for _ in 0..4 {
        assert!(worker.begin(ann, 1).is_none());
        worker.begin(mallory, 128);
    }
    assert!(worker.begin(mallory, 1).is_some());
    assert!(worker.begin(ann, 60).is_none());
}
