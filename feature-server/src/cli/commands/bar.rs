//! A progress bar on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that disappears when it is dropped, so that only the command's output stays.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for a command with `total` steps, counted as `unit`.
    pub(super) fn new(doing: &'static str, total: u64, unit: &'static str) -> Self {
        let style = format!("{doing} {{bar:40}} {{human_pos}}/{{human_len}} {unit}, {{eta}} left");
        let style = ProgressStyle::with_template(&style).expect("the names in the template are those of indicatif");
        Self(ProgressBar::new(total).with_style(style))
    }

    /// No bar, because the terminal shows the output itself.
    pub(super) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Shows that `done` of `total` steps are done.
    pub(super) fn show_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Shows that this many steps are done.
    pub(super) fn show(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
