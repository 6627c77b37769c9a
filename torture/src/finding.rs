//! What is wrong after a cycle, and how it is told and counted. What a cycle is, is not known here.

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

impl Report {
    /// Counts a finding and tells it on standard error.
    ///
    /// `cycle`: what was done, for whoever wants to see it again.
    pub fn add(&mut self, cycle: &str, finding: Finding) {
        let (count, kind, text) = match finding {
            Finding::Lost(text) => (&mut self.lost, "lost", text),
            Finding::Unopenable(text) => (&mut self.unopenable, "unopenable", text),
            Finding::FalseAlarm(text) => (&mut self.false_alarms, "false alarm", text),
        };
        *count += 1;
        eprintln!("{cycle}: {kind}: {text}");
    }
}
