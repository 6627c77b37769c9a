//! The logs of the process: their format, their filter and their output. `traces` sends the traces of calls.
//!
//! Logs go to standard error, because scripts read standard output. Libraries log at `info` and above only: at lower
//! levels some of them log secrets, such as headers with tokens.
//!
//! All code of the process writes to standard error through [`say`] and `tracing`, never with `eprintln!`, which panics
//! when the reader has closed the pipe and blocks when the reader hangs.

mod line_limit;
mod log_writer;
pub mod traces;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::line_limit::LineLimit;
use self::log_writer::{LogWriter, WAITING_BYTES};
use crate::config::forms::log_filter;
use crate::config::settings::{Log, LogFormat};

/// The prefix of the targets of this project's crates.
const OWN: &str = "feature_";

/// How long the process waits at its end for a reader of the log that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

static STDERR: LazyLock<&LogWriter> = LazyLock::new(|| LogWriter::start(io::stderr(), report, || LINES.report()));

static LINES: LineLimit = LineLimit::new();

/// Sends the logs of this process to standard error, as configured.
///
/// # Panics
/// If the filter is malformed, which that of loaded settings is not, or on a second call.
pub fn init(log: &Log) {
    subscriber(log, io::stderr().is_terminal(), *STDERR, &LINES).init();
    panic::set_hook(Box::new(log_panic));
    if let Some(library) = asks_for_details_of(&log.filter) {
        tracing::warn!(library, "log.filter asks for details that may hold tokens: libraries log from info on");
    }
}

/// Writes one unformatted line to standard error, after the lines that were logged before.
pub fn say(line: &str) {
    STDERR.push(WAITING_BYTES, format!("{line}\n").as_bytes());
}

/// Waits until all lines are written, for a second at most. Call it before the process ends.
pub fn finish() {
    LINES.report();
    STDERR.flush(PATIENCE);
}

fn report(left_out: u64) {
    tracing::warn!(left_out, "lines were left out: they could not be written to standard error, or not in time");
}

/// Logs the location of a panic like the default hook, but without waiting for the reader of the log.
fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("(no name)");
    let panic = info.payload_as_str().unwrap_or("(no message)");
    let at = info.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    // Outside of the call's span, whose fields may be locked: the panic may come from one of them.
    tracing::error!(parent: None, thread, at, panic, backtrace, "a thread panicked");
    if thread == "main" {
        finish();
    }
}

/// The first library that a filter sets to a level below `info`.
fn asks_for_details_of(filter: &str) -> Option<&str> {
    filter.split(',').find_map(|part| {
        let (target, level) = part.split_once('=')?;
        let details = ["debug", "trace"].iter().any(|details| details.eq_ignore_ascii_case(level));
        (details && !target.starts_with(OWN) && !target.starts_with('[')).then_some(target)
    })
}

fn subscriber<W>(log: &Log, terminal: bool, writer: W, lines: &'static LineLimit) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = log_filter(&log.filter).expect("the settings were checked when they were loaded");
    let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(terminal).log_internal_errors(false);
    let builder = builder.with_env_filter(filter);
    // Blocks events of libraries below `info`, for every filter.
    let cap = filter_fn(|metadata| *metadata.level() <= Level::INFO || metadata.target().starts_with(OWN));
    if log.format == LogFormat::Text || (log.format == LogFormat::Auto && terminal) {
        Box::new(builder.finish().with(cap).with(lines))
    } else {
        // All spans, not only the innermost: the request id is in the outermost one.
        let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(true);
        Box::new(json.finish().with(cap).with(lines))
    }
}

#[cfg(test)]
mod tests;
