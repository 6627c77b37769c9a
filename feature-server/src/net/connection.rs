//! Serves one connection, HTTP/1.1 or HTTP/2 over any stream of bytes, until it is closed. What a service leaves of a
//! request's body is read and dropped here.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::activity::{Activity, Busy, Listening};
use crate::call_context::{CallContext, Client};
use crate::config::settings::Limits;
use crate::middleware::response_body::CallBody;
use crate::monitoring::call_counters::CallCounters;
use crate::net::connection_age::ConnectionAge;
use crate::net::http_limits::{self, HEADERS};
use crate::net::idle_connections::IdleConnections;
use crate::net::inline_executor::{self, CallQueue};
use crate::net::shutdown::{Drain, Phase};
use crate::net::tls::Tls;

/// Above this many connections without a call, the longest idle ones get a GOAWAY. Each keeps about 18 KB of buffers.
const IDLE_CONNECTIONS: usize = 300;

/// The most bytes of one body that are discarded: the largest message that is allowed by default.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// How long one body is discarded at most.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bodies are discarded at the same time. Beyond that, streams are reset and connections closed, which costs
/// no memory.
static DISCARDS: Semaphore = Semaphore::const_new(100);

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
        let http = http_limits::builder(limits);
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
        // Made now and boxed, so that a connection is small until its first byte arrives.
        let leaving = CancellationToken::new();
        let client = Client { address: address.ip(), certificate, leaving: leaving.clone() };
        Box::pin(self.serve_http(io, (activity, leaving), (client, counters), service)).await;
    }

    /// Serves a connection that has received its first byte.
    async fn serve_http<Io, S>(
        &self,
        io: Listening<Io>,
        (activity, leaving): (Arc<Activity>, CancellationToken),
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
            Either::Right(service.call(discard_on_drop(request)).map(move |Ok(response)| {
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
                    leaving.cancel();
                }
                () = activity.goaway_requested.notified() => {}
                () = check.as_mut() => {}
            }
            let send_goaway = &mut || {
                connection.as_mut().graceful_shutdown();
                leaving.cancel();
            };
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
        drop(discard_on_drop(request));
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

/// A request whose body is discarded to its end when the service drops it.
///
/// A service may answer before the body has arrived: a caller without the right is refused before the body is read.
/// Dropping the body resets the stream over HTTP/2, which some clients report instead of the answer (curl 7.88 does),
/// and closes the connection over HTTP/1.1. So the rest is read and dropped after the answer, within bounds.
fn discard_on_drop(request: Request<Incoming>) -> Request<Body> {
    // A client that expects `100 Continue` sends its body only if the service reads it.
    let nothing_comes = request.body().is_end_stream() || request.headers().contains_key(EXPECT);
    request.map(|body| if nothing_comes { Body::new(body) } else { Body::new(Discarded(Some(body))) })
}

/// A body whose rest is discarded when it is dropped; present until then.
struct Discarded(Option<Incoming>);

impl http_body::Body for Discarded {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint())
    }
}

impl Drop for Discarded {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime), Ok(permit)) = (rest, Handle::try_current(), DISCARDS.try_acquire()) {
            runtime.spawn(async move {
                let mut rest = Limited::new(rest, DISCARDED_BYTES_MAX);
                let discarded = async { while let Some(Ok(_)) = rest.frame().await {} };
                let _ = timeout(DISCARD_TIMEOUT, discarded).await;
                drop(permit);
            });
        }
    }
}
