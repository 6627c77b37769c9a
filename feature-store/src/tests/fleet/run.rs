//! One run of the fleet: random steps of its replicas, and after each of them the checks.

mod checks;
mod following;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use fastrand::Rng;
use feature_core::{Timestamp, Write};
use tokio::sync::oneshot::Receiver;
use uuid::Uuid;

use super::connection::Connection;
use super::log::{Log, STORE};
use crate::committer::reply::NoEventLoops;
use crate::committer::{NoObserver, Worker};
use crate::engine::Position;
use crate::tests::simulation::writes;
use crate::{CommitError, CommittedBatch, Committer, MemoryStore, Replica, StoreError};
use checks::times_written;

/// The steps of a run.
const STEPS: usize = 120;
const REPLICAS: usize = 3;
const QUEUE: NonZeroUsize = NonZeroUsize::new(8).expect("it is not 0");
const SECOND: i64 = 1_000_000_000;

/// The rules that hold in production, and that a control breaks one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// A group is added only where the log ends at its base.
    pub(super) compare: bool,
    /// A group without events is compared as well.
    pub(super) confirm_without_events: bool,
    /// A lost connection counts as "not added".
    pub(super) errors_mean_no: bool,
    /// A database that was replaced by another one proves nothing.
    pub(super) prove_by_write: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { compare: true, confirm_without_events: true, errors_mean_no: false, prove_by_write: true }
    }
}

pub(super) struct Outcome {
    pub(super) trace: Vec<String>,
    pub(super) tally: Vec<&'static str>,
    /// The promise that was broken.
    pub(super) broken: Option<String>,
}

/// Runs a seed.
pub(super) fn run(seed: u64, rules: Rules) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let log = Arc::new(Mutex::new(Log::new(rng.fork(), rules)));
    let processes = (0..REPLICAS).map(|number| Process::new(&log, number)).collect();
    let mut run =
        Run { rng, log, processes, promised: HashMap::new(), writes: 0, trace: Vec::new(), tally: Vec::new() };
    let broken = run.steps().err();
    let tally = run.tally.into_iter().chain(run.log.lock().expect("the run is over").tally.drain(..)).collect();
    Outcome { trace: run.trace, tally, broken }
}

/// What a caller knows about its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// It is in the log, unless the log was cut back since. The number is that of the cuts before.
    Written(usize),
    /// It has no event in the log: it was refused, or changed nothing.
    Refused,
    /// It may be in the log.
    Unknown,
}

type Kept<T = ()> = Result<T, String>;

struct Run {
    rng: Rng,
    log: Arc<Mutex<Log>>,
    processes: Vec<Process>,
    promised: HashMap<String, Promise>,
    writes: usize,
    trace: Vec<String>,
    tally: Vec<&'static str>,
}

/// What a batch of writes comes to.
type Answer = Result<CommittedBatch, CommitError>;

struct Process {
    connection: Arc<Connection>,
    replica: Arc<Replica>,
    committer: Committer,
    worker: Worker,
    waiting: Vec<(Vec<Write>, Receiver<Answer>)>,
    /// The end of the log before each beat.
    ends: Vec<(Instant, Position)>,
}

impl Process {
    /// A replica of an empty log.
    fn new(log: &Arc<Mutex<Log>>, number: usize) -> Self {
        Self::start(Arc::new(Connection::new(log, number)), MemoryStore::default(), Position::start(STORE))
    }

    /// `position`: what the view shows.
    fn start(connection: Arc<Connection>, view: MemoryStore, position: Position) -> Self {
        let replica =
            Arc::new(Replica::new((Uuid::nil(), STORE), Arc::clone(&connection) as _, Arc::new(view), position));
        let (committer, worker) =
            Committer::new(Arc::new(NoEventLoops), Arc::new(NoObserver), Arc::clone(&replica) as _, QUEUE);
        Self { connection, replica, committer, worker, waiting: Vec::new(), ends: Vec::new() }
    }
}

impl Run {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("a failed check ends the run")
    }

    fn steps(&mut self) -> Kept {
        for _ in 0..STEPS {
            self.log().now += SECOND;
            let number = self.rng.usize(..REPLICAS);
            match self.rng.u8(..100) {
                0..33 => self.send(number),
                33..57 => self.turn(number)?,
                57..74 => self.follow(number)?,
                74..80 => self.prove_freshness(number)?,
                80..84 => self.change_faults(),
                84..88 => self.replace(number),
                88..91 => self.log().late_arrival(),
                91..94 => self.restart(number)?,
                94..95 => self.fold(number)?,
                95..96 => self.drop_entries(number)?,
                96..97 => {
                    self.note("the log is taken back".to_owned());
                    self.log().take_back();
                }
                _ => self.log().ghost_writes(),
            }
            // A turn ends by itself after a moment.
            self.log().end_turn();
            self.check()?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize) {
        let (line, mut batch) = writes::batch(&mut self.rng);
        self.writes += 1;
        let id = format!("request {}", self.writes);
        batch.iter_mut().for_each(|write| write.request_id = id.clone());
        self.note(format!("{number} gets {id}: {line}"));
        let process = &mut self.processes[number];
        if let Ok(reply) = process.committer.send(batch.clone()) {
            process.waiting.push((batch, reply));
        }
    }

    fn turn(&mut self, number: usize) -> Kept {
        let now = Timestamp::from_unix_nanos(self.log().now);
        let process = &mut self.processes[number];
        let Ok(first) = process.worker.waiting.try_recv() else { return Ok(()) };
        process.worker.turn(first, now);
        let answer =
            |(batch, mut reply): (_, Receiver<_>)| (batch, reply.try_recv().expect("every batch has its reply"));
        let answers: Vec<(Vec<Write>, Answer)> = process.waiting.drain(..).map(answer).collect();
        self.note(format!("{number} answers {}", outcomes(&answers)));
        let group = answers.iter().find_map(|(_, answer)| answer.as_ref().ok().map(|committed| committed.group));
        match (group, answers.iter().any(|(_, answer)| matches!(answer, Err(CommitError::Rejected { .. })))) {
            (Some(group), _) => self.check_answers(&answers, group.revision, now)?,
            // All were rejected: the answers are about the end of the log.
            (None, true) => {
                let end = self.log().end().revision;
                self.check_answers(&answers, end, now)?;
            }
            (None, false) => {}
        }
        let (cuts, written) = {
            let log = self.log();
            (log.cuts, times_written(&log))
        };
        for (batch, answer) in answers {
            let id = batch[0].request_id.clone();
            let promise = match answer {
                Ok(_) if written.contains_key(&id) => Promise::Written(cuts),
                // It found everything as requested.
                Ok(_) => Promise::Refused,
                Err(CommitError::Store(StoreError::OutcomeUnknown { .. })) => {
                    self.tally.push("an outcome stayed unknown");
                    Promise::Unknown
                }
                Err(_) => Promise::Refused,
            };
            self.promised.insert(id, promise);
        }
        Ok(())
    }

    fn change_faults(&mut self) {
        let faults = [0, 10, 40, 80][self.rng.usize(..4)];
        self.note(format!("{faults} of 100 calls fail"));
        self.log().faults = faults;
    }

    /// The connection leads to a database that is replaced by another one, or to the newest one again.
    fn replace(&mut self, number: usize) {
        let entries = self.log().entries.clone();
        let mut replaced = self.processes[number].connection.replaced.lock().expect("a failed check ends the run");
        *replaced = if replaced.is_some() { None } else { Some(entries) };
        let line = format!(
            "{number} is connected to a database that {} replaced",
            if replaced.is_some() { "is" } else { "is not" }
        );
        drop(replaced);
        self.note(line);
    }

    /// The replica brings the base forward.
    fn fold(&mut self, number: usize) -> Kept {
        match self.processes[number].replica.bring_base_forward() {
            Ok(_) | Err(StoreError::Unreachable { .. }) => Ok(()),
            Err(error) => Err(format!("{number} cannot fold: {error}")),
        }
    }

    /// The replica drops entries that are older than some time.
    fn drop_entries(&mut self, number: usize) -> Kept {
        let now = self.log().now;
        let before = Timestamp::from_unix_nanos(self.rng.i64(0..=now));
        match self.processes[number].replica.drop_old_entries(before) {
            Ok(_) | Err(StoreError::Unreachable { .. }) => Ok(()),
            Err(error) => Err(format!("{number} cannot drop entries: {error}")),
        }
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }
}

fn outcomes(answers: &[(Vec<Write>, Answer)]) -> String {
    let line = |(batch, answer): &(Vec<Write>, Answer)| match answer {
        Ok(committed) => {
            let sequences: Vec<_> = committed.details.iter().map(|details| details.sequence).collect();
            format!("{}: sequences {sequences:?}", batch[0].request_id)
        }
        Err(error) => format!("{}: {error}", batch[0].request_id),
    };
    answers.iter().map(line).collect::<Vec<_>>().join("; ")
}
