//! Serves one connection, HTTP/1.1 or HTTP/2 over any stream of bytes, until it is closed.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::body::Body;
use tower::Service;

use super::activity::{Activity, Busy, Listening};
use super::request_drain::drained;
use crate::config::settings::Limits;
use crate::middleware::response_body::CallBody;
use crate::net::connection_age::{ConnectionAge, Step, Timeouts};
use crate::net::idle_connections::{IdleConnections, Registration};
use crate::net::inline_executor::{self, CallQueue};
use crate::net::shutdown::{Drain, Phase};
use crate::permit::ClientAddress;

/// The smallest buffer that hyper accepts for the header of an HTTP/1.1 request.
const LEAST_HTTP1_BUFFER: usize = 8 * 1024;

/// The most headers of a request. hyper's limit for HTTP/1.1 is the same.
const HEADERS: usize = 100;

/// Above this many connections without a call, the longest idle ones get a GOAWAY. Each keeps about 18 KB of buffers.
const IDLE_CONNECTIONS: usize = 300;

/// How long an HTTP/2 client may be silent before the server sends a PING, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Flow-control windows of a stream and of a connection. They bound the bytes that the server buffers before a service
/// reads them. A message larger than the stream's window takes a few round trips.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The most bytes of one answer that are buffered while the client does not read. The service is polled for more only
/// when the client has read some.
const SEND_BUFFER: usize = 64 * 1024;

/// How many streams a client may open and reset before the server has made a call of them ("rapid reset"). A client
/// that exceeds this gets a GOAWAY.
const RESETS_BEFORE_CALL: usize = 20;

/// How many stream errors a client may provoke over the life of a connection, for which the server resets the stream
/// ("MadeYouReset"). A correct client provokes some: h2 remembers the last 50 streams that it has reset, and late data
/// of older ones counts, for example when many calls are refused before their requests are complete. To replace a
/// connection with a hundred such calls costs more than to ignore their data.
const RESETS_BY_MISTAKE: usize = 256;

/// How connections are served.
pub(crate) struct Rules {
    http: auto::Builder<CallQueue>,
    timeouts: Timeouts,
    idle_connections: Arc<IdleConnections>,
}

impl Rules {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut http = auto::Builder::new(CallQueue);
        http.http1()
            .timer(TokioTimer::new())
            // hyper counts the wait for the next request as well, so this also bounds the idle time of an HTTP/1.1
            // connection.
            .header_read_timeout(Duration::from_millis(limits.receive_timeout_ms))
            .max_buf_size(LEAST_HTTP1_BUFFER.max(limits.header_bytes as usize));
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            // h2 also bounds the number of frames of a header block. A header block that never ends blocks everything
            // else on the connection, keepalive pings included, so the keepalive timeout closes it.
            .max_header_list_size(limits.header_bytes)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESETS_BEFORE_CALL)
            .max_local_error_reset_streams(RESETS_BY_MISTAKE)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        Self { http, timeouts: Timeouts::new(limits), idle_connections: IdleConnections::new(IDLE_CONNECTIONS) }
    }
}

/// A connection that has received its first byte and is registered.
pub(crate) struct OpenConnection<Io> {
    io: Listening<Io>,
    activity: Arc<Activity>,
    _registration: Registration,
}

/// Waits for the first byte of a connection and for a free registration; `None` if the connection is to be closed.
/// Until then, a connection costs little more than its socket.
pub(crate) async fn hear<Io>(io: Io, rules: &Rules, drain: Drain) -> Option<OpenConnection<Io>>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let activity = Activity::new();
    let mut io = activity.listen(io);
    tokio::select! {
        heard = timeout(rules.timeouts.receive, io.hear()) => heard.ok()?.ok()?,
        () = drain.reached(Phase::Draining) => return None,
    }
    let Some(_registration) = rules.idle_connections.register(activity.clone()).await else {
        tracing::debug!("a connection was closed, because others don't leave in time");
        return None;
    };
    Some(OpenConnection { io, activity, _registration })
}

/// Serves a connection until it is closed.
///
/// `address`: the client's address.
pub(crate) async fn serve<Io, S>(heard: OpenConnection<Io>, address: IpAddr, service: S, rules: &Rules, drain: Drain)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let OpenConnection { io, activity, _registration } = heard;
    let service = RefCell::new(service);
    let calls = Calls { service, address: ClientAddress(address), activity: activity.clone() };
    let mut connection = pin!(rules.http.serve_connection(TokioIo::new(io), calls));
    let mut draining = pin!(drain.reached(Phase::Draining));
    let mut connection_age = ConnectionAge::new(&rules.timeouts);
    let mut check = pin!(sleep_until(Instant::now()));
    loop {
        tokio::select! {
            done = poll_fn(|cx| { activity.begin_turn(); inline_executor::poll(connection.as_mut(), cx) }) => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = draining.as_mut(), if !connection_age.goaway_sent() => {
                connection.as_mut().graceful_shutdown();
                connection_age.drain();
            }
            () = activity.goaway_requested() => {}
            () = check.as_mut() => {}
        }
        loop {
            match connection_age.step(&activity) {
                Step::Wait(until) => break check.as_mut().reset(until),
                Step::Goaway => connection.as_mut().graceful_shutdown(),
                Step::Close => return,
            }
        }
    }
}

/// The calls of one connection, as hyper makes them.
struct Calls<S> {
    /// Not cloned for each call, because a clone costs more than the borrow; one connection makes one call after the
    /// other.
    service: RefCell<S>,
    address: ClientAddress,
    activity: Arc<Activity>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Call<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Call<S::Future> {
        let busy = Some(self.activity.begin_call());
        if request.headers().len() > HEADERS {
            let refused = Some(bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            return Call { inner: None, refused, is_head: false, busy };
        }
        if request.version() == Version::HTTP_11
            && let Some(status) = bad_coding(request.headers())
        {
            let mut response = bare(status);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            drop(drained(request));
            return Call { inner: None, refused: Some(response), is_head: false, busy };
        }
        let is_head = request.method() == Method::HEAD;
        request.extensions_mut().insert(self.address);
        let mut service = self.service.borrow_mut();
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready(), "the layers are always ready: they refuse what there is no room for");
        Call { inner: Some(service.call(drained(request))), refused: None, is_head, busy }
    }
}

pin_project! {
    /// The future of an answer.
    struct Call<F> {
        // `None` if the request was refused here.
        #[pin]
        inner: Option<F>,
        refused: Option<Response<CallBody>>,
        is_head: bool,
        busy: Option<Busy>,
    }
}

impl<F> Future for Call<F>
where
    F: Future<Output = Result<Response<CallBody>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.refused.take() {
            Some(response) => response,
            None => {
                let inner = this.inner.as_pin_mut().expect("a future is not polled after it was ready");
                let Ok(response) = ready!(inner.poll(cx));
                response
            }
        };
        let response = if *this.is_head { without_content(response) } else { response };
        let busy = this.busy.take().expect("a future is not polled after it was ready");
        busy.answered(!response.body().is_refused());
        Poll::Ready(Ok(response.map(|body| body.with_busy(busy))))
    }
}

/// The status that refuses a bad `Transfer-Encoding`: the only allowed transfer coding is a single `chunked`.
///
/// hyper looks at the last coding only. A proxy in front may look at all of them and find another end of the body, and
/// a client could hide a second request behind it (request smuggling, RFC 9112, section 11.2).
fn bad_coding(headers: &HeaderMap) -> Option<StatusCode> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let first = lines.next()?;
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if is_chunked(first.as_bytes()) && lines.next().is_none() {
        return None;
    }
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let known = codings.all(|coding| is_chunked(coding) || coding.trim_ascii().is_empty());
    Some(if known { StatusCode::BAD_REQUEST } else { StatusCode::NOT_IMPLEMENTED })
}

/// An answer without content, like hyper's own answers to requests that it cannot read.
fn bare(status: StatusCode) -> Response<CallBody> {
    let mut response = Response::<CallBody>::default();
    *response.status_mut() = status;
    response
}

/// The answer to HEAD: the answer to GET without its content. hyper removes the content over HTTP/1.1 only.
fn without_content(response: Response<CallBody>) -> Response<CallBody> {
    let length = response.body().size_hint().exact();
    let mut response = response.map(CallBody::without_content);
    if let Some(length) = length.filter(|length| *length > 0) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response
}
