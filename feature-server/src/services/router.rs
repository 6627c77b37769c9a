//! All services as one. The path of a call tells whose it is.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::Answer;
use super::grpc::GrpcFeatureService;

/// The feature service, which nearly all calls are for, and the others behind a router.
#[derive(Clone)]
pub struct AllServices {
    features: GrpcFeatureService,
    others: Routes,
}

impl AllServices {
    /// `others`: also answers the calls of what is no service at all.
    pub fn new(features: GrpcFeatureService, others: Routes) -> Self {
        Self { features, others }
    }
}

impl Service<Request<Body>> for AllServices {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Neither ever has to wait.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let of_service =
            |path: &str| path.strip_prefix('/')?.strip_prefix(GrpcFeatureService::NAME)?.strip_prefix('/').map(drop);
        match of_service(request.uri().path()) {
            Some(()) => self.features.call(request),
            None => Box::pin(self.others.call(request)),
        }
    }
}
