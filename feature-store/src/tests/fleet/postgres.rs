//! The tests of a store over a real PostgreSQL, as Debian packages it.

mod checks;
mod cluster;
mod copy;
mod erasing;
mod hosts;
mod replicas;
mod rights;
mod tls;
mod url;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use feature_core::{Scope, Value};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::engine::{Append, Engine, Outcome, Position};
use crate::event_log::EventLog;
use crate::event_log::term::Term;
use crate::tests::conformance::{self, ANOTHER};
use crate::tests::conformance::{event_log, selection};
use crate::tests::fixtures::{event, history, records, scopes, write};
use crate::{Batch, Committer, FeatureStore, Order, Replica, StoreError};
use cluster::Cluster;

/// The longest time for anything here. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_replica_over_postgres_keeps_the_contract_of_a_store() {
    let cluster = Arc::new(Cluster::start());
    let of_thread = Arc::clone(&cluster);
    ANOTHER.set(Some(Box::new(move || Arc::new(of_thread.replica(&of_thread.database())))));
    let promises: [(&str, fn()); 7] = [
        ("a_new_store_is_empty", conformance::a_new_store_is_empty),
        (
            "what_is_appended_is_there_exactly_and_only_where_it_belongs",
            conformance::what_is_appended_is_there_exactly_and_only_where_it_belongs,
        ),
        (
            "later_events_change_earlier_records_within_a_group_and_after_it",
            conformance::later_events_change_earlier_records_within_a_group_and_after_it,
        ),
        (
            "a_group_that_does_not_continue_the_history_is_refused_whole",
            conformance::a_group_that_does_not_continue_the_history_is_refused_whole,
        ),
        (
            "a_value_above_a_limit_is_refused_and_harms_nothing",
            conformance::a_value_above_a_limit_is_refused_and_harms_nothing,
        ),
        (
            "every_selection_has_the_records_that_it_includes_in_pages_of_any_size",
            selection::every_selection_has_the_records_that_it_includes_in_pages_of_any_size,
        ),
        (
            "readers_never_see_a_record_go_back_nor_one_that_its_revision_lacks",
            conformance::readers_never_see_a_record_go_back_nor_one_that_its_revision_lacks,
        ),
    ];
    for (name, promise) in promises {
        println!("{name}");
        promise();
    }
    ANOTHER.set(None);
}

#[test]
fn the_log_of_a_replica_over_postgres_finds_what_concerns_a_term() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    let events = event_log::check_growing(&replica);
    // Another replica finds the stored indexes. Dropped entries are not found, and the other ones still are.
    let other = cluster.replica(&database);
    other.follow().unwrap();
    event_log::check(&other, &events);
    while other.bring_base_forward().unwrap() {}
    let engine = cluster.engine(&database);
    engine.drop_entries(20).unwrap();
    assert_eq!(other.oldest().unwrap(), 21);
    assert!(matches!(other.events(20, 1), Err(StoreError::Compacted { oldest: 21, .. })));
    assert_eq!(other.events_at(&[3, 21]).unwrap(), events[20..21]);
    let found = event_log::search(&other, &[Term::actor("writer")], 60, Order::NewestFirst);
    assert!(found.is_empty());
    let kept = events[20..].iter().filter(|event| event.actor == "actor 1").map(|event| event.revision);
    let found = event_log::search(&other, &[Term::actor("actor 1")], 1, Order::OldestFirst);
    assert!(found.iter().copied().eq(kept) && !found.is_empty(), "{found:?}");
    assert_eq!(engine.index(1).unwrap(), None);
    assert!(engine.index(17).unwrap().is_some());
}

#[test]
fn one_of_two_groups_at_the_same_base_is_added() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (one, other) = (cluster.engine(&database), cluster.engine(&database));
    let base = one.head().unwrap().end;
    assert_eq!(base, Position::start(Uuid::from_u128(1)));
    let group = base.entries(history([1, 2]).iter());
    let rival = base.entries([event(1, &scopes()[1], 1, &[Value::Flag(true)])].iter());
    assert_eq!(one.outcome(base, &group).unwrap(), Outcome::Open);
    assert_eq!(one.append(base, &group).unwrap(), Append::Added);
    assert_eq!(other.append(base, &rival).unwrap(), Append::Overtaken);
    assert_eq!(other.append(base, &[]).unwrap(), Append::Overtaken, "an answer without an event is compared, too");
    // the group | what has become of it
    for (group, outcome) in [(&group, Outcome::Added), (&rival, Outcome::Overtaken), (&Vec::new(), Outcome::Overtaken)]
    {
        assert_eq!(other.outcome(base, group).unwrap(), outcome);
    }
    let end = group[1].position;
    assert_eq!(other.head().unwrap().end, end);
    assert_eq!(other.append(end, &[]).unwrap(), Append::Added);
    // from | limit | the entries
    for (from, limit, entries) in [(0, 9, &group[..]), (2, 9, &group[1..]), (1, 1, &group[..1]), (3, 9, &[])] {
        assert_eq!(other.read(from, limit).unwrap(), entries);
    }
}

#[test]
fn a_turn_keeps_others_out_until_the_append() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (one, other) = (cluster.engine(&database), cluster.engine(&database));
    let base = one.head().unwrap().end;
    one.take_turn().unwrap();
    thread::scope(|threads| {
        let rival = threads.spawn(|| other.append(base, &base.entries(history([1]).iter())).unwrap());
        // It waits for the lock in the database.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let watcher = cluster.connect("postgres").unwrap();
        let deadline = Instant::now() + PATIENCE;
        while cluster.runtime.block_on(watcher.query_one(waits, &[])).unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline, "the rival does not wait for its turn");
        }
        let group = base.entries(history([1]).iter());
        assert_eq!(one.append(base, &group).unwrap(), Append::Added);
        assert_eq!(rival.join().unwrap(), Append::Overtaken);
    });
}

#[test]
fn replicas_that_write_at_once_make_one_history() {
    const WRITES: usize = 200;
    let cluster = Cluster::start();
    let database = cluster.database();
    let replicas: Vec<_> = (0..3).map(|_| Arc::new(cluster.replica(&database))).collect();
    let sequences: Vec<Vec<u64>> = thread::scope(|threads| {
        let write_all = |number: usize, replica: Arc<Replica>| {
            let queue = std::num::NonZeroUsize::new(WRITES).unwrap();
            let committer = Committer::start(replica as _, queue).unwrap();
            let runtime = Builder::new_current_thread().build().unwrap();
            let write = |index: usize| {
                let value = Value::Text(format!("{number} {index}"));
                let committed = runtime.block_on(committer.commit(write(&Scope::System, "k", Some(value))));
                committed.unwrap().details.sequence
            };
            (0..WRITES).map(write).collect()
        };
        let start = |(number, replica): (usize, &Arc<Replica>)| {
            let replica = Arc::clone(replica);
            threads.spawn(move || write_all(number, replica))
        };
        let writers: Vec<_> = replicas.iter().enumerate().map(start).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(sequences.iter().all(|of_one| of_one.is_sorted()), "a writer saw the sequence go back");
    let mut all: Vec<u64> = sequences.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=3 * WRITES as u64).collect::<Vec<_>>(), "each write has a sequence of its own");
    for replica in &replicas {
        replica.follow().unwrap();
        assert_eq!(replica.revision(), 3 * WRITES as u64);
        assert_eq!(records(&**replica), records(&*replicas[0]));
    }
}

#[test]
fn connections_that_are_terminated_lose_and_repeat_nothing() {
    const WRITES: usize = 300;
    let cluster = Cluster::start();
    let database = cluster.database();
    let replica = cluster.replica(&database);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (written, refused, killed) = thread::scope(|threads| {
        let terminator = threads.spawn(|| {
            let admin = cluster.connect("postgres").unwrap();
            let terminate =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND state <> 'idle'";
            let mut killed = 0;
            while !done.load(Ordering::Relaxed) {
                let row = cluster.runtime.block_on(admin.query_one(terminate, &[&database])).unwrap();
                killed += row.get::<_, i64>(0);
            }
            killed
        });
        let (mut written, mut refused) = (Vec::new(), Vec::new());
        for number in 0..WRITES as u64 {
            let batch = || {
                let next = replica.revision() + 1;
                let sequence = replica.record(&Scope::System).unwrap().sequence + 1;
                let value = Value::Text(number.to_string());
                Batch::fold(&replica, [event(next, &Scope::System, sequence, &[value])]).unwrap()
            };
            match replica.append(&batch()) {
                Ok(()) => written.push(number),
                Err(StoreError::OutcomeUnknown { .. }) => {}
                Err(StoreError::Overtaken | StoreError::Unreachable { .. }) => refused.push(number),
                Err(error) => panic!("{error}"),
            }
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = replica.follow() {
                assert!(Instant::now() < deadline, "{error}");
            }
        }
        done.store(true, Ordering::Relaxed);
        (written, refused, terminator.join().unwrap())
    });
    replica.follow().unwrap();
    let engine = cluster.engine(&database);
    let entries = engine.read(1, 2 * WRITES).unwrap();
    let value = |entry: &crate::Entry| {
        let event = crate::format::encoding::decode_event(entry.position.revision, &entry.body).unwrap();
        let Some(Value::Text(text)) = event.changes[0].new.clone() else { panic!("{event:?}") };
        text.parse::<u64>().unwrap()
    };
    let found: Vec<_> = entries.iter().map(value).collect();
    assert!(found.is_sorted_by(|one, next| one < next), "a write is there twice, or out of order");
    let lost: Vec<_> = written.iter().filter(|number| !found.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let repeated: Vec<_> = refused.iter().filter(|number| found.contains(number)).collect();
    assert!(repeated.is_empty(), "refused, and written all the same: {repeated:?}");
    assert!(killed > 0, "no connection was terminated under way");
    println!("{} of {WRITES} acknowledged, {} in the log, {killed} connections terminated", written.len(), found.len());
}
