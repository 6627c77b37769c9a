//! A seeded simulation of a fleet: the production code of committer and replica, several of them turn by turn on one
//! thread, on a log in memory whose connections fail in every way that a database's do.
//!
//! What must hold in every run:
//!
//! - an acknowledged write is in the log once, unless the log was taken back; a refused one never; one whose outcome is
//!   unknown at most once;
//! - every answer is what the log up to its place gives, also an answer that changed nothing;
//! - a replica shows the records of one history at one position, never a mixture of two;
//! - a replica whose history was taken back, or was dropped, says so as soon as it meets the log, and a replica
//!   that meets a database which has been replaced does not;
//! - a view that is proved whole as of a moment has all that the log had then;
//! - a replica that follows without a fault shows the end of the log;
//! - the base has the records of its revision, and no entry after it is dropped.
//!
//! `SIMULATION_SEEDS` and `SIMULATION_SEED` as for the simulation of one process.

mod connection;
mod log;
mod postgres;
mod run;
mod showing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use uuid::Uuid;

use super::simulation::{check_tally, setting};
use crate::engine::Position;
use crate::{MemoryStore, Replica};
use connection::Connection;
use log::{Log, STORE};
use run::{Outcome, Rules, run};

/// What has to come about in so many seeds as run by default.
const EXPECTED: [&str; 24] = [
    "a list was begun again",
    "a list was empty",
    "a list had records",
    "a view was proved fresh at once",
    "a view was proved fresh by a later beat",
    "a batch was acknowledged",
    "a group was acknowledged",
    "an answer without an event was confirmed",
    "a write was rejected",
    "a group was overtaken",
    "a turn to append alone",
    "an attempt was lost before it arrived",
    "an attempt was lost on its way",
    "an attempt was lost after it had succeeded",
    "a late copy was added",
    "a late copy was refused",
    "an outcome stayed unknown",
    "the log was out of reach",
    "a replaced database answered",
    "a history was taken back",
    "a replica was too far behind",
    "the base was brought forward",
    "old entries were dropped",
    "entries were erased",
];

/// A replica on a log of its own, whose connection never fails.
pub(super) fn replica_over_memory() -> Replica {
    let mut log = Log::new(Rng::with_seed(0), Rules::default());
    log.is_busy = false;
    let connection = Connection::new(&Arc::new(Mutex::new(log)), 0);
    Replica::new((Uuid::nil(), STORE), Arc::new(connection), Arc::new(MemoryStore::default()), Position::start(STORE))
}

#[test]
fn a_fleet_keeps_its_promises_over_connections_that_keep_none() {
    let (first, seeds) = (setting("SIMULATION_SEED", 0), setting("SIMULATION_SEEDS", 500));
    let mut tally = BTreeMap::new();
    for seed in first..first + seeds {
        let Outcome { trace, tally: of_seed, broken } = run(seed, Rules::default());
        if let Some(broken) = broken {
            panic!("seed {seed}:\n{}\n{broken}", trace.join("\n"));
        }
        of_seed.into_iter().for_each(|what| *tally.entry(what).or_insert(0_u64) += 1);
    }
    check_tally(&EXPECTED, &tally, first, seeds);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let (one, other) = (run(seed, Rules::default()), run(seed, Rules::default()));
        assert_eq!(one.broken, None, "seed {seed}");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

/// The checks find what they are for: each of these faults of an engine or a replica breaks a promise in some seed.
#[test]
fn the_simulation_catches_each_broken_rule() {
    // the rule that is broken | a part of the promise that a run names
    let table = [
        (Rules { errors_mean_no: true, ..Rules::default() }, "is in the log"),
        (Rules { confirm_without_events: false, ..Rules::default() }, "answered"),
        (Rules { compare: false, ..Rules::default() }, "answered"),
        (Rules { prove_by_write: false, ..Rules::default() }, "is proved fresh"),
    ];
    for (rules, promise) in table {
        let caught = (0..300).filter_map(|seed| run(seed, rules).broken).find(|broken| broken.contains(promise));
        assert!(caught.is_some(), "{rules:?} was not caught");
    }
}
