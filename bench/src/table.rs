//! The table of goals: what was measured, and what it had to be.

use std::fmt;

use serde::Serialize;

use crate::comparison::Series;

/// One goal with what was measured.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What is compared.
    pub what: String,
    /// The ratio to the baseline over the rounds; or, where there is no baseline, the figure itself.
    pub value: Series,
    /// What it must be.
    pub goal: Goal,
    /// The absolute figures behind it: ours, then the baseline's, with their unit.
    pub figures: String,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Row {
    /// Whether the median keeps to the goal.
    pub fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(least) => self.value.median >= least,
            Goal::AtMost(most) => self.value.median <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtLeast(least) => write!(f, "≥ {least:.2}"),
            Goal::AtMost(most) => write!(f, "≤ {most:.2}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Series { median, min, max } = self.value;
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        let (goal, noise) = (self.goal.to_string(), format!("{min:.2}–{max:.2}"));
        write!(f, "{:<58} {median:>6.2} {noise:>13} {goal:>7} {verdict:<6} {}", self.what, self.figures)
    }
}

/// The line above the rows.
pub fn header() -> String {
    format!("{:<58} {:>6} {:>13} {:>7} {:<6} {}", "what", "value", "of rounds", "goal", "", "ours against the baseline")
}
