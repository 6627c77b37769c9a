//! The exporter's task with a clock that the tests turn: batches, bounds, and how often losses are reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

use super::*;

/// A collector that counts the spans of each batch, or is away.
#[derive(Debug, Default, Clone)]
struct Collector {
    is_away: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(OTelSdkError::InternalFailure("away".to_owned()));
        }
        self.batches.lock().unwrap().push(batch.len());
        Ok(())
    }
}

/// A task on its queue and its collector, with what it reports.
struct Bench {
    queue: Arc<SpanQueue>,
    collector: Collector,
    reports: Arc<Mutex<Vec<(usize, String)>>>,
    last: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(is_away: bool) -> Self {
        let collector = Collector::default();
        collector.is_away.store(is_away, Ordering::Relaxed);
        let (queue, reports) = (Arc::new(SpanQueue::default()), Arc::<Mutex<Vec<(usize, String)>>>::default());
        let (last, stopped) = oneshot::channel();
        let (of_task, to, noted) = (Arc::clone(&queue), collector.clone(), Arc::clone(&reports));
        let report = move |lost, reason: &str| noted.lock().unwrap().push((lost, reason.to_owned()));
        let task = tokio::spawn(async move { run(&of_task, &to, stopped, report).await });
        Self { queue, collector, reports, last, task }
    }

    fn batches(&self) -> Vec<usize> {
        self.collector.batches.lock().unwrap().clone()
    }

    fn reports(&self) -> Vec<(usize, String)> {
        self.reports.lock().unwrap().clone()
    }
}

fn spans(count: usize) -> Vec<SpanData> {
    let context = SpanContext::new(1.into(), 1.into(), TraceFlags::SAMPLED, false, TraceState::default());
    let span = SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "part".into(),
        start_time: std::time::UNIX_EPOCH,
        end_time: std::time::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    };
    assert_ne!(span.span_context.trace_id(), TraceId::INVALID);
    vec![span; count]
}

#[tokio::test(start_paused = true)]
async fn spans_wait_for_a_batch_or_for_a_pause() {
    let bench = Bench::start(false);
    bench.queue.push(spans(3));
    sleep(PAUSE / 2).await;
    assert_eq!(bench.batches(), [0; 0]);
    sleep(PAUSE).await;
    assert_eq!(bench.batches(), [3]);
    bench.queue.push(spans(BATCH_SPANS + 1));
    sleep(PAUSE / 10).await;
    assert_eq!(bench.batches(), [3, BATCH_SPANS, 1], "a full batch does not wait");
    bench.queue.push(spans(2));
    bench.last.send(()).unwrap();
    bench.task.await.unwrap();
    assert_eq!(bench.collector.batches.lock().unwrap().last(), Some(&2), "the end exports what waits");
    assert!(bench.reports.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_costs_one_line_a_minute() {
    let bench = Bench::start(true);
    sleep(PAUSE / 2).await;
    let seconds = 300;
    for _ in 0..seconds {
        bench.queue.push(spans(2));
        sleep(PAUSE).await;
    }
    let reports = bench.reports();
    assert_eq!(reports.len(), 5, "{reports:?}");
    assert!(reports.iter().all(|(_, reason)| reason.contains("away")), "{reports:?}");
    assert_eq!(reports[..2].iter().map(|(lost, _)| lost).collect::<Vec<_>>(), [&2, &120], "each span is counted");
    bench.collector.is_away.store(false, Ordering::Relaxed);
    bench.queue.push(spans(7));
    sleep(PAUSE * 2).await;
    assert_eq!(bench.batches(), [7], "spans arrive again when it is back");
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_room_loses_whole_calls_and_counts_them() {
    let bench = Bench::start(false);
    for _ in 0..WAITING_MAX / 4 + 10 {
        bench.queue.push(spans(4));
    }
    sleep(PAUSE * 2).await;
    assert_eq!(bench.batches().iter().sum::<usize>(), WAITING_MAX);
    assert_eq!(bench.reports(), [(40, "too many spans wait".to_owned())]);
}
