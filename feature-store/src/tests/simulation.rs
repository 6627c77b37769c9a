//! A seeded simulation of the commit protocol: the production code of committer, versions, journal store, write-behind
//! and projection, turn by turn on one thread, over a disk that fails, crashes and loses power, against a naive model.
//! In one run of five the projection is in sled, and may be old, damaged or lost at a start.
//!
//! What must hold in every run:
//!
//! - an acknowledged write is there after every restart;
//! - what a reader has seen, at any moment, is never taken back;
//! - a group is seen as a whole or not at all, and what a restart finds is the history with no gap, repeat or change;
//! - a record that a reader keeps is the newest one while its version is current;
//! - handing events on to the projection changes nothing that a reader sees;
//! - after the first failed change of the disk nothing is changed any more, and all writes are refused;
//! - a write that is refused changes nothing;
//! - the remains of a crash do not count as corruption; damage to durable bytes does, and is refused with segment and
//!   offset: by the start, or by a whole check where a base has the events;
//! - a checkpoint changes nothing that a reader sees, and a damaged base is made up for.
//!
//! The same seed gives the same trace, which is printed when a run fails. `SIMULATION_SEEDS` is the number of seeds,
//! 500 by default, and `SIMULATION_SEED` the first one, 0 by default:
//!
//! ```sh
//! SIMULATION_SEEDS=100000 cargo test --release -p feature-store simulation
//! SIMULATION_SEED=4711 SIMULATION_SEEDS=1 cargo test -p feature-store simulation
//! ```

mod content;
mod damage;
mod disk;
mod image;
mod model;
mod process;
mod projection;
mod reader;
mod run;
pub(crate) mod switch;
pub(super) mod writes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

use run::{Outcome, run};

/// What has to come about in so many seeds as run by default; else the simulation does not test what it should.
const EXPECTED: [&str; 40] = [
    "an append was acknowledged",
    "a batch was acknowledged",
    "an append broke",
    "an append found no space",
    "the process died in an append",
    "the projection failed",
    "a crash left a part of a group",
    "a crash left a whole group",
    "a crash left nothing of a group",
    "a crash left nothing of a batch",
    "the queue was full",
    "a write was rejected",
    "a nearly full disk refused",
    "a write was refused after a failure",
    "an opening failed",
    "a clean end",
    "a flipped bit was refused",
    "a cut segment was refused",
    "a lost segment was refused",
    "events were handed on together",
    "closing handed on the rest",
    "the projection failed while closing",
    "a write was refused after the projection failed",
    "a process ended with a projection behind",
    "an older projection caught up",
    "a lost projection was built",
    "a damaged projection was set aside",
    "a kept record was current",
    "a kept record was outdated",
    "a record had no version during its write",
    "a checkpoint was made",
    "an erasure was carried out",
    "old events were dropped",
    "a checkpoint broke",
    "the process died in a checkpoint",
    "a start had a part of the history",
    "a damaged base was left",
    "a damaged base was passed over",
    "damage to an old segment was found by a whole check",
    "damage to an old segment was not in the way of a start",
];

pub(super) fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number: {value}")))
}

#[test]
fn the_commit_protocol_keeps_its_promises_on_a_disk_that_keeps_none() {
    let (first, seeds) = (setting("SIMULATION_SEED", 0), setting("SIMULATION_SEEDS", 500));
    let next = AtomicU64::new(first);
    let work = || {
        let mut tally = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return tally;
            }
            let Outcome { trace, tally: of_seed, broken } = run(seed);
            if let Some(broken) = broken {
                // The others need not go on.
                next.store(first + seeds, Ordering::Relaxed);
                panic!("seed {seed}:\n{}\n{broken}", trace.join("\n"));
            }
            of_seed.into_iter().for_each(|what| *tally.entry(what).or_insert(0_u64) += 1);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut tally = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let of_worker = worker.join().expect("a run has failed, see above");
            of_worker.into_iter().for_each(|(what, times)| *tally.entry(what).or_insert(0) += times);
        }
    });
    check_tally(&EXPECTED, &tally, first, seeds);
}

/// Checks that all of this has come about in at least so many seeds as run by default.
pub(super) fn check_tally(expected: &[&'static str], tally: &BTreeMap<&'static str, u64>, first: u64, seeds: u64) {
    println!("{seeds} seeds from {first}: {tally:#?}");
    let missing: Vec<_> = expected.iter().filter(|what| !tally.contains_key(*what)).collect();
    assert!(seeds < 500 || missing.is_empty(), "these never came about: {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let (one, other) = (run(seed), run(seed));
        assert_eq!(one.broken, None, "seed {seed}");
        assert!(one.trace.len() > 20, "seed {seed} does next to nothing");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}
