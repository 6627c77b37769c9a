//! What is known of a call from its beginning to its end: its id, its span, and the line that is logged when it is over.
//!
//! Neither headers nor bodies are ever logged here, so no token and no value can be.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::{Context as Task, Poll, ready};
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{Extensions, HeaderName, HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tonic::Code;
use tonic::body::Body;
use tower::Service;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::Entered;
use uuid::Uuid;

use crate::middleware::response_body::CallBody;
use crate::transcoding::protocol::GRPC_STATUS;

/// The header that carries a request's id in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a client.
const LONGEST_ID: usize = 128;

/// The place of a code that is not known yet.
const NO_CODE: i32 = -1;

/// The id of one request: the client's `x-request-id`, or one made here. It is in the extensions of every request.
#[derive(Clone)]
pub struct RequestId(Arc<Shared>);

struct Shared {
    /// Visible ASCII only.
    value: HeaderValue,
    /// The path of the request, which names the method.
    path: Option<PathAndQuery>,
    /// Who calls, once that is known.
    principal: OnceLock<Box<str>>,
    /// How the call ended. It is here because the layers that learn it lie inside those that report it, and the id is
    /// what all of them have in common.
    code: AtomicI32,
}

impl RequestId {
    /// The id of the request with these extensions; a new one when there is none.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| Self::new(made_id(), None))
    }

    /// The id as text: 1 to 128 visible ASCII characters.
    pub fn as_str(&self) -> &str {
        self.0.value.to_str().expect("an id is visible ASCII: it was checked, or made here")
    }

    /// Notes who calls, for the log.
    pub fn called_by(&self, principal: &str) {
        // A call has one caller. Should it be told twice, the first one stays.
        let _ = self.0.principal.set(principal.into());
    }

    /// Does something whose log lines are to tell which call they are about.
    ///
    /// A span costs more than the rest of a quick call, and hardly any call logs a line. So unless the log is to tell
    /// every detail, calls go without one, and what may log a line for the operator does so in here.
    pub fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        if Span::current().is_none() { self.span().in_scope(work) } else { work() }
    }

    fn span(&self) -> Span {
        tracing::error_span!(
            "call",
            method = self.0.path.as_ref().map(PathAndQuery::path),
            request_id = self.as_str(),
            scope = tracing::field::Empty,
            principal = self.0.principal.get().map(|principal| &**principal),
        )
    }

    /// Takes over the client's id when it is short and harmless enough to be logged and sent back, else makes one.
    pub fn from_request<B>(request: &Request<B>) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=LONGEST_ID).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let value = request.headers().get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(made_id);
        Self::new(value, request.uri().path_and_query().cloned())
    }

    fn new(value: HeaderValue, path: Option<PathAndQuery>) -> Self {
        Self(Arc::new(Shared { value, path, principal: OnceLock::new(), code: AtomicI32::new(NO_CODE) }))
    }

    /// Notes how the call ended.
    pub(crate) fn ended_with(&self, code: Code) {
        self.0.code.store(code as i32, Ordering::Relaxed);
    }

    fn code(&self) -> Option<Code> {
        match self.0.code.load(Ordering::Relaxed) {
            NO_CODE => None,
            code => Some(Code::from_i32(code)),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

/// An id that no other request has, of this process or another one.
fn made_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| Uuid::new_v4().as_u64_pair().1);
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let text = format!("{:016x}-{:x}", *PROCESS, REQUESTS.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(text).expect("digits are visible ASCII")
}

/// Gives each call its id and its span, and logs how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Context<S> {
    inner: S,
}

impl<S> Context<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Context<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = ContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = RequestId::from_request(&request);
        let span = if LevelFilter::current() > LevelFilter::INFO { id.span() } else { Span::none() };
        let log = CallLog { id: id.clone(), span, started: Instant::now(), answered: None };
        request.extensions_mut().insert(id);
        let inner = log.span.in_scope(|| self.inner.call(request));
        ContextFuture { inner, log: Some(log) }
    }
}

pin_project! {
    /// The answer to a call, under way.
    pub(crate) struct ContextFuture<F> {
        // Declared first, so that a call that is given up is dropped before it is logged.
        #[pin]
        inner: F,
        log: Option<CallLog>,
    }
}

impl<F> Future for ContextFuture<F>
where
    F: Future<Output = Result<Response<CallBody>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.log {
            Some(log) => log.span.in_scope(|| this.inner.poll(cx)),
            None => this.inner.poll(cx),
        };
        let Ok(mut response) = ready!(polled);
        let Some(mut log) = this.log.take() else {
            return Poll::Ready(Ok(response));
        };
        let mut value = log.id.0.value.clone();
        // No two answers have the same one, so HPACK's table has no use for it. It would be searched through and
        // displaced by them with each answer.
        value.set_sensitive(true);
        response.headers_mut().insert(REQUEST_ID, value);
        log.answered = Some(response.status());
        if let Some(code) = response.headers().get(GRPC_STATUS) {
            log.id.ended_with(Code::from_bytes(code.as_bytes()));
        }
        Poll::Ready(Ok(response.map(|body| body.with_log(log))))
    }
}

/// Logs a call when it is dropped, that is, when the call is over.
pub(crate) struct CallLog {
    id: RequestId,
    span: Span,
    started: Instant,
    /// The HTTP status, once there is an answer.
    answered: Option<StatusCode>,
}

impl CallLog {
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        let duration_us = self.started.elapsed().as_micros() as u64;
        match (self.id.code(), self.answered) {
            (Some(code @ (Code::Internal | Code::Unknown | Code::DataLoss)), _) => {
                self.id.in_span(|| tracing::warn!(?code, duration_us, "call failed inside the server"));
            }
            (Some(code), _) => tracing::debug!(?code, duration_us, "call finished"),
            (None, Some(status)) if status != StatusCode::OK => {
                tracing::debug!(http_status = status.as_u16(), duration_us, "call refused");
            }
            // Nobody said how it ended, so it was given up: the client, or the connection, is gone.
            (None, _) => tracing::debug!(code = ?Code::Cancelled, duration_us, "call given up"),
        }
    }
}
