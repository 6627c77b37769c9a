//! The feature service as gRPC: a tower service whose messages stay bytes until the bridge reads them.

use std::convert::Infallible;
use std::future::{self, Future};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower::Service;

use super::codec::BytesCodec;
use super::feature_service::FeatureService;
use crate::auth::access::Caller;
use crate::error::Failure;
use crate::transport::RequestId;

/// Serves [`FeatureService`] to tonic.
#[derive(Clone)]
pub struct GrpcFeatureService {
    service: FeatureService,
    message_bytes: usize,
}

impl GrpcFeatureService {
    /// `message_bytes`: the largest request message, in bytes.
    pub fn new(service: FeatureService, message_bytes: usize) -> Self {
        Self { service, message_bytes }
    }
}

impl NamedService for GrpcFeatureService {
    const NAME: &'static str = "zitadel.feature.v2.FeatureService";
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<http::Request<Body>> for GrpcFeatureService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut gzip = EnabledCompressionEncodings::default();
        gzip.enable(CompressionEncoding::Gzip);
        let mut grpc = Grpc::new(BytesCodec)
            .apply_compression_config(gzip, gzip)
            .apply_max_message_size_config(Some(self.message_bytes), None);
        let call = Call { service: self.service.clone(), path: request.uri().path().to_owned() };
        Box::pin(async move { Ok(grpc.unary(call, request).await) })
    }
}

/// One call of one method.
struct Call {
    service: FeatureService,
    path: String,
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = Answer<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (service, path) = (self.service.clone(), std::mem::take(&mut self.path));
        let (_, extensions, message) = request.into_parts();
        let request_id = RequestId::of(&extensions);
        let Some(caller) = extensions.get::<Caller>().cloned() else {
            // Without the layer that authorises nobody may call.
            return Box::pin(future::ready(Err(Failure::TokenMissing.status(request_id.as_str()))));
        };
        Box::pin(async move {
            let answer = match service.method(&path) {
                Some(method) => service.call(method, &caller, request_id.as_str(), &message).await,
                None => Err(Failure::MethodUnknown(path)),
            };
            answer.map(Response::new).map_err(|failure| failure.status(request_id.as_str()))
        })
    }
}
