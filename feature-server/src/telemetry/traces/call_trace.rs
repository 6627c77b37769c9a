//! The trace of one sampled call: its span, and those of its parts.
//!
//! Names and attributes are constants, numbers and words of this program: nothing that a client sent, and nothing about
//! the caller, becomes one.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator, SpanData, SpanEvents, SpanLinks};
use tonic::Code;

use super::Tracer;

/// The method of a call that this server does not have. The convention's word for it.
const OTHER: &str = "_OTHER";

/// The trace of one call. The call's span ends with [`CallTrace::end`].
#[derive(Debug)]
pub struct CallTrace {
    tracer: Arc<Tracer>,
    trace_id: TraceId,
    span_id: SpanId,
    /// The client's span.
    parent: Option<SpanId>,
    began: Instant,
    /// The same moment on the wall clock.
    began_at: SystemTime,
    method: OnceLock<Box<str>>,
    /// The parts that have ended.
    children: Mutex<Vec<SpanData>>,
}

/// The span of a part of a call. It ends when it is dropped, also in a call that is given up.
#[derive(Debug)]
pub struct ChildSpan<'t> {
    trace: &'t CallTrace,
    span: Part,
}

/// What is known of a span before its end.
#[derive(Debug)]
struct Part {
    name: &'static str,
    span_id: SpanId,
    parent: SpanId,
    began: Instant,
    attributes: Vec<KeyValue>,
}

impl CallTrace {
    pub(super) fn new(tracer: Arc<Tracer>, trace_id: TraceId, parent: Option<SpanId>, began: Instant) -> Self {
        let span_id = tracer.ids.new_span_id();
        let began_at = SystemTime::now();
        let (method, children) = (OnceLock::new(), Mutex::default());
        Self { tracer, trace_id, span_id, parent, began, began_at, method, children }
    }

    /// The trace's id, for the log.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The id of the call's span, for the log.
    pub(crate) fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Sets the method: the path of one that this server has, `None` for any other. A trace without it is of no call.
    pub(crate) fn set_method(&self, path: Option<&str>) {
        let _ = self.method.set(path.map_or(OTHER, |path| path.trim_start_matches('/')).into());
    }

    /// Begins the span of a part of the call.
    pub(crate) fn child(&self, name: &'static str) -> ChildSpan<'_> {
        ChildSpan { trace: self, span: self.part(name, self.span_id, Instant::now()) }
    }

    /// Ends the span of the call, and hands all spans over for their export.
    pub(crate) fn end(&self, code: Code) {
        let Some(method) = self.method.get() else { return };
        let name = String::from(method.clone());
        let code_name = code_name(code);
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", name.clone()),
            KeyValue::new("rpc.response.status_code", code_name),
        ];
        let mut status = Status::Unset;
        if is_failure_of_server(code) {
            attributes.push(KeyValue::new("error.type", code_name));
            status = Status::error("");
        }
        let mut spans = mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        let part = Part { name: "", span_id: self.span_id, parent: SpanId::INVALID, began: self.began, attributes };
        spans.push(SpanData {
            name: name.into(),
            span_kind: SpanKind::Server,
            parent_span_id: self.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: self.parent.is_some(),
            status,
            ..self.span_data(part, Instant::now())
        });
        self.tracer.queue.push(spans);
    }

    fn part(&self, name: &'static str, parent: SpanId, began: Instant) -> Part {
        // A group's commit may begin before the last of its calls: no part begins before its call.
        let began = began.max(self.began);
        Part { name, span_id: self.tracer.ids.new_span_id(), parent, began, attributes: Vec::new() }
    }

    fn add(&self, part: Part, ended: Instant) {
        let span = self.span_data(part, ended);
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    /// A span of a part of the call.
    fn span_data(&self, part: Part, ended: Instant) -> SpanData {
        let at = |instant: Instant| self.began_at + instant.saturating_duration_since(self.began);
        SpanData {
            span_context: SpanContext::new(
                self.trace_id,
                part.span_id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: part.parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(part.name),
            start_time: at(part.began),
            end_time: at(ended.max(part.began)),
            attributes: part.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.tracer.scope.clone(),
        }
    }
}

impl ChildSpan<'_> {
    /// Adds an attribute.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.span.attributes.push(KeyValue::new(key, value));
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.span.began
    }

    /// Adds the span of a part of this one, which has ended.
    pub(crate) fn add_child(&self, name: &'static str, (began, ended): (Instant, Instant)) {
        self.trace.add(self.trace.part(name, self.span.span_id, began), ended);
    }
}

impl Drop for ChildSpan<'_> {
    fn drop(&mut self) {
        let nothing = Part { attributes: Vec::new(), ..self.span };
        self.trace.add(mem::replace(&mut self.span, nothing), Instant::now());
    }
}

/// Whether a call with this code failed for a reason of the server, by the conventions for gRPC.
fn is_failure_of_server(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

/// The name of a code as gRPC writes it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
