//! Limits the lines that one callsite may log in a second. So no client can fill the log by repeating a mistake, and a
//! flood of one kind of line hides no other kind.
//!
//! Lines below `info` are not counted: they are logged only if the operator has turned them on.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The most lines of a callsite in [`SECOND`].
pub(super) const LINES_MAX: u32 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the lines of each callsite.
pub(super) struct LineLimit {
    /// The callsites that have logged a line so far: some dozens at most.
    callsites: Mutex<Vec<Callsite>>,
}

struct Callsite {
    metadata: &'static Metadata<'static>,
    second_began: Instant,
    lines_in_second: u32,
    /// Lines that were left out and not reported yet.
    left_out: u64,
}

impl LineLimit {
    pub(super) const fn new() -> Self {
        Self { callsites: Mutex::new(Vec::new()) }
    }

    /// For each callsite, logs how many of its lines were left out since the last report.
    pub(super) fn report(&self) {
        for (metadata, left_out) in self.take_left_out() {
            let of = format_args!("{}:{}", metadata.target(), metadata.line().unwrap_or_default());
            // Same level as the lines, so that a filter shows both or none.
            match *metadata.level() {
                Level::ERROR => tracing::error!(left_out, %of, "lines of one kind were left out"),
                Level::WARN => tracing::warn!(left_out, %of, "lines of one kind were left out"),
                _ => tracing::info!(left_out, %of, "lines of one kind were left out"),
            }
        }
    }

    fn take_left_out(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut callsites = self.callsites.lock().unwrap_or_else(PoisonError::into_inner);
        let with_lines_left_out = callsites.iter_mut().filter(|callsite| callsite.left_out > 0);
        with_lines_left_out.map(|callsite| (callsite.metadata, std::mem::take(&mut callsite.left_out))).collect()
    }

    /// Whether a line may be logged now; it is then counted.
    fn admits(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() {
            return true;
        }
        let mut callsites = self.callsites.lock().unwrap_or_else(PoisonError::into_inner);
        let known = callsites.iter().position(|known| known.metadata.callsite() == metadata.callsite());
        let index = known.unwrap_or_else(|| {
            callsites.push(Callsite { metadata, second_began: now, lines_in_second: 0, left_out: 0 });
            callsites.len() - 1
        });
        let callsite = &mut callsites[index];
        if now.saturating_duration_since(callsite.second_began) >= SECOND {
            callsite.second_began = now;
            callsite.lines_in_second = 0;
        }
        if callsite.lines_in_second < LINES_MAX {
            callsite.lines_in_second += 1;
            return true;
        }
        callsite.left_out += 1;
        false
    }
}

impl<S: Subscriber> Layer<S> for &'static LineLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests;
