//! What must hold after each step of a run.

use std::collections::HashMap;

use feature_core::{Timestamp, Write, decide};

use super::{Kept, Promise, Run};
use crate::engine::Position;
use crate::format::encoding::{decode_event, decode_record};
use crate::format::scope_key;
use crate::tests::fixtures::records;
use crate::tests::fleet::log::{Log, STORE, place};
use crate::{CommitError, Committed, FeatureStore, StoreError};

impl Run {
    /// Checks that the answers of a group are those which the log gives: the group's events end at `revision`, and all
    /// of its writes were decided upon what was there before them.
    pub(super) fn check_answers(
        &mut self,
        answers: &[(Write, Result<Committed, CommitError>)],
        revision: u64,
        now: Timestamp,
    ) -> Kept {
        let log = self.log.lock().expect("a failed check ends the run");
        let is_own = |entry: &&crate::Entry| {
            let event = decode_event(entry.position.revision, &entry.body).expect("the log has events");
            answers.iter().any(|(write, _)| write.request_id == event.request_id)
        };
        let Some(until) = log.entries.get(..revision as usize) else {
            return Err(format!("answered with revision {revision}, and the log ends before"));
        };
        let events = until.iter().rev().take_while(is_own).count();
        if events == 0 && revision != log.end().revision {
            return Err(format!("answered without an event as of revision {revision}, and the log has more"));
        }
        let before = until.len() - events;
        let base = if before == 0 { Position::start(STORE) } else { until[before - 1].position };
        let mut records = log.records_at(base).to_vec();
        let mut next = base.revision + 1;
        for (write, answer) in answers {
            let record = &mut records[place(&write.scope)];
            let expected = match decide(write, record, now, next) {
                _ if matches!(answer, Err(CommitError::Store(StoreError::ValueTooLarge { .. }))) => continue,
                Ok(event) => {
                    if let Some(event) = event {
                        record.apply(&event);
                        next += 1;
                    }
                    Ok(record.details(&write.scope, write.placement.organization()))
                }
                Err(rejection) => Err(rejection.to_string()),
            };
            let answered = answer.clone().map(|committed| committed.details).map_err(|error| error.to_string());
            if answered != expected {
                return Err(format!("answered {answered:?} to {} instead of {expected:?}", write.request_id));
            }
        }
        self.tally.push(if events > 0 {
            "a group was acknowledged"
        } else {
            "an answer without an event was confirmed"
        });
        if answers.iter().any(|(_, answer)| matches!(answer, Err(CommitError::Rejected(_)))) {
            self.tally.push("a write was rejected");
        }
        Ok(())
    }

    /// Checks each replica, and what callers were promised.
    pub(super) fn check(&self) -> Kept {
        let log = self.log();
        for (number, process) in self.processes.iter().enumerate() {
            let position = process.replica.position();
            if process.replica.revision() != position.revision {
                return Err(format!("{number} shows another revision than that of {position:?}"));
            }
            if records(&*process.replica) != log.records_at(position) {
                return Err(format!("{number} shows other records than those of {position:?}"));
            }
        }
        for record in log.base.values() {
            let key = scope_key::decode(&record.key).expect("a key of a scope");
            let at =
                if log.folded == 0 { Position::start(STORE) } else { log.entries[log.folded as usize - 1].position };
            let expected = &log.records_at(at)[place(&key)];
            if decode_record(&record.body).as_ref() != Ok(expected) {
                return Err(format!("the base has another record of {key:?} than revision {}", log.folded));
            }
        }
        let (cuts, written) = (log.cuts, times_written(&log));
        for (id, promise) in &self.promised {
            let times = written.get(id).copied().unwrap_or_default();
            let is_kept = match promise {
                Promise::Refused => times == 0,
                Promise::Written(before) if *before == cuts => times == 1,
                Promise::Written(_) | Promise::Unknown => times <= 1,
            };
            if !is_kept {
                return Err(format!("{id}, {promise:?}, is in the log {times} times"));
            }
        }
        Ok(())
    }
}

/// How often each request is in the log.
pub(super) fn times_written(log: &Log) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for entry in &log.entries {
        let event = decode_event(entry.position.revision, &entry.body).expect("the log has events");
        *times.entry(event.request_id).or_default() += 1;
    }
    times
}
