//! The feature service as a tower service: messages stay bytes until feature-api decodes them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use feature_auth::AuthError;
use feature_auth::access::Caller;
use http::Extensions;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower::Service;

use super::Answer;
use super::codec::BytesCodec;
use super::frame::Frame;
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::services::fast_path::{self, Received};
use crate::services::feature::FeatureService;

/// [`FeatureService`] as a service for tonic.
#[derive(Clone)]
pub struct GrpcFeatureService {
    service: Arc<FeatureService>,
    message_bytes: usize,
}

impl GrpcFeatureService {
    /// `message_bytes`: the largest request message, in bytes.
    pub fn new(service: FeatureService, message_bytes: usize) -> Self {
        Self { service: Arc::new(service), message_bytes }
    }
}

impl NamedService for GrpcFeatureService {
    const NAME: &'static str = "zitadel.feature.v2.FeatureService";
}

impl Service<http::Request<Body>> for GrpcFeatureService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (service, limit) = (Arc::clone(&self.service), self.message_bytes);
        Box::pin(async move {
            Ok(match fast_path::receive(request, limit).await {
                Received::Message(head, message) => {
                    match answer(&service, head.uri.path(), &head.extensions, &message).await {
                        Ok(frame) => fast_path::answer(&head.headers, frame),
                        Err(status) => status.into_http(),
                    }
                }
                // Boxed, because it is rare, and every future is as large as its largest part.
                Received::Unusual(request) => Box::pin(by_tonic(service, limit, request)).await,
            })
        })
    }
}

/// Lets tonic receive the request and send the answer.
async fn by_tonic(service: Arc<FeatureService>, limit: usize, request: http::Request<Body>) -> http::Response<Body> {
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    let mut grpc =
        Grpc::new(BytesCodec).apply_compression_config(gzip, gzip).apply_max_message_size_config(Some(limit), None);
    let path = request.uri().path().to_owned();
    grpc.unary(Unusual { service, path }, request).await
}

/// Answers one call whose message has been received.
async fn answer(
    service: &FeatureService,
    path: &str,
    extensions: &Extensions,
    message: &Bytes,
) -> Result<Frame, Status> {
    let answered = match (service.method(path), extensions.get::<Caller>()) {
        // Without the layer that authorises, every call is refused.
        (_, None) => Err(AuthError::TokenMissing.into()),
        (None, _) => Err(Failure::MethodUnknown(path.to_owned())),
        (Some(method), Some(caller)) => service.call(method, caller, &CallContext::of(extensions), message).await,
    };
    answered.map_err(|failure| failure.status(CallContext::of(extensions).request_id()))
}

/// A call whose message tonic receives.
struct Unusual {
    service: Arc<FeatureService>,
    path: String,
}

impl UnaryService<Bytes> for Unusual {
    type Response = Bytes;
    type Future = Answer<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (service, path) = (Arc::clone(&self.service), std::mem::take(&mut self.path));
        let (_, extensions, message) = request.into_parts();
        Box::pin(async move {
            answer(&service, &path, &extensions, &message).await.map(|frame| Response::new(frame.message()))
        })
    }
}
