//! What is wrong after a cycle, and how it is told and counted. What a cycle is, is not known here.

use std::collections::BTreeMap;

use crate::report::Report;

/// Something that must not be.
#[derive(Debug)]
pub enum Finding {
    /// Something acknowledged, or seen by a reader, is gone or changed.
    Lost(String),
    /// A folder does not open, or a server does not answer, in the documented way.
    Unopenable(String),
    /// Something undamaged was called damaged.
    FalseAlarm(String),
}

/// How a cycle went well, in a few words, or what was wrong.
pub type Verdict = Result<&'static str, Finding>;

/// Whatever else goes wrong with a server is a way in which it should not behave.
impl From<anyhow::Error> for Finding {
    fn from(error: anyhow::Error) -> Self {
        Self::Unopenable(format!("{error:#}"))
    }
}

/// The verdicts of a campaign's cycles, counted.
pub struct Verdicts {
    report: Report,
    counts: BTreeMap<&'static str, u32>,
}

impl Verdicts {
    /// None so far. `what`: what is done to the server.
    pub fn new(what: &str) -> Self {
        Self { report: Report::new(what), counts: BTreeMap::new() }
    }

    /// A cycle is over. What was wrong is told on standard error.
    ///
    /// `cycle`: what was done, for whoever wants to see it again.
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

    /// The report: how many cycles went well in which way, and how to repeat them.
    pub fn report(mut self, seed: u64) -> Report {
        self.report.notes.extend(self.counts.into_iter().map(|(what, count)| format!("{count} {what}")));
        self.report.notes.push(format!("seed {seed}"));
        self.report
    }
}
