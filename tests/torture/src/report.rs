//! What a campaign found, in one line.

use std::fmt;

/// The outcome of one campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was done to the server.
    pub what: String,
    /// How often.
    pub cycles: u32,
    /// Acknowledged writes that were not there afterwards, or states that a reader saw and that were taken back.
    pub lost: u64,
    /// Folders that did not open although nothing durable was damaged, or did not open in the documented way.
    pub unopenable: u64,
    /// Damage reported where there was none.
    pub false_alarms: u64,
    /// Where else the server did not keep to its bounds.
    pub broken: Vec<String>,
    /// Figures worth telling, such as the number of writes.
    pub notes: Vec<String>,
}

impl Report {
    /// A report of nothing so far.
    pub fn new(what: &str) -> Self {
        let (broken, notes) = (Vec::new(), Vec::new());
        Self { what: what.to_owned(), cycles: 0, lost: 0, unopenable: 0, false_alarms: 0, broken, notes }
    }

    /// Whether all that was promised has held.
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
