//! Serves one connection, HTTP/1.1 or HTTP/2 over any stream of bytes, until it is closed.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::either::Either;
use tonic::body::Body;
use tower::Service;

use super::activity::{Activity, Busy, Listening};
use super::request_drain::drained;
use crate::call_context::{CallContext, Client};
use crate::config::settings::Limits;
use crate::middleware::response_body::CallBody;
use crate::monitoring::call_counters::CallCounters;
use crate::net::connection_age::ConnectionAge;
use crate::net::idle_connections::IdleConnections;
use crate::net::inline_executor::{self, CallQueue};
use crate::net::shutdown::{Drain, Phase};
use crate::net::tls::Tls;

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

/// Serves connections. All of them share it, so that an idle one costs little.
pub(crate) struct ConnectionServer {
    http: auto::Builder<CallQueue>,
    limits: Limits,
    idle_connections: Arc<IdleConnections>,
    tls: Option<Arc<Tls>>,
    drain: Drain,
}

impl ConnectionServer {
    pub(crate) fn new(limits: &Limits, tls: Option<Arc<Tls>>, drain: Drain) -> Self {
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
        Self { http, limits: limits.clone(), idle_connections: IdleConnections::new(IDLE_CONNECTIONS), tls, drain }
    }

    /// Serves a connection until it is closed. It begins with a handshake if TLS is on.
    ///
    /// `counters`: of the core that serves it.
    pub(crate) async fn serve<Io, S>(&self, io: Io, address: SocketAddr, service: S, counters: Arc<CallCounters>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        let opened = match &self.tls {
            None => Some((Either::Left(io), None)),
            Some(tls) => Box::pin(tls.accept(io, address, self.drain.clone())).await,
        };
        let Some((io, certificate)) = opened else { return };
        let client = Client { address: address.ip(), certificate };
        let activity = Activity::new();
        let mut io = activity.listen(io);
        let heard = tokio::select! {
            heard = timeout(Duration::from_millis(self.limits.receive_timeout_ms), io.hear()) => heard,
            () = self.drain.clone().reached(Phase::Draining) => return,
        };
        let Ok(Ok(())) = heard else { return };
        let Some(_registration) = self.idle_connections.register(activity.clone()).await else {
            tracing::debug!("a connection was closed, because others don't leave in time");
            return;
        };
        // Boxed, so that the task is small until the first byte arrives.
        Box::pin(self.serve_http(io, activity, (client, counters), service)).await;
    }

    /// Serves a connection that has received its first byte.
    async fn serve_http<Io, S>(
        &self,
        io: Listening<Io>,
        activity: Arc<Activity>,
        (client, counters): (Client, Arc<CallCounters>),
        service: S,
    ) where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        // Not cloned for each call, because a clone costs more than the borrow; one connection makes one call after the
        // other.
        let service = RefCell::new(service);
        let of_calls = activity.clone();
        let calls = service_fn(move |request| {
            let busy = of_calls.begin_call();
            let mut request = match acceptable(request) {
                Ok(request) => request,
                Err(refusal) => return Either::Left(ready(Ok(answered(*refusal, busy)))),
            };
            let is_head = request.method() == Method::HEAD;
            let context = CallContext::from_request(&request, client.clone(), Arc::clone(&counters));
            request.extensions_mut().insert(context);
            let mut service = service.borrow_mut();
            let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "the layers are always ready: they refuse what there is no room for");
            Either::Right(service.call(drained(request)).map(move |Ok(response)| {
                let response = if is_head { without_content(response) } else { response };
                Ok::<_, Infallible>(answered(response, busy))
            }))
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(io), calls));
        let mut draining = pin!(self.drain.clone().reached(Phase::Draining));
        let mut connection_age = ConnectionAge::new(&self.limits);
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
                () = activity.goaway_requested.notified() => {}
                () = check.as_mut() => {}
            }
            let send_goaway = &mut || connection.as_mut().graceful_shutdown();
            let Some(next) = connection_age.step(&activity, send_goaway) else { return };
            check.as_mut().reset(next);
        }
    }
}

/// The request, unless it has too many headers or a bad `Transfer-Encoding`.
fn acceptable(request: Request<Incoming>) -> Result<Request<Incoming>, Box<Response<CallBody>>> {
    if request.headers().len() > HEADERS {
        return Err(bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into());
    }
    if request.version() == Version::HTTP_11
        && let Some(status) = bad_coding(request.headers())
    {
        drop(drained(request));
        let mut response = bare(status);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Err(response.into());
    }
    Ok(request)
}

/// The answer of a call, which keeps the connection busy until the client has read it.
fn answered(response: Response<CallBody>, busy: Busy) -> Response<CallBody> {
    busy.answered(!response.body().is_refused());
    response.map(|body| body.with_busy(busy))
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
