//! The results of a campaign so far: counts them, prints the first problems in full, and makes the report.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::report::Report;
use crate::workload::Counts;

/// The errors of a file system after the cut. If its own journal broke off first, it is read-only.
const CUT_OFF: [&str; 2] = ["Input/output error", "Read-only file system"];

/// The number of problems that are printed in full.
const TOLD: usize = 10;

/// The results of a campaign so far.
pub struct CampaignCounts {
    report: Report,
    starts: Vec<Duration>,
    counts: Counts,
    torn: u64,
    set_aside: u64,
    told: usize,
    /// Whether the server may set a projection aside: it may after a power cut, but not after a kill, which damages
    /// nothing.
    may_set_aside: bool,
}

impl CampaignCounts {
    /// No results yet. `may_set_aside`: a projection that the server sets aside is not a false alarm.
    pub fn new(what: &str, may_set_aside: bool) -> Self {
        let (starts, report) = (Vec::new(), Report::new(what));
        Self { report, starts, counts: Counts::default(), torn: 0, set_aside: 0, told: 0, may_set_aside }
    }

    /// Counts a cycle.
    pub fn cycle(&mut self) {
        self.report.cycles += 1;
    }

    /// Counts a start of this duration.
    pub fn started(&mut self, took: Duration) {
        self.starts.push(took);
    }

    /// Counts answers.
    pub fn answered(&mut self, counts: Counts) {
        self.counts.writes += counts.writes;
        self.counts.reads += counts.reads;
    }

    /// Counts losses and wrong answers.
    pub fn lost(&mut self, problems: Vec<String>) {
        self.report.lost += problems.len() as u64;
        for problem in problems {
            self.tell("lost", &problem);
        }
    }

    /// Counts a server that did not start on a folder, or did not answer.
    pub fn unopenable(&mut self, reason: &str) {
        self.report.unopenable += 1;
        self.tell("unopenable", reason);
    }

    /// Searches the log of a server that had no reason for warnings.
    pub fn log(&mut self, log: &str) {
        self.lines(log.lines());
    }

    /// Searches the log of a server whose disk was cut off, up to the first line about the cut.
    pub fn log_until_cut(&mut self, log: &str) {
        self.lines(log.lines().take_while(|line| !CUT_OFF.iter().any(|error| line.contains(error))));
    }

    fn lines<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        for line in lines.filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")) {
            if line.contains("cut off what a crash has torn") {
                self.torn += 1;
            } else if line.contains("the projection is set aside") && (self.may_set_aside || is_dropped(line)) {
                self.set_aside += 1;
            } else if (line.contains("\"sled::") || line.contains("/sled-")) && self.may_set_aside {
                // After a cut, the server may warn or panic. The next start shows whether the projection is intact.
            } else if !line.contains("connections were cut off at the end of the grace period") {
                self.report.false_alarms += 1;
                self.tell("false alarm", line);
            }
        }
    }

    /// The report. The campaign's own notes come first.
    ///
    /// # Errors
    /// When hardly any write was acknowledged: then the campaign proves nothing.
    pub fn report(mut self, notes: impl IntoIterator<Item = String>) -> Result<Report> {
        let (writes, cycles) = (self.counts.writes, self.report.cycles);
        ensure!(writes >= u64::from(cycles), "only {writes} writes were acknowledged in {cycles} cycles");
        self.starts.sort_unstable();
        let median = self.starts.get(self.starts.len() / 2).copied().unwrap_or_default();
        let longest = self.starts.last().copied().unwrap_or_default();
        self.report.notes.extend(notes);
        self.report.notes.extend([
            format!("{writes} writes acknowledged"),
            format!("{} reads", self.counts.reads),
            format!("{} torn tails", self.torn),
            format!("{} projections set aside", self.set_aside),
            format!("start {} ms in the median and {} ms at most", median.as_millis(), longest.as_millis()),
        ]);
        Ok(self.report)
    }

    fn tell(&mut self, what: &str, problem: &str) {
        self.told += 1;
        if self.told <= TOLD {
            eprintln!("{}: cycle {}: {what}: {problem}", self.report.what, self.report.cycles + 1);
        }
    }
}

/// Whether the projection ends before the oldest change. With a short history, changes may be dropped before the
/// projection is durable, and a kill then leaves it behind.
fn is_dropped(line: &str) -> bool {
    line.contains("and the journal begins at")
}
