//! All services as one: those of features, which receive nearly all calls, and tonic's router for the others.
//!
//! A request for a service of features that is one uncompressed frame takes a fast path around tonic's codec, all
//! others go through it. Messages stay bytes until feature-api decodes them.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use feature_auth::AuthError;
use feature_auth::access::{Caller, NamedCaller};
use futures_util::{FutureExt, StreamExt, stream};
use grpc_transcoding::framing::PREFIX;
use grpc_transcoding::headers::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_STATUS};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

use self::bytes_codec::BytesCodec;
use self::counted_body::CountedBody;
use super::{Answer, DEFINITIONS, FEATURES, HISTORY, SETTINGS, WATCH};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::services::backend::{Backend, Call};
use crate::services::consistency::REVISION;
use crate::services::definitions::DefinitionService;
use crate::services::feature::{FeatureService, Reply};
use crate::services::history::HistoryService;
use crate::services::settings::SettingsService;
use crate::services::watch::{Topics, WatchService};

pub mod bytes_codec;
mod counted_body;
mod streams;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Routes calls by their paths.
#[derive(Clone)]
pub struct Router {
    services: Arc<Services>,
    message_bytes: usize,
    others: Routes,
}

/// The services of features.
pub struct Services {
    backend: Arc<Backend>,
    features: FeatureService,
    settings: SettingsService,
    definitions: DefinitionService,
    history: HistoryService,
    watch: WatchService,
}

impl Services {
    /// The services of a store.
    pub fn new(backend: &Arc<Backend>) -> Self {
        Self {
            backend: Arc::clone(backend),
            features: FeatureService::new(Arc::clone(backend)),
            settings: SettingsService::new(Arc::clone(backend)),
            definitions: DefinitionService::new(Arc::clone(backend)),
            history: HistoryService::new(Arc::clone(backend)),
            watch: WatchService::new(Arc::clone(backend)),
        }
    }

    /// What the services share.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// What keeps the values of all streams current.
    pub fn topics(&self) -> &Arc<Topics> {
        self.watch.topics()
    }

    /// Answers one call of a service of `feature.v1`.
    async fn call(
        &self,
        path: &str,
        call: Call<'_>,
        (metadata, extensions): (&HeaderMap, &Extensions),
    ) -> Result<Reply, Failure> {
        // A write reads definitions, so it waits for a position, too.
        let before = self.backend.before_read(metadata, extensions).await?;
        let frame = match path {
            path if is_of(path, SETTINGS) => self.settings.call(call).await?,
            path if is_of(path, DEFINITIONS) => self.definitions.call(call).await?,
            _ => self.history.call(call).await?,
        };
        Ok(Reply { frame, revision: if call.is_read() { before } else { self.backend.after_write() } })
    }
}

impl Router {
    /// * `message_bytes`: the largest request message of the services of features, in bytes.
    /// * `others`: also answers calls to paths without a service.
    pub fn new(services: Services, message_bytes: usize, others: Routes) -> Self {
        Self { services: Arc::new(services), message_bytes, others }
    }
}

impl Service<http::Request<Body>> for Router {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // All services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if [FEATURES, SETTINGS, DEFINITIONS, HISTORY].into_iter().any(|service| is_of(request.uri().path(), service)) {
            return Box::pin(call_features(Arc::clone(&self.services), self.message_bytes, request).map(Ok));
        }
        if is_of(request.uri().path(), WATCH) {
            return Box::pin(streams::call(Arc::clone(&self.services), self.message_bytes, request).map(Ok));
        }
        let context = CallContext::of(request.extensions());
        let received = |body| CountedBody::wrap(body, context.clone(), CallContext::received);
        let answer = self.others.call(request.map(received));
        Box::pin(async move { Ok(answer.await?.map(|body| CountedBody::wrap(body, context, CallContext::sent))) })
    }
}

/// Whether a path is one of a service.
fn is_of(path: &str, service: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(service));
    method.is_some_and(|method| method.starts_with('/'))
}

/// Answers one call of a service of features. A request message may have `limit` bytes.
async fn call_features(services: Arc<Services>, limit: usize, request: http::Request<Body>) -> http::Response<Body> {
    match receive(request, limit).await {
        Received::Message(head, message) => {
            match answer(&services, head.uri.path(), &head.headers, &head.extensions, &message).await {
                Ok(reply) => response(&head.headers, reply),
                Err(status) => status.into_http(),
            }
        }
        // Boxed, because it is rare, and every future is as large as its largest part.
        Received::Unusual(request) => Box::pin(by_tonic(services, limit, request)).await,
    }
}

/// The status of a failure, which counts if it is one of the credential.
fn refused(failure: &Failure, context: &CallContext) -> Status {
    if matches!(failure, Failure::Auth(_)) {
        context.counters().auth_failure(failure.reason());
    }
    failure.status(context.request_id())
}

/// Lets tonic receive the request and send the answer.
async fn by_tonic(services: Arc<Services>, limit: usize, request: http::Request<Body>) -> http::Response<Body> {
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    let mut grpc =
        Grpc::new(BytesCodec).apply_compression_config(gzip, gzip).apply_max_message_size_config(Some(limit), None);
    let path = request.uri().path().to_owned();
    let answered = service_fn(|request: Request<Bytes>| {
        let (services, path) = (&services, &path);
        let (metadata, extensions, message) = request.into_parts();
        async move {
            let reply = answer(services, path, metadata.as_ref(), &extensions, &message).await?;
            let mut response = Response::new(reply.frame.message());
            let revision = reply.revision.map(|revision| (REVISION, revision));
            *response.metadata_mut() = MetadataMap::from_headers(revision.into_iter().collect());
            Ok(response)
        }
    });
    grpc.unary(answered, request).await
}

/// Answers one call of a service of features whose message has been received.
async fn answer(
    services: &Services,
    path: &str,
    metadata: &HeaderMap,
    extensions: &Extensions,
    message: &Bytes,
) -> Result<Reply, Status> {
    let context = CallContext::of(extensions);
    context.received(1);
    let request = (metadata, extensions);
    let answered = match (services.backend.schema.method(path), extensions.get::<Caller>()) {
        (None, _) => Err(Failure::MethodUnknown(path.to_owned())),
        (Some(method), Some(caller)) => services.features.call(method, caller, &context, request, message).await,
        (Some(method), None) => match extensions.get::<NamedCaller>() {
            Some(caller) => {
                let call = Call { method, caller, context: &context, message };
                Box::pin(services.call(path, call, request)).await
            }
            // Without the layer that authorises, every call is refused.
            None => Err(AuthError::TokenMissing.into()),
        },
    };
    if answered.is_ok() {
        context.sent(1);
    }
    answered.map_err(|failure| refused(&failure, &context))
}

/// A request after its first read.
enum Received {
    /// The whole request, with its message.
    Message(Parts, Bytes),
    /// A request for tonic, with its whole body.
    Unusual(http::Request<Body>),
}

/// Receives a request whose message may have `limit` bytes.
async fn receive(request: http::Request<Body>, limit: usize) -> Received {
    let (head, mut body) = request.into_parts();
    if head.headers.contains_key(GRPC_ENCODING) {
        return Received::Unusual(http::Request::from_parts(head, body));
    }
    let first = body.frame().await;
    let whole = match &first {
        Some(Ok(frame)) if body.is_end_stream() => frame.data_ref(),
        _ => None,
    };
    match whole.and_then(|data| only_message(data, limit)) {
        Some(message) => Received::Message(head, message),
        None => {
            let frames = stream::iter(first).chain(BodyStream::new(body));
            Received::Unusual(http::Request::from_parts(head, Body::new(StreamBody::new(frames))))
        }
    }
}

/// The message of a body that is exactly one uncompressed frame of at most `limit` bytes; `None` if tonic has to handle
/// the body.
fn only_message(body: &Bytes, limit: usize) -> Option<Bytes> {
    let ([0, length @ ..], message) = body.split_first_chunk::<PREFIX>()? else { return None };
    let whole = u32::from_be_bytes(*length) as usize == message.len() && message.len() <= limit;
    whole.then(|| body.slice(PREFIX..))
}

/// The response to a request with these headers, compressed if the client accepts that and it saves bytes.
fn response(headers: &HeaderMap, Reply { frame, revision }: Reply) -> http::Response<Body> {
    let compressed = if frame.is_worth_compressing() && takes_gzip(headers) { Some(frame.gzip()) } else { None };
    let encoding = compressed.is_some().then_some(GZIP);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(compressed.unwrap_or(frame).into_bytes()).with_trailers(ready(Some(Ok(trailers))));
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response.headers_mut().extend(encoding.map(|encoding| (GRPC_ENCODING, encoding)));
    response.headers_mut().extend(revision.map(|revision| (REVISION, revision)));
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(GRPC_ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.split(',').any(|encoding| encoding.trim() == "gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_uncompressed_message_takes_the_fast_path() {
        let table: [(&[u8], Option<&[u8]>); 8] = [
            // body, message
            (&[0, 0, 0, 0, 0], Some(b"")),
            (&[0, 0, 0, 0, 2, 7, 8], Some(&[7, 8])),
            (b"", None),
            (&[0, 0, 0, 0], None),
            (&[1, 0, 0, 0, 1, 7], None),
            (&[0, 0, 0, 0, 2, 7], None),
            (&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0], None),
            (&[0, 0, 0, 0, 3, 7, 8, 9], None),
        ];
        for (body, message) in table {
            assert_eq!(only_message(&Bytes::from_static(body), 2).as_deref(), message, "{body:?}");
        }
    }
}
