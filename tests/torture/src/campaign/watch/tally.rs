//! What has happened in a campaign, in numbers.

use std::collections::BTreeMap;

use super::check::{Kind, Problem};
use super::record::{Answer, ChangesRecord, ChangesSeen, End, Era, Start, ValuesRecord, ValuesSeen, Write};

/// The kinds of problems that the report always names.
const NAMED: [(Kind, &str); 4] = [
    (Kind::Gap, "gaps"),
    (Kind::Repeat, "repeats"),
    (Kind::Reorder, "reorders"),
    (Kind::Ahead, "states ahead of their revision"),
];

/// The numbers of a campaign.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    problems: BTreeMap<Kind, u64>,
}

impl Tally {
    /// Counts something once.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    /// How often something was counted.
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// Counts what the client of a stream saw.
    pub fn changes(&mut self, record: &ChangesRecord) {
        for seen in &record.seen {
            match seen {
                ChangesSeen::Began { start, .. } => self.began(matches!(start, Start::Token(_))),
                ChangesSeen::Changes { changes, .. } => self.add("changes seen", changes.len() as u64),
                ChangesSeen::Ended(end) => self.ended(end),
                _ => {}
            }
        }
    }

    /// The same of a stream of values.
    pub fn values(&mut self, record: &ValuesRecord) {
        for seen in &record.seen {
            match seen {
                ValuesSeen::Began { resumed, .. } => self.began(resumed.is_some()),
                ValuesSeen::Snapshot { .. } | ValuesSeen::Delta { .. } => self.count("states compared"),
                ValuesSeen::Ended(end) => self.ended(end),
                _ => {}
            }
        }
    }

    fn began(&mut self, is_resumed: bool) {
        self.count("streams");
        self.add("resumed", u64::from(is_resumed));
    }

    fn ended(&mut self, end: &End) {
        match end {
            End::Closing => self.count("closings"),
            End::TakenBack => self.count("told that history was taken back"),
            End::Compacted { .. } => self.count("told that changes were dropped"),
            End::TooSlow => self.count("too slow"),
            End::Broken | End::Other(_) => {}
        }
    }

    /// Counts changes, and writes by their answers.
    pub fn writes(&mut self, eras: &[Era], writes: &[Write]) {
        for era in eras {
            self.add("events", era.events.range(era.base + 1..).count() as u64);
        }
        for write in writes {
            self.count(match write.answer {
                Answer::Acknowledged(_) => "writes acknowledged",
                Answer::Refused => "refused",
                Answer::Unknown => "outcomes unknown",
            });
        }
    }

    /// Counts problems.
    pub fn problems(&mut self, problems: &[Problem]) {
        for problem in problems {
            *self.problems.entry(problem.kind).or_default() += 1;
        }
    }

    /// The numbers as notes of a report.
    pub fn notes(&self) -> Vec<String> {
        let counts = self.counts.iter().map(|(what, count)| format!("{count} {what}"));
        let named = NAMED.iter().map(|(kind, what)| {
            let count = self.problems.get(kind).copied().unwrap_or_default();
            format!("{count} {what}")
        });
        let is_named = |kind: &Kind| NAMED.iter().any(|(named, _)| named == kind);
        let others = self.problems.iter().filter(|(kind, _)| !is_named(kind));
        let others = others.map(|(kind, count)| format!("{count} times {kind:?}"));
        counts.chain(named).chain(others).collect()
    }
}
