//! Lines on their way to standard error: they wait in memory, and a thread of its own writes them. So no task waits for
//! the reader of the log, and no line that cannot be written ends one.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of lines that wait, and again as many while they are written. Further lines are left out.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// What of it lines below `info` may take: a flood of details must not displace what the operator has to act on.
const DETAILS_BYTES: usize = WAITING_BYTES / 2;

/// A buffer that a flood has made larger than this is given back.
const KEPT_BYTES: usize = 64 * 1024;

/// How often the thread looks after other work.
const TICK: Duration = Duration::from_secs(1);

/// The time between two attempts where standard error is non-blocking and full.
const RETRY: Duration = Duration::from_millis(10);

/// Writes lines in the background, in their order.
#[derive(Clone)]
pub(super) struct LogWriter {
    /// `None` when the system gives no thread: then lines are written in place.
    queue: Option<Arc<Queue>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread has lines that it took from those waiting.
    writing: bool,
    /// Lines that found no room or could not be written, and were not counted in the log yet.
    left_out: u64,
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// * `report`: logs that so many lines were left out. It is called when lines can be written again.
    /// * `tick`: called once a second.
    pub(super) fn start(
        sink: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
        tick: impl Fn() + Send + 'static,
    ) -> Self {
        let queue = Arc::<Queue>::default();
        let of_thread = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || of_thread.write_all(sink, report, tick));
        Self { queue: started.is_ok().then_some(queue) }
    }

    /// Adds one line, which ends with a line feed. It never blocks, and leaves the line out where there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        self.push_within(WAITING_BYTES, line);
    }

    fn push_within(&self, room: usize, line: &[u8]) {
        match &self.queue {
            Some(queue) => queue.push(room, line),
            // There is no place to tell that it cannot be written.
            None => drop(io::stderr().write_all(line)),
        }
    }

    /// Waits until all lines are written, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let Some(queue) = &self.queue else { return };
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(queue.written.wait_timeout_while(queue.state(), patience, busy));
    }
}

/// Takes the lines of one event.
pub(super) struct LineWriter<'a> {
    writer: &'a LogWriter,
    room: usize,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.writer.push_within(self.room, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { writer: self, room: WAITING_BYTES }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        let room = if *metadata.level() > Level::INFO { DETAILS_BYTES } else { WAITING_BYTES };
        LineWriter { writer: self, room }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, room: usize, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > room {
            state.left_out += 1;
            return;
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_first {
            self.arrived.notify_one();
        }
    }

    /// The thread's work, without end.
    fn write_all(&self, mut sink: impl Write, report: impl Fn(u64), tick: impl Fn()) {
        let mut lines = Vec::new();
        let mut next_tick = Instant::now() + TICK;
        loop {
            self.take(&mut lines);
            if !lines.is_empty() {
                let failed = write(&mut sink, &lines);
                let left_out = self.count(failed);
                if failed == 0 && left_out > 0 {
                    report(left_out);
                }
                lines.clear();
                lines.shrink_to(KEPT_BYTES);
                // Only now: the report is a line to wait for, too.
                self.state().writing = false;
                self.written.notify_all();
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                tick();
            }
        }
    }

    /// Waits for lines, at most until the next tick.
    fn take(&self, lines: &mut Vec<u8>) {
        let waited = self.arrived.wait_timeout_while(self.state(), TICK, |state| state.waiting.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.waiting, lines);
        state.writing = !lines.is_empty();
    }

    /// Adds lines that could not be written. Where there are none, returns how many were left out until now.
    fn count(&self, failed: u64) -> u64 {
        let mut state = self.state();
        if failed == 0 {
            return mem::take(&mut state.left_out);
        }
        state.left_out += failed;
        state.left_out
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
