//! What pages in a browser may do: the layer `Cors` lets those of allowed origins call, and `AllowedHosts` refuses
//! pages that have given this server a name of theirs.
//!
//! Credentials that a browser adds by itself (cookies, certificates) are not allowed: calls of pages carry bearer
//! tokens.
//!
//! The owner of a host name can point it at any address, and so at this server, after a browser has loaded a page by
//! that name (DNS rebinding). The browser then sees the page and the server as one origin, and CORS does not help. Only
//! the host name in such a request is suspicious.

use std::collections::HashSet;
use std::convert::Infallible;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_transcoding::headers::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS};
use http::header::{ALLOW, ORIGIN, WWW_AUTHENTICATE};
use http::{Method, Request, Response, Uri, Version};
use tokio_util::either::Either;
use tonic::body::Body;
use tower::{Layer, Service};
use tower_http::cors::{self, AllowHeaders, AllowOrigin, CorsLayer};

use crate::call_context::REQUEST_ID;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::{Host, canonical_name, host_of, is_literal_or_loopback};
use crate::middleware::response_body::CallBody;
use crate::services::consistency::REVISION;

/// How long a browser may cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Lets the pages of allowed origins call a service, and answers their preflight requests (CORS). Requests without an
/// origin pass unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Cors<S> {
    inner: S,
    origins: Arc<AllowedOrigins>,
}

#[derive(Debug)]
struct AllowedOrigins {
    configured: Vec<Origin>,
    /// Answers their pages.
    layer: CorsLayer,
}

impl<S> Cors<S> {
    /// `allowed`: the origins whose pages may call, beside the server's own and loopback ones.
    pub(crate) fn new(inner: S, allowed: &[String]) -> Self {
        let exposed = [
            GRPC_STATUS,
            GRPC_MESSAGE,
            GRPC_STATUS_DETAILS,
            GRPC_ENCODING,
            GRPC_ACCEPT_ENCODING,
            REQUEST_ID,
            REVISION,
            ALLOW,
            WWW_AUTHENTICATE,
        ];
        // The layer is applied to allowed origins only, so it may mirror the origin. Any header may be metadata of a
        // call, so it mirrors the headers too.
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::mirror_request())
            .allow_methods([Method::POST, Method::GET, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed)
            .max_age(MAX_AGE);
        let configured = allowed.iter().filter_map(|origin| Origin::parse(origin)).collect();
        Self { inner, origins: Arc::new(AllowedOrigins { configured, layer }) }
    }
}

impl<S> Service<Request<Body>> for Cors<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible> + Clone,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    // The larger one is boxed, since few calls come from pages, and hyper keeps the room as long as an answer lasts.
    type Future = Either<S::Future, Pin<Box<cors::ResponseFuture<S::Future>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let AllowedOrigins { configured, layer } = &*self.origins;
        let is_allowed =
            |origin: &Origin| origin.is_loopback() || configured.contains(origin) || origin.is_of_server(&request);
        // A request without an origin is not made by a page.
        if !Origin::of(&request).as_ref().is_some_and(is_allowed) {
            return Either::Left(self.inner.call(request));
        }
        // `poll_ready` has prepared this service, so call it and keep a clone for the next call.
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        Either::Right(Box::pin(layer.layer(ready).call(request)))
    }
}

/// The hosts that the server answers for.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: HashSet<String>,
    /// Whether requests for other hosts are refused even if they do not look like requests of a page.
    closed: bool,
}

impl AllowedHosts {
    /// The hosts of the settings.
    pub fn new(settings: &Settings) -> Self {
        let names: Vec<_> = settings.server.allowed_hosts.iter().chain(settings.instances.hosts.keys()).collect();
        let names = names.into_iter().map(|name| canonical_name(name).into_owned()).collect();
        let cleartext = settings.tls.certificate_file.is_none();
        // Only browsers on this machine reach loopback. With TLS, the handshake fails for a wrong name.
        let on_loopback = cleartext && settings.server.is_on_loopback();
        Self { names, closed: on_loopback || !settings.server.allowed_hosts.is_empty() }
    }

    /// Refuses a request for another host, or for more than one. `grpc`: whether it is a plain gRPC call. Browsers make
    /// none, and gRPC clients use any host name.
    ///
    /// # Errors
    /// [`Failure::HostUnknown`]; or the failure of the field `host`, if the request contradicts itself.
    pub fn check<B>(&self, request: &Request<B>, grpc: bool) -> Result<(), Failure> {
        let Some(host) = host_of(request.uri(), request.headers())? else {
            // HTTP/1.0 does not require a host.
            let must = request.version() == Version::HTTP_11;
            return if must { Err(Failure::field("host", "must be given")) } else { Ok(()) };
        };
        if grpc {
            return Ok(());
        }
        let name = host.name();
        if is_literal_or_loopback(&name) || self.names.contains(&*name) {
            return Ok(());
        }
        // Pages loaded over TLS are exempt: their server has shown a certificate for the name.
        let is_of_page_here = |page: Origin| page.scheme == "http" && page.is_of_server(request);
        if self.closed || Origin::of(request).is_some_and(is_of_page_here) {
            return Err(Failure::HostUnknown(name.into_owned()));
        }
        Ok(())
    }
}

/// The origin of a page in a browser: its scheme, host and port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    /// `None` for the default port of the scheme.
    port: Option<u16>,
}

impl Origin {
    /// The origin of the page that made a request; `None` if the request was not made by a page.
    fn of<B>(request: &Request<B>) -> Option<Self> {
        request.headers().get(ORIGIN)?.to_str().ok().and_then(Self::parse)
    }

    /// Parses an origin.
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let host = Host::of_authority(uri.authority()?.clone()).ok()?;
        if uri.path().len() > 1 || uri.query().is_some() {
            return None;
        }
        let port = unusual_port(&host, &scheme);
        Some(Self { host: host.name().into_owned(), port, scheme })
    }

    /// Whether the page comes from the machine of the browser.
    fn is_loopback(&self) -> bool {
        let is_ipv4 = || self.host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback());
        let is_ipv6 = || self.host == format!("[{}]", Ipv6Addr::LOCALHOST);
        let is_name = self.host == "localhost" || self.host.ends_with(".localhost");
        matches!(self.scheme.as_str(), "http" | "https") && (is_name || is_ipv4() || is_ipv6())
    }

    /// Whether the page comes from the host of the request.
    ///
    /// The scheme is not compared: behind a proxy that terminates TLS, the server does not know it.
    fn is_of_server<B>(&self, request: &Request<B>) -> bool {
        let server = host_of(request.uri(), request.headers()).ok().flatten();
        server.is_some_and(|server| server.name() == self.host && unusual_port(&server, &self.scheme) == self.port)
    }
}

fn unusual_port(host: &Host, scheme: &str) -> Option<u16> {
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    host.port().filter(|port| Some(*port) != usual)
}

#[cfg(test)]
mod tests;
