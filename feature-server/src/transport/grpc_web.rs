//! gRPC-Web, translated into gRPC and back by tonic-web, for all that its clients send. Plain gRPC passes as it is.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, Version};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use super::body::CallBody;
use super::protocol::Protocol;
use super::stream_end::StreamEnd;

/// Translates gRPC-Web.
#[derive(Debug, Clone)]
pub(super) struct GrpcWeb<S> {
    inner: S,
}

impl<S> GrpcWeb<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for GrpcWeb<S>
where
    S: Service<Request<Body>, Response = Response<StreamEnd>, Error = Infallible> + Clone,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = GrpcWebFuture<S::Future, <GrpcWebService<S> as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let protocol = match Protocol::of(&request) {
            // What is no call was answered further out.
            Ok(Protocol::Grpc) | Err(_) => return GrpcWebFuture::Grpc { future: self.inner.call(request) },
            Ok(protocol) => protocol,
        };
        let answer_in = answer_protocol(request.headers(), protocol);
        // tonic-web knows each content type in one spelling only, and the services expect HTTP/2.
        request.headers_mut().insert(CONTENT_TYPE, protocol.content_type());
        request.headers_mut().insert(ACCEPT, answer_in.content_type());
        *request.version_mut() = Version::HTTP_2;
        // The inner service that is ready is the one to call; its clone waits for the next call.
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        GrpcWebFuture::Web { future: GrpcWebLayer::new().layer(ready).call(request) }
    }
}

/// Binary or text: what the client accepts, otherwise what it sent.
fn answer_protocol(headers: &HeaderMap, sent: Protocol) -> Protocol {
    let accepted = headers.get(ACCEPT).map_or(&[][..], |value| value.as_bytes());
    let accepts = |name: &[u8]| accepted.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    if accepts(b"application/grpc-web-text") {
        Protocol::GrpcWebText
    } else if accepts(b"application/grpc-web") {
        Protocol::GrpcWeb
    } else {
        sent
    }
}

pin_project! {
    /// The answer to a call, under way.
    #[project = GrpcWebProjected]
    pub(super) enum GrpcWebFuture<G, W> {
        Grpc { #[pin] future: G },
        Web { #[pin] future: W },
    }
}

impl<G, W> Future for GrpcWebFuture<G, W>
where
    G: Future<Output = Result<Response<StreamEnd>, Infallible>>,
    W: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            GrpcWebProjected::Grpc { future } => ready!(future.poll(cx)).map(|answer| answer.map(CallBody::grpc)),
            GrpcWebProjected::Web { future } => ready!(future.poll(cx)).map(|answer| answer.map(CallBody::translated)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_what_the_client_accepts() {
        use Protocol::*;
        let table = [
            // accept, sent in, answered in
            (None, GrpcWeb, GrpcWeb),
            (None, GrpcWebText, GrpcWebText),
            (Some("*/*"), GrpcWebText, GrpcWebText),
            (Some("application/grpc-web-text"), GrpcWeb, GrpcWebText),
            (Some("application/grpc-web-text+proto, */*"), GrpcWebText, GrpcWebText),
            (Some("application/grpc-web+proto"), GrpcWebText, GrpcWeb),
        ];
        for (accept, sent, answered) in table {
            let headers = accept.map(|value| (ACCEPT, value.parse().unwrap())).into_iter().collect();
            assert_eq!(answer_protocol(&headers, sent), answered, "{accept:?} {sent:?}");
        }
    }
}
