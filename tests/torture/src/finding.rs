//! Problems found in a cycle: how they are printed and counted.

use std::collections::BTreeMap;

use crate::report::Report;

/// A problem.
#[derive(Debug)]
pub enum Finding {
    /// Something acknowledged, or seen by a reader, is lost or changed.
    Lost(String),
    /// A folder does not open, or a server does not answer, and not in the documented way.
    Unopenable(String),
    /// The server reports damage to something undamaged.
    FalseAlarm(String),
}

/// The way in which a cycle succeeded, in a few words, or its problem.
pub type Verdict = Result<&'static str, Finding>;

/// Every other error with a server is behaviour that the documentation does not allow.
impl From<anyhow::Error> for Finding {
    fn from(error: anyhow::Error) -> Self {
        Self::Unopenable(format!("{error:#}"))
    }
}

/// Counts the verdicts of a campaign's cycles.
pub struct Verdicts {
    report: Report,
    counts: BTreeMap<&'static str, u32>,
}

impl Verdicts {
    /// No verdicts yet. `what`: what the campaign does to the server.
    pub fn new(what: &str) -> Self {
        Self { report: Report::new(what), counts: BTreeMap::new() }
    }

    /// Counts a cycle. Prints its problem to standard error.
    ///
    /// `cycle`: a description of the cycle, for repeating it.
    pub fn add(&mut self, verdict: Verdict, cycle: impl FnOnce() -> String) {
        self.report.cycles += 1;
        let (count, kind, text) = match verdict {
            Ok(what) => return *self.counts.entry(what).or_default() += 1,
            Err(Finding::Lost(text)) => (&mut self.report.lost, "lost", text),
            Err(Finding::Unopenable(text)) => (&mut self.report.unopenable, "unopenable", text),
            Err(Finding::FalseAlarm(text)) => (&mut self.report.false_alarms, "false alarm", text),
        };
        *count += 1;
        eprintln!("{}: {kind}: {text}", cycle());
    }

    /// The report: the number of cycles for each outcome, and the seed for repeating them.
    pub fn report(mut self, seed: u64) -> Report {
        self.report.notes.extend(self.counts.into_iter().map(|(what, count)| format!("{count} {what}")));
        self.report.notes.push(format!("seed {seed}"));
        self.report
    }
}
