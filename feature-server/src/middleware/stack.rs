//! The layers around every call, in one list, and the server that runs them.
//!
//! A call passes these layers, outermost first: CORS → id, span and log line → limits and deadline → protocol
//! (gRPC-Web, Connect and REST become gRPC) → decompression → errors and ends of streams → the service. So a refusal by
//! a limit or a deadline is in the caller's protocol, readable for a browser, and has a request id.

use std::convert::Infallible;
use std::future::{Future, pending};

use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tower::Service;

use crate::config::settings::{Limits, Settings};

use crate::middleware::{admission, call_log, cors, error_details, response_body};
use crate::net::listener::{self, Stopped};
use crate::net::shutdown;
use crate::net::tls::Tls;
use crate::net::workers::Workers;
use crate::transcoding::protocol::Protocols;
use crate::transcoding::{decompression, transcode_layer};

/// Serves a gRPC service on a listener until `shutdown` is ready and the calls that run by then have ended.
///
/// * `workers`: the threads that serve connections.
/// * `protocols`: how clients may call the service.
/// * `tls`: encrypts connections; `None` means clear text.
///
/// After `shutdown` no connection is accepted. Running calls may continue for the grace period of the settings; then
/// they end with `UNAVAILABLE`.
pub async fn serve<S>(
    listener: TcpListener,
    workers: Workers,
    service: S,
    protocols: Protocols,
    tls: Option<Tls>,
    settings: &Settings,
    shutdown: impl Future<Output = ()>,
) -> Stopped
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let drain = shutdown::Drain::new();
    let service = layers(service, protocols, &settings.limits, &settings.cors.allowed_origins, drain.clone());
    let handshakes = tls.as_ref().map(Tls::handshakes);
    let keep_current = async {
        match tls {
            Some(tls) => tls.keep_current().await,
            None => pending().await,
        }
    };
    tokio::select! {
        stopped = listener::run(listener, workers, service, handshakes, settings, drain, shutdown) => stopped,
        never = keep_current => match never {},
    }
}

/// Puts the layers around a service.
pub(crate) fn layers<S>(
    service: S,
    protocols: Protocols,
    limits: &Limits,
    allowed_origins: &[String],
    drain: shutdown::Drain,
) -> impl Service<Request<Body>, Response = Response<response_body::CallBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<S>
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let service = error_details::Errors::new(service, drain.clone());
    let service = decompression::Decompression::new(service);
    let service = transcode_layer::Translation::new(service);
    let service = admission::Limits::new(service, protocols, limits, drain);
    let service = call_log::CallLogService::new(service);
    cors::Cors::new(service, allowed_origins)
}
