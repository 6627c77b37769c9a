//! Writes log lines to standard error from a thread of its own; until then they wait in memory. So no task waits for
//! the reader of the log, and a failed write ends no task.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of lines that wait, and again as many while they are written. Further lines are left out.
pub(super) const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of waiting lines below `info`: a flood of details must not displace warnings and errors.
const DETAILS_BYTES: usize = WAITING_BYTES / 2;

/// A buffer that has grown larger than this is freed.
const KEPT_BYTES: usize = 64 * 1024;

/// How often the thread calls `tick`.
const TICK: Duration = Duration::from_secs(1);

/// The time between two attempts when standard error is non-blocking and full.
const RETRY: Duration = Duration::from_millis(10);

/// Writes lines in the background, in their order.
#[derive(Default)]
pub(super) struct LogWriter {
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread could not be started; the caller then writes its lines itself.
    has_no_thread: bool,
    /// The thread is writing lines that it has taken.
    writing: bool,
    /// Lines that found no room or could not be written, and that the log has not reported yet.
    left_out: u64,
}

impl LogWriter {
    /// Starts the thread, which never ends.
    ///
    /// * `report`: logs how many lines were left out. It is called when lines can be written again.
    /// * `tick`: called once a second.
    pub(super) fn start(
        sink: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
        tick: impl Fn() + Send + 'static,
    ) -> &'static Self {
        let log: &Self = Box::leak(Box::default());
        let thread = thread::Builder::new().name("log".to_owned());
        log.state().has_no_thread = thread.spawn(move || log.write_all(sink, report, tick)).is_err();
        log
    }

    /// Adds one line, which ends with a line feed. It never blocks, and leaves the line out if more bytes than `room`
    /// would wait then.
    pub(super) fn push(&self, room: usize, line: &[u8]) {
        let mut state = self.state();
        if state.has_no_thread {
            drop(state);
            // An error cannot be reported anywhere.
            let _ = io::stderr().write_all(line);
        } else if state.waiting.len() + line.len() > room {
            state.left_out += 1;
        } else {
            let is_first = state.waiting.is_empty();
            state.waiting.extend_from_slice(line);
            drop(state);
            if is_first {
                self.arrived.notify_one();
            }
        }
    }

    /// Waits until all lines are written, for at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(self.written.wait_timeout_while(self.state(), patience, busy));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state consistent, so a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of the thread.
    fn write_all(&self, mut sink: impl Write, report: impl Fn(u64), tick: impl Fn()) {
        let mut lines = Vec::new();
        let mut next_tick = Instant::now() + TICK;
        loop {
            let waited = self.arrived.wait_timeout_while(self.state(), TICK, |state| state.waiting.is_empty());
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut state.waiting, &mut lines);
            state.writing = !lines.is_empty();
            drop(state);
            if !lines.is_empty() {
                let failed = write(&mut sink, &lines);
                lines.clear();
                lines.shrink_to(KEPT_BYTES);
                let mut state = self.state();
                state.left_out += failed;
                let left_out = if failed == 0 { mem::take(&mut state.left_out) } else { 0 };
                drop(state);
                if left_out > 0 {
                    report(left_out);
                }
                // After the report, because `flush` has to wait for that line, too.
                self.state().writing = false;
                self.written.notify_all();
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                tick();
            }
        }
    }
}

/// Adds the lines of one event.
pub(super) struct LineWriter {
    log: &'static LogWriter,
    room: usize,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.push(self.room, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for &'static LogWriter {
    type Writer = LineWriter;

    fn make_writer(&self) -> LineWriter {
        LineWriter { log: self, room: WAITING_BYTES }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> LineWriter {
        let room = if *metadata.level() > Level::INFO { DETAILS_BYTES } else { WAITING_BYTES };
        LineWriter { log: self, room }
    }
}

/// Writes lines and returns how many of them could not be written.
fn write(sink: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match sink.write(lines) {
            Ok(written) if written > 0 => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            _ => break,
        }
    }
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
