//! Compares what the clients of a fleet were answered with the log that the database has, cycle by cycle.
//!
//! The log is replayed with the campaign's own model. Each event names the request that made it, which gives each
//! acknowledged write its revision. So most of linearizability takes linear time.
//!
//! - An acknowledged write is in the log once, one with an unknown outcome at most once, a refused one never.
//! - A write that began after another one was acknowledged has a later revision.
//! - Each answer, also that of a write that changes nothing or expects another sequence, is right at some revision
//!   between the last one acknowledged before the call and the first one begun after it.
//! - Each read is right at some revision that is new enough for what was asked, and no server goes back.
//! - The log has no gap, and its chain holds.

pub mod chain;
mod reads;
mod replay;
#[cfg(test)]
mod tests;
mod timeline;
mod values;
mod writes;

use std::collections::HashMap;
use std::fmt;

use super::database::table::{Chain, Log};
use super::record::{Answer, Nanos, Record, WriteCall};
use crate::workload::client::Read;
use crate::workload::feature::{Level, Scope, Time};
use crate::workload::write::State;
use replay::Replayed;
use timeline::Timeline;

/// What a checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    pub text: String,
}

/// The kinds of broken promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A revision is missing or there twice, or the head row says something else than the entries.
    Gap,
    /// An entry does not continue the chain: the history is another one.
    Chain,
    /// A request is in the log twice.
    Repeat,
    /// An event that no client has asked for, or a refused one.
    Unasked,
    /// An acknowledged write is not in the log.
    Lost,
    /// A write has an earlier revision than one that was acknowledged before it began.
    Order,
    /// An event or an answer is not what the model says.
    Wrong,
    /// An answer about now is older than that: of a write that changed nothing, or of another sequence.
    Outdated,
    /// A read is older than what was asked for, or than what the server claims.
    Stale,
    /// A server has shown something newer before.
    Back,
    /// A read was not answered.
    Unanswered,
}

/// The history up to the end of a cycle.
#[derive(Debug, Clone, Default)]
pub struct History {
    end: Option<End>,
    /// The newest version of each scope.
    scopes: HashMap<String, Version>,
    /// The writes of earlier cycles whose outcome is unknown. They may come yet.
    open: HashMap<String, WriteCall>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    store: [u8; 16],
    revision: u64,
    chain: Chain,
}

/// The settings of a scope from a revision on.
#[derive(Debug, Clone, Default)]
struct Version {
    revision: u64,
    state: State,
    created: Option<Time>,
    changed: Option<Time>,
}

/// What the checkers assume of the servers.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The oldest that a read may be on a server that is ready, and how exactly the campaign knows that it was.
    pub staleness: Nanos,
    /// When a server did not run: its number, and from when until when.
    pub down: Vec<(usize, Nanos, Nanos)>,
}

impl History {
    /// The revision at the end.
    pub fn revision(&self) -> u64 {
        self.end.map_or(0, |end| end.revision)
    }

    /// Checks a cycle, at whose end no call was under way, and every server was at the end of the log. `log`: what came
    /// since the end of the last cycle.
    pub fn check(&mut self, log: &Log, record: Record, claims: &Claims) -> Vec<Problem> {
        let mut problems = Vec::new();
        let before = self.end.unwrap_or_else(|| chain::start(log.store));
        let end = chain::check(before, log, &mut problems);
        let mut calls = std::mem::take(&mut self.open);
        let Record { writes, reads } = record;
        calls.extend(writes.into_iter().map(|call| (call.id.clone(), call)));
        let replayed = Replayed::new(before, &self.scopes, log, &calls, &mut problems);
        let timeline = Timeline::new(before.revision, &calls, &replayed);
        for call in calls.values() {
            writes::check(call, &replayed, &timeline, &mut problems);
        }
        reads::check(&reads, &calls, &replayed, &timeline, claims, &mut problems);
        calls.retain(|id, call| matches!(call.answer, Answer::Unknown(_)) && !replayed.found.contains_key(id));
        self.open = calls;
        self.scopes.extend(replayed.newest());
        self.end = Some(end);
        problems
    }

    /// Whether a read shows the newest version of a scope.
    pub fn ends_with(&self, scope: &Scope, read: &Read) -> bool {
        let unwritten = Version::default();
        reads::shows(self.scopes.get(&key(scope)).unwrap_or(&unwritten), scope, read)
    }

    /// Takes the log as it is, after history was taken back: everything before is forgotten.
    pub fn restart(&mut self, log: &Log) {
        let start = chain::start(log.store);
        let mut replayed = Replayed::new(start, &HashMap::new(), log, &HashMap::new(), &mut Vec::new());
        replayed.forget_calls(log);
        self.scopes = replayed.newest().collect();
        let last = log.entries.last();
        self.end = Some(last.map_or(start, |last| End { revision: last.revision, chain: last.chain, ..start }));
    }
}

/// A scope's key, as events have it.
fn key(scope: &Scope) -> String {
    let Scope { level, instance, id } = scope;
    match level {
        Level::System => "s".to_owned(),
        Level::Instance => format!("i{instance}"),
        Level::Organization => format!("o{instance}\0{id}"),
        Level::User => format!("u{instance}\0{id}"),
    }
}

impl Problem {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}
