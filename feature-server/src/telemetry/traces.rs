//! Traces by OpenTelemetry: decides which calls are traced, and sends their spans to a collector. Off unless
//! `traces.endpoint` names one.
//!
//! The SDK's tracer is not used: here the decision comes first, so a call that is not sampled has no span. Nor is its
//! batching, which has a thread of its own, blocks at its end and does not report how many spans were lost.

mod call_trace;
mod collector;
mod export;
mod sampling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanExporter as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::call_trace::{CallTrace, ChildSpan};
pub use self::collector::TracesError;
use self::export::SpanQueue;
use self::sampling::{Parent, Sampling};
use crate::config::settings::Traces;

/// The version of this program, for the resource and the scope of all spans.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Begins the traces of sampled calls.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
    queue: SpanQueue,
}

/// The task that sends spans to the collector.
pub struct TraceExport {
    task: JoinHandle<()>,
    last: oneshot::Sender<()>,
}

impl Tracer {
    /// A tracer, and the task that exports its spans on the current tokio runtime. `None` if traces are off. The task
    /// connects when it has spans.
    ///
    /// # Errors
    /// [`TracesError`] when the endpoint cannot be used, or a file that the settings name.
    pub fn start(settings: &Traces) -> Result<Option<(Arc<Self>, TraceExport)>, TracesError> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let mut exporter = collector::exporter(settings)?;
        let version = KeyValue::new("service.version", VERSION);
        let resource = Resource::builder().with_service_name(settings.service_name.clone()).with_attribute(version);
        exporter.set_resource(&resource.build());
        let tracer = Arc::new(Self::new(settings));
        let (last, stopped) = oneshot::channel();
        let of_task = Arc::clone(&tracer);
        let task = tokio::spawn(async move { export::run(&of_task.queue, &exporter, stopped, export::log).await });
        Ok(Some((tracer, TraceExport { task, last })))
    }

    fn new(settings: &Traces) -> Self {
        Self {
            sampling: Sampling::new(settings.sampler, settings.sampler_ratio),
            ids: RandomIdGenerator::default(),
            scope: InstrumentationScope::builder("feature-server").with_version(VERSION).build(),
            queue: SpanQueue::default(),
        }
    }

    /// The trace of a call with these headers, if it is sampled.
    pub(crate) fn begin(self: &Arc<Self>, headers: &HeaderMap, began: Instant) -> Option<CallTrace> {
        let parent = Parent::of(headers);
        let trace_id = parent.as_ref().map_or_else(|| self.ids.new_trace_id(), |parent| parent.trace_id);
        let is_sampled = self.sampling.samples(parent.as_ref(), trace_id);
        is_sampled.then(|| CallTrace::new(Arc::clone(self), trace_id, parent.map(|parent| parent.span_id), began))
    }
}

impl TraceExport {
    /// Exports the spans that wait, for at most `patience`.
    pub async fn finish(self, patience: Duration) {
        // An error means that the task has ended.
        let _ = self.last.send(());
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}
