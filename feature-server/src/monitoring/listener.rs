//! The listener for operators: metrics and probes over plain HTTP, on an address of their own.
//!
//! It is bounded: few connections at once, one request on each, all of it within a few seconds. So a scraper that hangs
//! holds nothing for long.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Metrics;
use super::readiness::{Readiness, is_probe};
use crate::host::{host_of, is_literal_or_loopback};

/// The most connections at once; more are closed at once.
const CONNECTIONS: usize = 32;

/// How long a connection may last, from its beginning to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes: hyper's least.
const HEAD_BYTES: usize = 8 * 1024;

/// How long the loop waits after it could not accept.
const PAUSE: Duration = Duration::from_millis(100);

const METRICS: &str = "/metrics";

/// Binds the address.
///
/// # Errors
/// Those of the operating system.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers requests for as long as the runtime runs.
///
/// `local`: whether only programs of this machine reach the listener. Then it answers under local names only.
pub async fn run(listener: TcpListener, local: bool, metrics: Arc<Metrics>, readiness: Arc<Readiness>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let (metrics, readiness) = (Arc::clone(&metrics), Arc::clone(&readiness));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let is_foreign = local && !is_for_this_machine(&request);
                let answer = if is_foreign { misdirected() } else { answer(&request, &metrics, &readiness) };
                ready(Ok::<_, Infallible>(answer))
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).keep_alive(false).max_buf_size(HEAD_BYTES);
            // An error means that the peer is gone, and a timeout that it was too slow: neither needs an answer.
            let _ = timeout(PATIENCE, http.serve_connection(TokioIo::new(socket), service)).await;
            drop(slot);
        });
    }
}

/// Whether the request names this machine by an address or by a loopback name. A page in a browser on this machine
/// could else read the answer under a name of its own (DNS rebinding).
fn is_for_this_machine(request: &Request<Incoming>) -> bool {
    let host = host_of(request.uri(), request.headers());
    host.is_ok_and(|host| host.is_none_or(|host| is_literal_or_loopback(&host.name())))
}

fn misdirected() -> Response<Full<Bytes>> {
    plain(StatusCode::MISDIRECTED_REQUEST, "this listener is on loopback: call it by its address or as localhost\n")
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    if let Some(response) = readiness.answer(request) {
        return response.map(Full::new);
    }
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    match request.uri().path() {
        METRICS if is_read => {
            let (media_type, text) = metrics.scrape(request.headers());
            let mut response = Response::new(Full::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            response
        }
        path if path == METRICS || is_probe(path) => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => plain(StatusCode::NOT_FOUND, "here are /metrics, /healthz and /readyz; calls have their own address\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
