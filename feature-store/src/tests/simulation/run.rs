//! One run of the simulation: random steps, and after each of them the checks.

mod checkpoint;
mod restart;

use fastrand::Rng;
use feature_core::{Details, Event, Timestamp};

use super::disk::{Disk, Fault};
use super::model::{Expected, Model};
use super::process::{Process, SHORT, SIZES, Turn};
use super::projection::Projections;
use super::reader::Sight;
use super::{damage, writes};
use crate::CommitError;
use crate::error::StoreError;
use crate::store::limits::Sizes;

/// The steps of a run.
const STEPS: usize = 60;

const HOUR: i64 = 3_600_000_000_000;

pub(super) struct Outcome {
    pub(super) trace: Vec<String>,
    /// What has come about.
    pub(super) tally: Vec<&'static str>,
    /// The promise that was broken.
    pub(super) broken: Option<String>,
}

/// Runs a seed.
pub(super) fn run(seed: u64) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let disk = Disk::new(rng.fork());
    let model = Model::new(Vec::new());
    let mut run = Run {
        rng,
        disk,
        sizes: if seed.is_multiple_of(2) { SIZES } else { SHORT },
        // Opening sled takes milliseconds.
        projections: if seed.is_multiple_of(5) { Projections::in_sled() } else { Projections::InMemory },
        model,
        base_is_damaged: false,
        maybe: Vec::new(),
        seen: 0,
        failed: false,
        background_failed: false,
        now: HOUR,
        trace: Vec::new(),
        tally: Vec::new(),
    };
    let broken = run.steps().err();
    Outcome { trace: run.trace, tally: run.tally, broken }
}

pub(super) struct Run {
    pub(super) rng: Rng,
    pub(super) disk: Disk,
    pub(super) sizes: Sizes,
    pub(super) projections: Projections,
    /// What was acknowledged.
    pub(super) model: Model,
    /// Whether a base was damaged and left so. A later checkpoint may have made it again.
    pub(super) base_is_damaged: bool,
    /// The events of the group whose append has failed: a restart may find them, from the first on.
    maybe: Vec<Event>,
    /// The last revision that a reader has seen.
    seen: u64,
    /// Whether a write has failed since the process began.
    pub(super) failed: bool,
    /// Whether the projection or a checkpoint has ended all writes since the process began. The next write learns it.
    background_failed: bool,
    pub(super) now: i64,
    trace: Vec<String>,
    tally: Vec<&'static str>,
}

/// The text says which promise was broken.
pub(super) type Kept<T = ()> = Result<T, String>;

macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(super) use ensure;

impl Run {
    fn steps(&mut self) -> Kept {
        let mut process = self.open()?;
        for _ in 0..STEPS {
            process = self.step(process)?;
            if let Some(change) = self.disk.attempted_since() {
                return Err(format!("after a failure there was a further change: {change}"));
            }
            ensure!(process.accepts_writes() != self.failed, "accepts writes: {}", process.accepts_writes());
            for (revision, records) in [process.reader.fresh(), process.reader.kept()] {
                let expected = &self.model.records;
                ensure!(revision == self.model.history.len() as u64, "a reader sees revision {revision}");
                ensure!(records == *expected, "a reader sees {records:#?}\ninstead of {expected:#?}");
            }
        }
        Ok(())
    }

    fn step(&mut self, mut process: Process) -> Kept<Process> {
        match self.rng.u8(..100) {
            0..38 => self.send(&mut process)?,
            38..61 => self.turn(&mut process)?,
            61..66 => self.hand_on(&process)?,
            66..72 => self.checkpoint(&process)?,
            72..80 => self.plan(10),
            80..83 => {
                let free_bytes = if self.rng.bool() { u64::MAX } else { SIZES.reserve_bytes - 1 };
                self.note(format!("{free_bytes} bytes are free"));
                self.disk.set_free_bytes(free_bytes);
            }
            83..85 => {
                self.note("the projection will fail");
                process.fail_projection();
            }
            85..89 => return self.close(process),
            89..93 => {
                self.note("the process is killed");
                return self.open_after(process);
            }
            93..96 => {
                self.note("the power is cut");
                self.disk.lose_power();
                return self.open_after(process);
            }
            _ if self.failed || self.disk.happened().is_some() => {}
            _ => {
                self.look_back(&process);
                drop(process);
                self.disk.end_process();
                damage::check(self)?;
                return self.open();
            }
        }
        if self.disk.happened() == Some(Fault::Crash) {
            if self.rng.bool() {
                self.note("and so is the power cut");
                self.disk.lose_power();
            }
            return self.open_after(process);
        }
        Ok(process)
    }

    fn send(&mut self, process: &mut Process) -> Kept {
        for _ in 0..self.rng.usize(1..=3) {
            let (line, batch) = writes::batch(&mut self.rng);
            self.note(line);
            let full = process.waiting().len() == 4;
            match process.send(batch) {
                Ok(()) => ensure!(!full, "the queue takes more than it should"),
                Err(CommitError::QueueFull) if full => self.tally("the queue was full"),
                Err(error) => return Err(format!("not queued: {error}")),
            }
        }
        Ok(())
    }

    fn plan(&mut self, most: usize) {
        let fault = [Fault::Broken, Fault::Full, Fault::Crash][self.rng.usize(..3)];
        let operations = self.rng.usize(..most);
        self.note(format!("{operations} operations succeed, then comes {fault:?}"));
        self.disk.plan(operations, fault);
    }

    fn turn(&mut self, process: &mut Process) -> Kept {
        if process.waiting().is_empty() {
            return Ok(());
        }
        // The clock may jump back.
        self.now += if self.rng.u8(..10) == 0 { -HOUR } else { self.rng.i64(0..HOUR) };
        let now = Timestamp::from_unix_nanos(self.now);
        let Expected { answers: expected, after } = self.model.expect(&process.waiting(), now);
        let Turn { answers, sights } = process.turn(now);
        self.look(&sights, &after)?;
        let told: Vec<_> = answers.iter().map(|answer| answer.clone().map_err(|error| error.to_string())).collect();
        for answer in &told {
            self.note(match answer {
                Ok(details) => {
                    let line = |details: &Details| format!("{:?} {:?}", details.sequence, details.changed);
                    format!("  -> {}", details.iter().map(line).collect::<Vec<_>>().join(", "))
                }
                Err(error) => format!("  -> {error}"),
            });
        }
        let committed = after.history.len() > self.model.history.len();
        if told == expected && !self.failed && !self.background_failed {
            self.tally_if("an append was acknowledged", committed);
            let added = &after.history[self.model.history.len()..];
            self.tally_if("a batch was acknowledged", added.iter().any(|event| event.continues));
            self.tally_if("a write was rejected", told.iter().any(Result::is_err));
            self.model = after;
            return Ok(());
        }
        let Some(Err(CommitError::Store(error))) = answers.first() else {
            return Err(format!("answered {told:#?}\ninstead of {expected:#?}"));
        };
        ensure!(told.iter().all(|answer| *answer == told[0]), "one failure, several answers: {told:#?}");
        self.failure(error, after, process)
    }

    /// Checks that an append may have failed so, and what follows from it.
    fn failure(&mut self, error: &StoreError, after: Model, process: &Process) -> Kept {
        match (error, self.disk.happened()) {
            (StoreError::RefusingWrites { .. }, _) if self.failed => self.tally("a write was refused after a failure"),
            (StoreError::RefusingWrites { .. }, _) if self.background_failed => {
                self.tally("a write was refused after the projection failed");
                // Nothing was attempted, so a restart finds nothing of the group.
                self.failed = true;
            }
            (error, _) if self.failed || self.background_failed => {
                return Err(format!("attempted after a failure: {error}"));
            }
            (StoreError::DiskFull { .. }, None) => self.tally("a nearly full disk refused"),
            (StoreError::Io(_), Some(fault)) => {
                self.tally(match fault {
                    Fault::Broken => "an append broke",
                    Fault::Full => "an append found no space",
                    Fault::Crash => "the process died in an append",
                });
                self.fail(after);
            }
            (error, happened) => return Err(format!("refused without a reason: {error}, {happened:?}")),
        }
        ensure!(!process.accepts_writes() || !self.failed, "writes fail and count as accepted");
        Ok(())
    }

    fn fail(&mut self, after: Model) {
        self.failed = true;
        self.maybe = after.history[self.model.history.len()..].to_vec();
    }

    /// Checks what readers saw in a turn: all of the group or nothing, and never nothing again after all.
    pub(super) fn look(&mut self, sights: &[Sight], after: &Model) -> Kept {
        for (revision, records) in sights {
            let of = |model: &Model| (model.history.len() as u64, *records == model.records);
            let ((before, is_before), (after, is_after)) = (of(&self.model), of(after));
            ensure!(is_before || is_after, "a reader sees a part of a group: {records:#?}");
            ensure!(is_after || self.seen <= before, "what a reader has seen is taken back: {records:#?}");
            ensure!(*revision <= if is_after { after } else { before }, "revision {revision} is not there yet");
            if is_after && !is_before {
                self.seen = after;
            }
        }
        Ok(())
    }

    /// The projection gets what it lacks.
    fn hand_on(&mut self, process: &Process) -> Kept {
        let behind = process.behind();
        let (outcome, sights) = process.hand_on();
        self.note(format!("{behind} events for the projection: {outcome:?}"));
        // No reader may see a difference.
        self.look(&sights, &self.model.clone())?;
        match outcome {
            Ok(()) => {
                ensure!(process.behind() == 0, "the projection still lacks {} events", process.behind());
                self.tally_if("events were handed on together", behind > 1);
                if self.rng.u8(..3) == 0 {
                    self.projections.keep_copy();
                }
            }
            Err(StoreError::Projection { .. }) => {
                self.tally("the projection failed");
                self.background_failed = true;
            }
            Err(error) => return Err(format!("not handed on: {error}")),
        }
        Ok(())
    }

    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    pub(super) fn tally(&mut self, what: &'static str) {
        self.tally.push(what);
    }

    pub(super) fn tally_if(&mut self, what: &'static str, came_about: bool) {
        if came_about {
            self.tally(what);
        }
    }
}
