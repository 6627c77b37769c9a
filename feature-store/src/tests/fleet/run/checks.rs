//! What must hold after each step of a run.

use std::collections::HashMap;

use feature_core::{Erasure, Record, Scope, Timestamp, Write};

use super::{Answer, Kept, Promise, Run};
use crate::engine::{Entry, Position};
use crate::format::encoding::{decode_event, decode_record};
use crate::format::scope_key;
use crate::tests::fixtures::{decide_batch, place, records, scopes};
use crate::tests::fleet::log::{Log, STORE};
use crate::{CommitError, FeatureStore};

impl Run {
    /// Checks that the answers of a group are those which the log gives: the group's events end at `revision`, and all
    /// of its writes were decided upon what was there before them.
    pub(super) fn check_answers(&mut self, answers: &[(Vec<Write>, Answer)], revision: u64, now: Timestamp) -> Kept {
        let log = self.log.lock().expect("a failed check ends the run");
        let is_own = |entry: &&crate::Entry| {
            let event = decode_event(entry.position.revision, &entry.body).expect("the log has events");
            answers.iter().any(|(batch, _)| batch[0].request_id == event.request_id)
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
        for (batch, answer) in answers {
            let decided = decide_batch(&mut records, batch, now, next);
            let expected = decided.map(|(events, details)| {
                next += events.len() as u64;
                self.tally.extend((events.len() > 1).then_some("a batch was acknowledged"));
                details
            });
            let answered = answer.clone().map(|committed| committed.details).map_err(|error| error.to_string());
            if answered != expected {
                return Err(format!("answered {answered:?} to {} instead of {expected:?}", batch[0].request_id));
            }
        }
        self.tally.push(if events > 0 {
            "a group was acknowledged"
        } else {
            "an answer without an event was confirmed"
        });
        if answers.iter().any(|(_, answer)| matches!(answer, Err(CommitError::Rejected { .. }))) {
            self.tally.push("a write was rejected");
        }
        Ok(())
    }

    /// Checks each replica, and what callers were promised.
    pub(super) fn check(&self) -> Kept {
        let log = self.log();
        let erasures = log.erasures();
        for (number, process) in self.processes.iter().enumerate() {
            let position = process.replica.position();
            if process.replica.revision() != position.revision {
                return Err(format!("{number} shows another revision than that of {position:?}"));
            }
            let shown = log.entries.get(position.revision.wrapping_sub(1) as usize);
            if shown.is_some_and(|entry| entry.position == position && continues(entry)) {
                return Err(format!("{number} shows a part of a batch"));
            }
            let shown = records(&*process.replica);
            let known = scopes().into_iter().zip(shown.iter().zip(log.records_at(position)));
            if !known.into_iter().all(|(scope, records)| is_right(&scope, position, records, &erasures)) {
                return Err(format!("{number} shows other records than those of {position:?}"));
            }
        }
        for record in log.base.values() {
            let key = scope_key::decode(&record.key).expect("a key of a scope");
            let at =
                if log.folded == 0 { Position::start(STORE) } else { log.entries[log.folded as usize - 1].position };
            let expected = &log.records_at(at)[place(&key)];
            let found = decode_record(&record.body).expect("a record");
            if !is_right(&key, at, (&found, expected), &erasures) {
                return Err(format!("the base has another record of {key:?} than revision {}", log.folded));
            }
        }
        check_erased(&log)?;
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

/// Whether a record is the expected one, as of a position. What the log has lost already may be missing before the
/// erasure is shown.
fn is_right(scope: &Scope, at: Position, (found, expected): (&Record, &Record), erasures: &[Erasure]) -> bool {
    let is_erased = |erasure: &Erasure| erasure.revision > at.revision && erasure.scope() == *scope;
    found == expected || erasures.iter().any(is_erased) && found.sequence == expected.sequence
}

/// What the base has was erased in the log before.
fn check_erased(log: &Log) -> Kept {
    let events: Vec<_> = log.entries.iter().map(|entry| entry.event().expect("the log has events")).collect();
    let mut erasures = log.erasures();
    erasures.retain(|erasure| erasure.revision <= log.folded);
    let kept = events.iter().filter(|event| event.revision >= log.kept_from);
    match kept.into_iter().find(|event| erasures.iter().any(|erasure| erasure.concerns(event))) {
        Some(event) => Err(format!("{} has what was erased", event.revision)),
        None => Ok(()),
    }
}

/// How often each request is in the log. A batch counts once.
pub(super) fn times_written(log: &Log) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for entry in log.entries.iter().filter(|entry| !continues(entry)) {
        let event = decode_event(entry.position.revision, &entry.body).expect("the log has events");
        *times.entry(event.request_id).or_default() += 1;
    }
    times
}

fn continues(entry: &Entry) -> bool {
    entry.event().expect("the log has events").continues
}
