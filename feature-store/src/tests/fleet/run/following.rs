//! The steps in which a replica follows the log, proves how fresh it is, or starts anew.

use std::time::Instant;

use super::{Kept, Process, Promise, Run};
use crate::StoreError;
use crate::engine::Position;
use crate::tests::fleet::log::STORE;

impl Run {
    pub(super) fn follow(&mut self, number: usize) -> Kept {
        let process = &self.processes[number];
        let (before, replaced) = (process.replica.position(), process.connection.replaced.lock().unwrap().is_some());
        let outcome = process.replica.follow();
        let (end, kept_from, faults, is_known) = {
            let log = self.log();
            let is_known = before.revision == 0
                || log.entries.get(before.revision as usize - 1).is_some_and(|entry| entry.position == before);
            (log.end(), log.kept_from, log.faults, is_known)
        };
        let position = process.replica.position();
        match outcome {
            Ok(()) if faults == 0 && !replaced && position != end => {
                Err(format!("{number} follows to {position:?}, and the log ends at {end:?}"))
            }
            Err(StoreError::CannotFollow { reason }) => {
                if is_known && kept_from <= before.revision + 1 {
                    return Err(format!("{number} cannot follow from {before:?}, which the log has: {reason}"));
                }
                self.tally.push(if is_known { "a replica was too far behind" } else { "a history was taken back" });
                self.start_over(number);
                Ok(())
            }
            Err(error) if faults == 0 && !replaced => Err(format!("{number} cannot follow: {error}")),
            _ => Ok(()),
        }
    }

    /// A view that is proved whole as of a moment has all that the log had then.
    pub(super) fn prove_freshness(&mut self, number: usize) -> Kept {
        let end = self.log().end();
        let process = &mut self.processes[number];
        process.ends.push((Instant::now(), end));
        let Ok(Some(moment)) = process.replica.prove_freshness() else { return Ok(()) };
        let position = process.replica.position();
        let since = process.ends.iter().rposition(|(of, _)| *of <= moment).expect("it was proved as of a beat");
        let end = process.ends[since].1;
        self.tally.push(if since + 1 == process.ends.len() {
            "a view was proved fresh at once"
        } else {
            "a view was proved fresh by a later beat"
        });
        let log = self.log();
        let is_of_log = position == Position::start(STORE) || log.entries.iter().any(|it| it.position == position);
        if is_of_log && (position.revision >= end.revision || log.cuts > 0) {
            Ok(())
        } else {
            Err(format!("{number} is proved fresh at {position:?}, and the log ended at {end:?}"))
        }
    }

    /// The replica makes its view anew. What the log keeps no longer it takes from the records, here from all entries.
    fn start_over(&mut self, number: usize) {
        self.note(format!("{number} starts over"));
        self.processes[number] = Process::start(&self.log, number);
        let kept_from = std::mem::replace(&mut self.log().kept_from, 1);
        let faults = std::mem::replace(&mut self.log().faults, 0);
        let followed = self.processes[number].replica.follow();
        self.log().kept_from = kept_from;
        self.log().faults = faults;
        followed.expect("a log without faults can be read");
    }

    pub(super) fn restart(&mut self, number: usize) {
        for (write, _) in &self.processes[number].waiting {
            self.promised.insert(write.request_id.clone(), Promise::Refused);
        }
        self.start_over(number);
    }
}
