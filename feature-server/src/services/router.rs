//! All services as one: routes a call by its path.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::Answer;
use super::counted_body::CountedBody;
use super::grpc::GrpcFeatureService;
use crate::call_context::CallContext;

/// The feature service, which receives nearly all calls, and a router for the others.
#[derive(Clone)]
pub struct AllServices {
    features: GrpcFeatureService,
    others: Routes,
}

impl AllServices {
    /// `others`: also answers calls to paths without a service.
    pub fn new(features: GrpcFeatureService, others: Routes) -> Self {
        Self { features, others }
    }
}

impl Service<Request<Body>> for AllServices {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let of_service =
            |path: &str| path.strip_prefix('/')?.strip_prefix(GrpcFeatureService::NAME)?.strip_prefix('/').map(drop);
        match of_service(request.uri().path()) {
            Some(()) => self.features.call(request),
            None => {
                let context = CallContext::of(request.extensions());
                let received = |body| CountedBody::wrap(body, context.clone(), CallContext::received);
                let answer = self.others.call(request.map(received));
                Box::pin(
                    async move { Ok(answer.await?.map(|body| CountedBody::wrap(body, context, CallContext::sent))) },
                )
            }
        }
    }
}
