//! The context of a call: its request id, its client, its caller for the log, its status code once it has one, and its
//! trace if it is sampled.

pub mod deadline;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use feature_auth::CertificateNames;
use grpc_transcoding::Protocol;
use http::{Extensions, HeaderName, HeaderValue, Request};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::Span;
use uuid::Uuid;

use crate::monitoring::call_counters::CallCounters;
use crate::telemetry::traces::CallTrace;

/// The header that carries a request's id in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a client.
const REQUEST_ID_MAX_CHARS: usize = 128;

/// Stands for a code that is not set yet.
const NO_CODE: i32 = -1;

/// Stands for a method that is not set yet.
const NO_METHOD: usize = usize::MAX;

/// The context of one call. The connection puts it into the extensions of every request.
#[derive(Clone)]
pub struct CallContext(Arc<Inner>);

struct Inner {
    /// Visible ASCII only.
    request_id: HeaderValue,
    /// The path of the request, which names the method. A copy: the original lies in one buffer with all headers, which
    /// would live as long as the call.
    path: Box<str>,
    client: Client,
    /// The subject of the caller, once authenticated.
    principal: OnceLock<Box<str>>,
    /// The status of the call, once it has one. Inner layers set it, and the log, an outer layer, reads it.
    code: AtomicI32,
    /// The counters of the core that serves the connection.
    counters: Arc<CallCounters>,
    /// The number of the method, once it is recognised.
    method: AtomicUsize,
    /// Whether the service ends the call when its connection leaves.
    ends_with_connection: AtomicBool,
    /// The trace of a sampled call.
    trace: OnceLock<Box<CallTrace>>,
}

/// The client of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// The names in its verified certificate, if it has shown one.
    pub certificate: Option<Arc<CertificateNames>>,
    /// Cancelled when the connection has sent its GOAWAY: calls that last should end.
    pub leaving: CancellationToken,
}

impl Default for Client {
    /// A client without a connection, for tests.
    fn default() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), certificate: None, leaving: CancellationToken::new() }
    }
}

impl CallContext {
    /// The context of the request with these extensions.
    ///
    /// # Panics
    /// When there is none. That is a defect: the connection gives each request its context.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().expect("the connection gives each request its context")
    }

    /// A context for a request of this client: with its `x-request-id` if that is short and visible ASCII, else with a
    /// new id.
    ///
    /// `counters`: of the core that serves the connection.
    pub fn from_request<B>(request: &Request<B>, client: Client, counters: Arc<CallCounters>) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=REQUEST_ID_MAX_CHARS).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let request_id = request.headers().get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(new_request_id);
        let path = request.uri().path().into();
        let (principal, code, trace) = (OnceLock::new(), AtomicI32::new(NO_CODE), OnceLock::new());
        let method = AtomicUsize::new(NO_METHOD);
        let ends_with_connection = AtomicBool::new(false);
        let inner = Inner { request_id, path, client, principal, code, counters, method, ends_with_connection, trace };
        Self(Arc::new(inner))
    }

    /// The request's id: 1 to 128 visible ASCII characters.
    pub fn request_id(&self) -> &str {
        self.0.request_id.to_str().expect("an id is visible ASCII: it was checked, or made here")
    }

    /// The request's id as the value of its header.
    pub(crate) fn request_id_header(&self) -> HeaderValue {
        self.0.request_id.clone()
    }

    /// The client that has sent the request.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Sets the caller's subject, for the log. Only the first one counts.
    pub fn set_principal(&self, principal: &str) {
        let _ = self.0.principal.set(principal.into());
    }

    /// Sets the status that the call ends with.
    pub fn set_code(&self, code: Code) {
        self.0.code.store(code as i32, Ordering::Relaxed);
    }

    /// The status that the call ends with, if it is set.
    pub(crate) fn code(&self) -> Option<Code> {
        match self.0.code.load(Ordering::Relaxed) {
            NO_CODE => None,
            code => Some(Code::from_i32(code)),
        }
    }

    /// Says that the service ends the call when its connection leaves ([`Client::leaving`]), so nothing else has to.
    pub fn set_ends_with_connection(&self) {
        self.0.ends_with_connection.store(true, Ordering::Relaxed);
    }

    /// Whether the service ends the call when its connection leaves.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.0.ends_with_connection.load(Ordering::Relaxed)
    }

    /// Counts the start of the call.
    ///
    /// `method`: its number; `None` for an unknown method.
    pub(crate) fn started(&self, method: Option<usize>, protocol: &Protocol) {
        let method = method.unwrap_or_else(|| self.0.counters.unknown_method());
        self.0.method.store(method, Ordering::Relaxed);
        self.0.counters.started(method, protocol);
    }

    /// Counts the end of the request, of a call with its code: CANCELLED if it has none. Returns whether it is a call.
    pub(crate) fn ended(&self, took: Duration) -> bool {
        let method = self.0.method.load(Ordering::Relaxed);
        match method {
            NO_METHOD => self.0.counters.other_request(),
            method => self.0.counters.handled(method, self.code().unwrap_or(Code::Cancelled), took),
        }
        method != NO_METHOD
    }

    /// Counts messages that the service has received.
    pub fn received(&self, messages: u64) {
        self.0.counters.received(self.0.method.load(Ordering::Relaxed), messages);
    }

    /// Counts messages that the service has sent.
    pub fn sent(&self, messages: u64) {
        self.0.counters.sent(self.0.method.load(Ordering::Relaxed), messages);
    }

    /// The counters of the core that serves the connection.
    pub fn counters(&self) -> &CallCounters {
        &self.0.counters
    }

    /// Sets the trace of a sampled call.
    pub(crate) fn set_trace(&self, trace: CallTrace) {
        let _ = self.0.trace.set(Box::new(trace));
    }

    /// The trace of the call, if it is sampled.
    pub(crate) fn trace(&self) -> Option<&CallTrace> {
        self.0.trace.get().map(|trace| &**trace)
    }

    /// Runs `work` in the span of the call, so that its log lines name the call.
    ///
    /// A span costs more than the rest of a quick call, and few calls log a line. So calls have no span unless the log
    /// level is `debug`; code that may log a line for the operator runs in here.
    pub fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        if Span::current().is_none() { self.span().in_scope(work) } else { work() }
    }

    /// A new span of the call.
    pub(crate) fn span(&self) -> Span {
        tracing::error_span!(
            "call",
            method = &*self.0.path,
            request_id = self.request_id(),
            scope = tracing::field::Empty,
            principal = self.0.principal.get().map(|principal| &**principal),
            trace_id = self.trace().map(|trace| tracing::field::display(trace.trace_id())),
            span_id = self.trace().map(|trace| tracing::field::display(trace.span_id())),
        )
    }

    /// The context of a call for unit tests.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::from_request(&Request::new(()), Client::default(), Arc::new(CallCounters::new(0)))
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallContext({})", self.request_id())
    }
}

/// An id that no other request has, of this process or another one.
fn new_request_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| Uuid::new_v4().as_u64_pair().1);
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let text = format!("{:016x}-{:x}", *PROCESS, REQUESTS.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(text).expect("digits are visible ASCII")
}
