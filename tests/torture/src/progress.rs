//! A line that tells how far a campaign is. Only a terminal gets it.

use std::io::{IsTerminal, stderr};

/// The line; it vanishes when this is dropped.
pub struct Progress {
    what: &'static str,
    cycles: u32,
    is_shown: bool,
}

impl Progress {
    /// A campaign of so many cycles.
    pub fn new(what: &'static str, cycles: u32) -> Self {
        Self { what, cycles, is_shown: stderr().is_terminal() }
    }

    /// Tells that this cycle, counted from 1, begins.
    pub fn cycle(&self, cycle: u32) {
        if self.is_shown {
            eprint!("\r\x1b[K{}: cycle {cycle} of {}", self.what, self.cycles);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
