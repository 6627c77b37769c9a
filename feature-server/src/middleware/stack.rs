//! The stack of layers around the service, and the server that runs it on a listener.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use grpc_transcoding::Transcode;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tower::Service;

use crate::config::settings::{Limits, Settings};
use crate::middleware::auth::AuthLayer;
use crate::middleware::call_host::ServerHost;
use crate::middleware::recognise::{Recogniser, Recognition};
use crate::middleware::{admission, browsers, call_log, error_details, response_body};
use crate::net::listener;
use crate::net::shutdown;
use crate::net::tls::Tls;
use crate::net::workers::Workers;
use crate::telemetry::traces::Tracer;

/// Serves a gRPC service on a listener until `shutdown` is ready and the calls that run by then have ended.
///
/// * `workers`: the threads that serve connections.
/// * `recogniser`: recognises the calls of the service.
/// * `tracer`: begins the traces of sampled calls; `None` if traces are off.
/// * `tls`: encrypts connections; `None` means clear text.
///
/// After `shutdown` no connection is accepted. Running calls may continue for the grace period of the settings; then
/// they end with `UNAVAILABLE`. Returns how many connections were cut off, because they did not end in time.
pub async fn serve<S>(
    listener: TcpListener,
    workers: Workers,
    service: S,
    (recogniser, tracer): (Recogniser, Option<Arc<Tracer>>),
    tls: Option<Arc<Tls>>,
    settings: &Settings,
    shutdown: impl Future<Output = ()>,
) -> usize
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let drain = shutdown::Drain::new();
    let service = layers(service, recogniser, &settings.limits, &settings.cors.allowed_origins, drain.clone(), tracer);
    listener::run(listener, workers, service, tls, settings, drain, shutdown).await
}

/// Puts the layer around the router that gives each call its caller.
pub fn authorised<S>(
    router: S,
    identity: &AuthLayer,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + use<S> + 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Nothing of a call is decoded before its credential and its method's rule let it in. The layer counts calls by
    // identity, and only calls that may be made.
    identity.layer(router)
}

/// Puts the layers around a service that every request passes. The first line is the innermost layer.
pub(crate) fn layers<S>(
    service: S,
    recogniser: Recogniser,
    limits: &Limits,
    allowed_origins: &[String],
    drain: shutdown::Drain,
    tracer: Option<Arc<Tracer>>,
) -> impl Service<Request<Body>, Response = Response<response_body::CallBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<S>
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Next to the service, so that the layers around it see a complete status, also after a panic.
    let service = error_details::Errors::new(service, drain.clone());
    // Outside of it there are all protocols, inside only gRPC with uncompressed messages.
    let service = Transcode::<_, ServerHost>::new(service);
    // Its refusals are in the protocol of the call. Transcoding counts its memory with the permit of the call.
    let service = admission::AdmissionService::new(service, limits, drain);
    // A request for a page or an unknown path is answered here and gets no permit.
    let service = Recognition::new(service, recogniser);
    // Every answer has a request id and a line in the log, pages and refusals included; a sampled call has a trace.
    let service = call_log::CallLogService::new(service, tracer);
    // Pages of allowed origins can read all answers.
    browsers::Cors::new(service, allowed_origins)
}
