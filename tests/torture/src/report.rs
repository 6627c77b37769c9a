//! The results of a campaign, in one line.

use std::fmt;

/// The results of one campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the campaign did to the server.
    pub what: String,
    /// The number of cycles.
    pub cycles: u32,
    /// Acknowledged writes that were lost, and states that a reader saw and that were taken back.
    pub lost: u64,
    /// Folders that did not open although nothing durable was damaged, or not in the documented way.
    pub unopenable: u64,
    /// Reports of damage where there was none.
    pub false_alarms: u64,
    /// Other bounds that the server broke.
    pub broken: Vec<String>,
    /// Other figures, such as the number of writes.
    pub notes: Vec<String>,
}

impl Report {
    /// A report without results.
    pub fn new(what: &str) -> Self {
        let (broken, notes) = (Vec::new(), Vec::new());
        Self { what: what.to_owned(), cycles: 0, lost: 0, unopenable: 0, false_alarms: 0, broken, notes }
    }

    /// Whether the server kept all promises.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.unopenable == 0 && self.false_alarms == 0 && self.broken.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, cycles, lost, unopenable, false_alarms, broken, notes } = self;
        write!(f, "{what}: {cycles} cycles, {lost} lost, {unopenable} unopenable, {false_alarms} false alarms")?;
        if !broken.is_empty() {
            write!(f, ", {} broken: {}", broken.len(), broken.join("; "))?;
        }
        notes.iter().try_for_each(|note| write!(f, ", {note}"))
    }
}
