//! A progress line on the terminal. Nothing is printed if standard error is not a terminal.

use std::io::{IsTerminal, stderr};

/// The progress line. Dropping it clears the line.
pub struct Progress {
    what: &'static str,
    cycles: u32,
    is_shown: bool,
}

impl Progress {
    /// A campaign with this number of cycles.
    pub fn new(what: &'static str, cycles: u32) -> Self {
        Self { what, cycles, is_shown: stderr().is_terminal() }
    }

    /// Shows that this cycle, counted from 1, begins.
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
