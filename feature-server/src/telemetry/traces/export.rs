//! The queue of ended spans, and the task that sends them to the collector.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// The most spans that wait. Further ones are lost, those of one call together.
pub(super) const WAITING_MAX: usize = 4096;

/// The most spans in one message to the collector.
const BATCH_SPANS: usize = 512;

/// How long spans wait for more. A queue with a full batch is exported at once.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the collector may take for a batch, retries included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Lost spans are reported at most so often.
const REPORT_PAUSE: Duration = Duration::from_secs(60);

/// Ended spans that wait for their export. Adding to it wakes no thread until there is a full batch.
#[derive(Debug, Default)]
pub(super) struct SpanQueue {
    state: Mutex<State>,
    has_batch: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<SpanData>,
    /// Spans that found no room.
    lost: usize,
}

impl SpanQueue {
    /// Adds the spans of one call. It never waits.
    pub(super) fn push(&self, spans: Vec<SpanData>) {
        let has_batch = self.with(|state| {
            if state.waiting.len() + spans.len() > WAITING_MAX {
                state.lost += spans.len();
            } else {
                state.waiting.extend(spans);
            }
            state.waiting.len() >= BATCH_SPANS
        });
        if has_batch {
            self.has_batch.notify_one();
        }
    }

    /// Takes all spans that wait, and the number of those that found no room.
    fn take(&self) -> (Vec<SpanData>, usize) {
        self.with(|state| (mem::take(&mut state.waiting), mem::take(&mut state.lost)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // No code panics while it holds the state.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Exports spans until `last` is ready, and then those that still wait.
///
/// * `report`: logs that spans were lost: how many, and why.
pub(super) async fn run(
    queue: &SpanQueue,
    exporter: &impl SpanExporter,
    mut last: oneshot::Receiver<()>,
    report: impl Fn(usize, &str),
) {
    let (mut lost, mut reason) = (0, String::new());
    let mut reported: Option<Instant> = None;
    let mut ends = false;
    while !ends {
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = queue.has_batch.notified() => {}
            _ = &mut last => ends = true,
        }
        let (mut spans, without_room) = queue.take();
        if without_room > 0 {
            lost += without_room;
            reason = "too many spans wait".to_owned();
        }
        while !spans.is_empty() {
            let rest = spans.split_off(BATCH_SPANS.min(spans.len()));
            let count = spans.len();
            if let Err(error) = export(exporter, mem::replace(&mut spans, rest)).await {
                lost += count;
                reason = error;
            }
        }
        if lost > 0 && (ends || reported.is_none_or(|at| at.elapsed() >= REPORT_PAUSE)) {
            report(mem::take(&mut lost), &reason);
            reported = Some(Instant::now());
        }
    }
}

async fn export(exporter: &impl SpanExporter, spans: Vec<SpanData>) -> Result<(), String> {
    match timeout(EXPORT_TIMEOUT, exporter.export(spans)).await {
        Ok(exported) => exported.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the collector did not answer within {} s", EXPORT_TIMEOUT.as_secs())),
    }
}

/// Logs that spans were lost.
pub(super) fn log(lost: usize, reason: &str) {
    tracing::warn!(lost, reason, "spans did not reach the collector at traces.endpoint");
}

#[cfg(test)]
mod tests;
