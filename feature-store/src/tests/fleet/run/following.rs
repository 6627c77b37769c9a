//! The steps in which a replica follows the log, proves how fresh it is, or starts anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use feature_core::{Record, Scope};
use uuid::Uuid;

use super::{Kept, Process, Promise, Run};
use crate::engine::{BaseRecord, Engine, Position};
use crate::format::encoding::decode_record;
use crate::format::scope_key;
use crate::projection::source::EventSource;
use crate::replica::opening::Log;
use crate::tests::fleet::connection::Connection;
use crate::tests::fleet::log::STORE;
use crate::{MemoryStore, OpenError, StoreError};

impl Run {
    pub(super) fn follow(&mut self, number: usize) -> Kept {
        let process = &self.processes[number];
        let (before, replaced) = (process.replica.position(), process.connection.replaced.lock().unwrap().is_some());
        let outcome = process.replica.follow();
        let (end, kept_from, faults, is_known, follows) = {
            let log = self.log();
            let is_known = before.revision == 0
                || log.entries.get(before.revision as usize - 1).is_some_and(|entry| entry.position == before);
            // What was before an erased entry is not known when it was dropped earlier.
            let next = log.entries.get(before.revision as usize);
            let follows = next.is_none_or(|next| before.is_followed_by(next));
            (log.end(), log.kept_from, log.faults, is_known, follows)
        };
        let position = process.replica.position();
        match outcome {
            Ok(()) if faults == 0 && !replaced && position != end => {
                Err(format!("{number} follows to {position:?}, and the log ends at {end:?}"))
            }
            Err(StoreError::CannotFollow { reason }) => {
                if is_known && follows && kept_from <= before.revision + 1 {
                    return Err(format!("{number} cannot follow from {before:?}, which the log has: {reason}"));
                }
                self.tally.push(if is_known { "a replica was too far behind" } else { "a history was taken back" });
                self.start_over(number)
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

    /// The replica makes its view anew, from the base and the entries after it, while others write and fold.
    fn start_over(&mut self, number: usize) -> Kept {
        self.note(format!("{number} starts over"));
        let connection = Arc::new(Connection::new(&self.log, number));
        let (position, records) = loop {
            match list(Arc::clone(&connection) as _) {
                Ok(listed) => break listed,
                // The next attempt may go through, and without faults one will.
                Err(_) => self.log().faults /= 2,
            }
            self.tally.push("a list was begun again");
        };
        self.tally.push(if records.is_empty() { "a list was empty" } else { "a list had records" });
        let view = MemoryStore::with(position.revision, records);
        self.processes[number] = Process::start(connection, view, position);
        self.check()
    }

    pub(super) fn restart(&mut self, number: usize) -> Kept {
        for (batch, _) in &self.processes[number].waiting {
            self.promised.insert(batch[0].request_id.clone(), Promise::Refused);
        }
        self.start_over(number)
    }
}

/// The position and the records of the log, as a new replica reads them.
fn list(engine: Arc<dyn Engine>) -> Result<(Position, HashMap<Scope, Record>), OpenError> {
    let log = Log::open(Uuid::nil(), engine)?;
    log.check_continues(0, None)?;
    let base = log.base_revision().expect("the log is known");
    let mut records = HashMap::new();
    log.base(&mut |BaseRecord { key, revision, body }| {
        let (scope, record) = (scope_key::decode(&key), decode_record(&body));
        records.insert(scope.expect("a key of a scope"), (revision, record.expect("a record")));
        Ok(())
    })?;
    let mut end = Position::start(STORE);
    log.replay(base, 3, &mut |events, chain| {
        for event in events {
            let (revision, record): &mut (u64, Record) = records.entry(event.scope.clone()).or_default();
            if event.revision > *revision {
                record.apply(&event);
            }
            end.revision = event.revision;
        }
        end = Position { revision: end.revision.max(base), chain: chain.expect("a log has chains") };
        Ok(())
    })?;
    Ok((end, records.into_iter().map(|(scope, (_, record))| (scope, record)).collect()))
}
