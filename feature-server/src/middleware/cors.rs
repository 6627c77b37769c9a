//! Decides which origins' pages may call, and answers preflight requests (CORS). Requests without an origin pass
//! unchanged.
//!
//! Credentials that a browser adds by itself (cookies, certificates) are not allowed: calls of pages carry bearer
//! tokens. Pages that only seem to have the server's own origin are refused later, by `allowed_hosts`.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_transcoding::headers::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS};
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{Method, Request, Response};
use tokio_util::either::Either;
use tonic::body::Body;
use tower::{Layer, Service};
use tower_http::cors::{self, AllowHeaders, AllowOrigin, CorsLayer};

use crate::call_context::REQUEST_ID;
use crate::host::Origin;
use crate::middleware::response_body::CallBody;

/// How long a browser may cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Lets the pages of allowed origins call a service.
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
            ALLOW,
            WWW_AUTHENTICATE,
        ];
        // The layer is applied to allowed origins only, so it may mirror the origin. Any header may be metadata of a
        // call, so it mirrors the headers too.
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::mirror_request())
            .allow_methods([Method::POST, Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS])
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
    type Future = Either<S::Future, cors::ResponseFuture<S::Future>>;

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
        Either::Right(layer.layer(ready).call(request))
    }
}
