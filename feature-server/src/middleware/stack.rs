//! Connections and what happens to every call on them, whatever service it is for.
//!
//! A call passes these layers, outermost first: CORS → its id, span and log line → limits and deadline → protocol
//! (gRPC-Web, Connect and REST become gRPC) → decompression → errors and ends of streams → the service. What limits and deadlines refuse is thus answered
//! in the caller's protocol, readable for a browser, and has a request id. No layer knows what the service does.

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
use crate::net::workers::Cores;
use crate::transcoding::grpc_call::decompression;
use crate::transcoding::layer;
use crate::transcoding::protocol::Protocols;

/// Serves a gRPC service on a listener until `shutdown` is ready and what was under way then has ended.
///
/// * `cores`: where connections are served.
/// * `protocols`: those that the service is called in.
/// * `tls`: how connections are encrypted; without it they are in clear text.
///
/// After `shutdown` no connection is accepted. Calls may go on for the grace period of the settings; those that are then
/// still under way end as `UNAVAILABLE`.
pub async fn serve<S>(
    listener: TcpListener,
    cores: Cores,
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
        stopped = listener::run(listener, cores, service, handshakes, settings, drain, shutdown) => stopped,
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
    let service = layer::Translation::new(service);
    let service = admission::Limits::new(service, protocols, limits, drain);
    let service = call_log::CallLogService::new(service);
    cors::Cors::new(service, allowed_origins)
}
