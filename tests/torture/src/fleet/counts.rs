//! The results of the campaign so far, and its report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Kind, Problem};
use super::record::{Answer, Asks, Nanos, Record};
use crate::report::Report;

/// The number of problems that are printed in full.
const TOLD: usize = 12;

/// The results so far.
#[derive(Default)]
pub struct Counts {
    /// How often each thing was done or came about.
    pub notes: BTreeMap<&'static str, u64>,
    problems: BTreeMap<Kind, u64>,
    broken: Vec<String>,
    false_alarms: u64,
    told: usize,
    /// How long writes were away, for each failover.
    away: Vec<Nanos>,
    /// The same under Patroni.
    away_by_patroni: Vec<Nanos>,
    slowest_read: Nanos,
    cycles: u32,
    /// What a checker found that takes an error for 'not written'.
    pub mistaken: u64,
    figures: Vec<String>,
}

impl Counts {
    /// Counts a cycle.
    pub fn cycle(&mut self, what: &'static str) {
        self.cycles += 1;
        self.note(what, 1);
    }

    /// Counts something.
    pub fn note(&mut self, what: &'static str, count: u64) {
        *self.notes.entry(what).or_default() += count;
    }

    /// Adds a figure to the report.
    pub fn figure(&mut self, text: String) {
        self.figures.push(text);
    }

    /// Counts the calls of a cycle.
    pub fn record(&mut self, record: &Record) {
        self.note("writes acknowledged", record.acknowledged());
        self.note("outcomes unknown", record.unknown());
        self.note("reads", record.reads.iter().filter(|call| call.answer.is_ok()).count() as u64);
        let plain = record.reads.iter().filter(|call| matches!(call.asks, Asks::Ready | Asks::Any));
        let slowest = plain.filter(|call| call.answer.is_ok()).map(|call| call.end - call.begin).max();
        self.slowest_read = self.slowest_read.max(slowest.unwrap_or_default());
    }

    /// Notes the longest time without an acknowledged write that ended after a fault.
    pub fn away(&mut self, record: &Record, fault: Nanos) {
        self.away.extend(gap(record, fault));
    }

    /// The same under Patroni.
    pub fn away_by_patroni(&mut self, record: &Record, fault: Nanos) {
        self.away_by_patroni.extend(gap(record, fault));
    }

    /// Adds the results of another part.
    pub fn extend(&mut self, other: Self) {
        other.notes.into_iter().for_each(|(what, count)| self.note(what, count));
        for (kind, count) in other.problems {
            *self.problems.entry(kind).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.away.extend(other.away);
        self.away_by_patroni.extend(other.away_by_patroni);
        self.figures.extend(other.figures);
        self.false_alarms += other.false_alarms;
        self.slowest_read = self.slowest_read.max(other.slowest_read);
        self.cycles += other.cycles;
        self.mistaken += other.mistaken;
    }

    /// Counts problems. `cycle`: what the campaign did.
    pub fn problems(&mut self, cycle: &str, problems: Vec<Problem>) {
        for problem in problems {
            *self.problems.entry(problem.kind).or_default() += 1;
            self.tell(cycle, &problem.to_string());
        }
    }

    /// Counts another bound that was broken.
    pub fn broken(&mut self, cycle: &str, what: String) {
        self.tell(cycle, &what);
        self.broken.push(format!("{cycle}: {what}"));
    }

    /// Searches the logs of servers that had a reason for warnings about the database, and for no others.
    pub fn log(&mut self, cycle: &str, log: &str) {
        /// What a server may say while its database is away.
        const EXPECTED: [&str; 4] = [
            "the database does not answer",
            "the database did not confirm a write",
            "does not answer a write",
            "lines of one kind were left out",
        ];
        let is_wrong = |line: &&str| {
            let is_error = line.contains("\"ERROR\"") && !EXPECTED.iter().any(|text| line.contains(text));
            is_error || line.contains("panicked") || line.contains("was taken back")
        };
        for line in log.lines().filter(is_wrong) {
            self.false_alarms += 1;
            self.tell(cycle, line);
        }
    }

    /// The report.
    pub fn report(mut self, seed: u64) -> Report {
        let mut report = Report::new("fleet");
        report.cycles = self.cycles;
        report.false_alarms = self.false_alarms;
        report.broken = self.broken;
        for (kind, count) in self.problems {
            match kind {
                Kind::Gap | Kind::Chain | Kind::Repeat | Kind::Lost | Kind::Back => report.lost += count,
                _ => report.broken.push(format!("{count} times: {kind:?}")),
            }
        }
        report.notes.push(format!("seed {seed}"));
        report.notes.extend(self.notes.into_iter().map(|(what, count)| format!("{count} {what}")));
        for (away, by) in [(&mut self.away, "by hand"), (&mut self.away_by_patroni, "by Patroni")] {
            away.sort_unstable();
            let (Some(middle), Some(longest)) = (away.get(away.len() / 2), away.last()) else { continue };
            let [middle, longest] = [*middle, *longest].map(|away| Duration::from_nanos(away).as_secs_f64());
            report.notes.push(format!("writes away {by} for {middle:.1} s in the median and {longest:.1} s at most"));
        }
        let slowest = Duration::from_nanos(self.slowest_read).as_millis();
        report.notes.push(format!("the slowest read took {slowest} ms"));
        report.notes.extend(self.figures);
        report
    }

    fn tell(&mut self, cycle: &str, problem: &str) {
        self.told += 1;
        if self.told <= TOLD {
            eprintln!("fleet: {cycle}: {problem}");
        }
    }
}

/// The longest time without an acknowledged write that ended after a moment.
fn gap(record: &Record, moment: Nanos) -> Option<Nanos> {
    let acknowledged = record.writes.iter().filter(|call| matches!(call.answer, Answer::Acknowledged(..)));
    let mut ends: Vec<_> = acknowledged.map(|call| call.end).collect();
    ends.sort_unstable();
    ends.windows(2).filter(|pair| pair[1] > moment).map(|pair| pair[1] - pair[0]).max()
}
