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

mod activity;
mod admission;
mod arriving;
mod at_once;
mod body;
mod closing;
mod connect;
mod connection;
mod content;
mod context;
mod cores;
mod cors;
mod crowd;
mod decompression;
mod drain;
mod eager;
mod envelope;
mod errors;
mod fair_share;
mod grpc_web;
mod hosts;
mod inner_call;
pub mod json;
mod large_work;
mod leftover;
mod limits;
mod listener;
mod origin;
mod protocol;
mod request_messages;
pub mod rest;
mod rest_call;
mod share;
mod stream_end;
#[cfg(test)]
mod tests;
mod timeout;
mod tls;
mod translation;
mod unread;

pub use context::RequestId;
pub use cores::Cores;
pub use fair_share::FairShare;
pub use hosts::Hosts;
pub use listener::Stopped;
pub use protocol::{MessageBytes, Protocols};
pub use share::{Share, Usage};
pub use timeout::Deadline;
pub use tls::{ClientCertificate, Tls, TlsError};

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
    let drain = drain::Drain::new();
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
fn layers<S>(
    service: S,
    protocols: Protocols,
    limits: &Limits,
    allowed_origins: &[String],
    drain: drain::Drain,
) -> impl Service<Request<Body>, Response = Response<body::CallBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<S>
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let service = errors::Errors::new(service, drain.clone());
    let service = decompression::Decompression::new(service);
    let service = translation::Translation::new(service);
    let service = limits::Limits::new(service, protocols, limits, drain);
    let service = context::Context::new(service);
    cors::Cors::new(service, allowed_origins)
}
