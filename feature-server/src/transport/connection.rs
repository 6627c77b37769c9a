//! One connection: HTTP/1.1 or HTTP/2 over any stream of bytes, and when it is closed.
//!
//! What a call is about is not known here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tower::util::Oneshot;
use tower::{Service, ServiceExt};

use super::activity::{Activity, Heard};
use super::body::CallBody;
use super::drain::{Drain, Phase};
use super::leftover::{self, Leftover};
use crate::config::settings::Limits;

pub(super) use super::activity::Busy;

/// hyper needs at least this much room for the header of an HTTP/1.1 request.
const LEAST_HTTP1_BUFFER: usize = 8 * 1024;

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection without calls may stay after it was told to close.
const LINGER: Duration = Duration::from_secs(5);

/// How connections are served.
pub(super) struct Rules {
    http: auto::Builder<TokioExecutor>,
    first_byte: Duration,
    header: Duration,
    idle: Duration,
}

impl Rules {
    pub(super) fn new(limits: &Limits) -> Self {
        let header = Duration::from_millis(limits.header_timeout_ms);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            // hyper counts the wait for the next request as well, so this bounds the idle time of HTTP/1.1.
            .header_read_timeout(header)
            .max_buf_size(LEAST_HTTP1_BUFFER.max(limits.header_bytes as usize));
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            .max_header_list_size(limits.header_bytes)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        Self {
            http,
            first_byte: Duration::from_millis(limits.first_byte_timeout_ms),
            header,
            idle: Duration::from_millis(limits.idle_timeout_ms),
        }
    }

    /// When a connection is to be closed if nothing happens on it; none as long as calls are under way.
    ///
    /// `told`: when it was told to close.
    fn closes_at(&self, activity: &Activity, told: Option<Instant>) -> Option<Instant> {
        let quiet_since = activity.quiet_since()?;
        Some(match (activity.heard(), told) {
            (Heard::Nothing, _) => quiet_since + self.first_byte,
            (Heard::HalfPreface, _) => quiet_since + self.first_byte + self.header,
            (Heard::Enough, None) => quiet_since + self.idle,
            (Heard::Enough, Some(told)) => quiet_since.max(told) + LINGER,
        })
    }
}

/// Serves a connection until it is closed.
pub(super) async fn serve<Io, S>(io: Io, service: S, rules: Arc<Rules>, drain: Drain)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let activity = Activity::new();
    let io = TokioIo::new(activity.listen(io));
    let calls = Calls { service, activity: activity.clone() };
    let mut connection = pin!(rules.http.serve_connection(io, calls));
    let mut draining = pin!(drain.reached(Phase::Draining));
    let mut check = pin!(sleep_until(Instant::now() + rules.first_byte));
    let mut told = None;
    loop {
        let now = tokio::select! {
            done = connection.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = draining.as_mut(), if told.is_none() => {
                connection.as_mut().graceful_shutdown();
                let now = Instant::now();
                told = Some(now);
                now
            }
            () = check.as_mut() => Instant::now(),
        };
        match rules.closes_at(&activity, told) {
            None => check.as_mut().reset(now + told.map_or(rules.idle, |_| LINGER)),
            Some(at) if at > now => check.as_mut().reset(at),
            Some(_) if told.is_none() && activity.heard() == Heard::Enough => {
                connection.as_mut().graceful_shutdown();
                told = Some(now);
                check.as_mut().reset(now + LINGER);
            }
            Some(_) => return,
        }
    }
}

/// The calls of one connection, as hyper makes them.
struct Calls<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible> + Clone,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Call<S>;

    fn call(&self, request: Request<Incoming>) -> Call<S> {
        let busy = Some(self.activity.begin_call());
        let (request, leftover) = leftover::split(request);
        Call { inner: self.service.clone().oneshot(request), leftover, answered: None, busy }
    }
}

pin_project! {
    /// The answer to a call, under way.
    struct Call<S: Service<Request<Body>>> {
        #[pin]
        inner: Oneshot<S, Request<Body>>,
        leftover: Option<Leftover>,
        // The answer, while it waits for what is left of the request.
        answered: Option<Response<CallBody>>,
        busy: Option<Busy>,
    }
}

impl<S> Future for Call<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.answered.take() {
            Some(response) => response,
            None => {
                let Ok(response) = ready!(this.inner.poll(cx));
                response
            }
        };
        if let Some(leftover) = this.leftover
            && leftover.poll_dropped(cx).is_pending()
        {
            *this.answered = Some(response);
            return Poll::Pending;
        }
        let busy = this.busy.take().expect("a future is not polled after it was ready");
        Poll::Ready(Ok(response.map(|body| body.with_busy(busy))))
    }
}
