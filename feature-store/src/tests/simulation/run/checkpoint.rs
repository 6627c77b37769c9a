//! Checkpoints in a run: no reader sees them, and what fails in one is made up for by a later one.

use feature_core::Timestamp;

use super::{Kept, Run, ensure};
use crate::tests::simulation::disk::Fault;
use crate::tests::simulation::process::Process;

impl Run {
    /// The thread for checkpoints takes its turn, and then all events that are kept are read.
    pub(super) fn checkpoint(&mut self, process: &Process) -> Kept {
        if self.failed {
            return Ok(());
        }
        let files = |run: &Self| run.disk.with_image(|image| image.files().map(ToOwned::to_owned).collect::<Vec<_>>());
        let (before, owed) = (files(self), process.owes_erasures());
        let (outcome, sights) = process.checkpoint(Timestamp::from_unix_nanos(self.now));
        self.note(format!("checkpoint: {outcome:?}"));
        self.look(&sights, &self.model.clone())?;
        let after = files(self);
        let gone = |end| before.iter().any(|path| path.extension().is_some_and(|e| e == end) && !after.contains(path));
        let is_base = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "base");
        self.tally_if("a checkpoint was made", after.iter().any(|path| is_base(path) && !before.contains(path)));
        self.tally_if("old events were dropped", gone("log"));
        match (&outcome, self.disk.happened()) {
            (Ok(()), None) => {
                let is_done = process.refuses_writes() || !process.owes_erasures();
                ensure!(is_done, "an erasure is not carried out");
                self.tally_if("an erasure was carried out", owed);
            }
            // It is made again when it is needed.
            (Ok(()), Some(Fault::Broken | Fault::Full)) => {
                self.tally("an index was not stored");
                self.disk.end_process();
            }
            (Err(error), None) if error.contains("no space") => self.tally("a nearly full disk got no checkpoint"),
            (_, Some(Fault::Crash)) => {
                self.tally("the process died in a checkpoint");
                return Ok(());
            }
            (Err(_), Some(_)) => {
                self.tally("a checkpoint broke");
                // One that has broken the end of the journal is the end of all writes.
                self.background_failed |= process.refuses_writes();
                self.disk.end_process();
            }
            _ => return Err(format!("a checkpoint: {outcome:?}")),
        }
        let kept = match (process.kept(), self.disk.happened()) {
            (Ok(kept), None) => kept,
            (_, Some(Fault::Crash)) => return Ok(()),
            (_, Some(_)) => {
                self.tally("a read of events broke");
                self.disk.end_process();
                return Ok(());
            }
            (Err(error), None) => return Err(format!("events cannot be read: {error}")),
        };
        ensure!(self.model.history.ends_with(&kept), "this is another history: {kept:#?}");
        ensure!(self.model.history.is_empty() || !kept.is_empty(), "no event is kept");
        Ok(())
    }
}
