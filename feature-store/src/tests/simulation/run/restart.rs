//! The end of a process in a run, the start of the next one, and the checks of what that one finds.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Kept, Run, ensure};
use crate::error::{OpenError, StoreError};
use crate::event_log::erasures::blank;
use crate::tests::fixtures::{erase, erasures};
use crate::tests::simulation::model::Model;
use crate::tests::simulation::process::Process;

impl Run {
    pub(super) fn close(&mut self, process: Process) -> Kept<Process> {
        self.look_back(&process);
        let behind = process.behind();
        let outcome = process.close();
        self.note(format!("closed: {outcome:?}"));
        match (&outcome, self.disk.happened()) {
            (Ok(()), None) if !self.failed && !self.background_failed => {
                self.tally("a clean end");
                self.tally_if("closing handed on the rest", behind > 0);
            }
            (Err(StoreError::RefusingWrites { .. }), _) if self.failed || self.background_failed => {}
            (Err(StoreError::Projection { .. }), None) => self.tally("the projection failed while closing"),
            (Err(StoreError::Io(_)), Some(_)) => {}
            _ => return Err(format!("closed: {outcome:?}")),
        }
        ensure!(self.disk.attempted_since().is_none(), "changed while closing: {:?}", self.disk.attempted_since());
        self.open()
    }

    /// Tallies what a reader has met in a process that ends.
    pub(super) fn look_back(&mut self, process: &Process) {
        let reader = &process.reader;
        let met = |met: &AtomicBool| met.load(Ordering::Relaxed);
        let [used, outdated, unversioned] = [&reader.used, &reader.outdated, &reader.unversioned].map(met);
        self.tally_if("a kept record was current", used);
        self.tally_if("a kept record was outdated", outdated);
        self.tally_if("a record had no version during its write", unversioned);
    }

    /// Ends a process without a close, and begins another one.
    pub(super) fn open_after(&mut self, process: Process) -> Kept<Process> {
        self.look_back(&process);
        self.tally_if("a process ended with a projection behind", process.behind() > 0);
        drop(process);
        self.open()
    }

    /// Begins a process, and checks that it finds what it must. When that fails for a reason, another one tries.
    pub(super) fn open(&mut self) -> Kept<Process> {
        self.disk.end_process();
        if let Some(what) = self.projections.age(&mut self.rng) {
            self.note(what);
            self.tally(what);
        }
        while self.rng.u8(..3) == 0 {
            // Making a store takes twenty operations.
            self.plan(25);
            let outcome = Process::open(&self.disk, &self.projections, self.sizes);
            match (outcome, self.disk.happened()) {
                (Ok(process), None) => drop(process),
                (Err(OpenError::Io(error)), Some(_)) => {
                    self.tally("an opening failed");
                    self.note(format!("not open: {error}"));
                }
                (outcome, happened) => return Err(format!("open: {:?}, {happened:?}", outcome.err())),
            }
            ensure!(self.disk.attempted_since().is_none(), "changed after: {:?}", self.disk.attempted_since());
            self.disk.end_process();
            if self.rng.bool() {
                self.note("the power is cut");
                self.disk.lose_power();
            }
        }
        let process = Process::open(&self.disk, &self.projections, self.sizes)
            .map_err(|error| format!("a false alarm: {error}"))?;
        let (mut found, revision) = (process.found.clone()?, process.revision as usize);
        self.note(format!("open at revision {revision}, with {} events", found.len()));
        let mut known = [&self.model.history[..], &self.maybe].concat();
        ensure!(revision >= self.model.history.len(), "acknowledged writes are lost from {} on", revision + 1);
        ensure!(revision as u64 >= self.seen, "what a reader has seen is taken back from {} on", revision + 1);
        let end = known.len().min(revision);
        let history = &mut known[..end];
        erase(history);
        // Some of it may be erased in the files, and the rest soon.
        found.iter_mut().for_each(|event| blank(&erasures(history), event));
        ensure!(history.len() == revision && history.ends_with(&found), "this is another history: {found:#?}");
        ensure!(revision == 0 || !found.is_empty(), "no event is kept");
        self.tally_if("a start had a part of the history", found.len() < revision);
        ensure!(found.last().is_none_or(|event| !event.continues), "a part of a batch was recovered");
        if !self.maybe.is_empty() {
            let left = revision - self.model.history.len();
            self.tally_if("a crash left nothing of a group", left == 0);
            self.tally_if("a crash left a part of a group", left > 0 && left < self.maybe.len());
            self.tally_if("a crash left a whole group", left == self.maybe.len());
            let is_batch = self.maybe.get(left).is_some_and(|event| event.continues);
            self.tally_if("a crash left nothing of a batch", is_batch);
        }
        (self.model, self.maybe, self.seen) = (Model::new(history.to_vec()), Vec::new(), 0);
        (self.failed, self.background_failed) = (false, false);
        Ok(process)
    }
}
