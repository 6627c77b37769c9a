//! Checks the questions of a reflection stream before they reach the service. tonic-reflection takes an unreadable
//! question for the end of the stream, and answers status OK.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use grpc_transcoding::headers::GRPC_ENCODING;
use http::{Request, Response};
use http_body::{Frame as BodyFrame, SizeHint};
use prost::Message;
use tonic::body::Body;
use tonic::codec::Streaming;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tower::Service;

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::services::frame::BytesCodec;
use crate::services::frame::Frame;
use crate::services::{Answer, PUBLIC_MESSAGE_BYTES};

const QUESTION: &str = "grpc.reflection.v1.ServerReflectionRequest";

/// Reflection whose streams end with the error of a bad question. Both versions have the same messages.
#[derive(Debug, Clone)]
pub struct Checked<S>(pub(super) S);

impl<S: NamedService> NamedService for Checked<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Checked<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.headers().contains_key(GRPC_ENCODING) {
            // The layers have decompressed the messages, so a failure here means an unsupported encoding: the service
            // reports it.
            return Box::pin(self.0.call(request));
        }
        let (head, body) = request.into_parts();
        let failure = Arc::new(OnceLock::new());
        let questions = Questions {
            next: next(Streaming::new_request(BytesCodec, body, None, Some(PUBLIC_MESSAGE_BYTES))),
            failure: Arc::clone(&failure),
            context: CallContext::of(&head.extensions),
        };
        let answered = self.0.call(Request::from_parts(head, Body::new(questions)));
        Box::pin(async move { answered.await.map(|answer| answer.map(|body| Body::new(Answers { body, failure }))) })
    }
}

/// The next message of a stream, and the rest of the stream.
type Next = Pin<Box<dyn Future<Output = (Result<Option<Bytes>, Status>, Streaming<Bytes>)> + Send>>;

fn next(mut messages: Streaming<Bytes>) -> Next {
    Box::pin(async move { (messages.message().await, messages) })
}

/// The questions that the service receives. They end at the first bad one.
struct Questions {
    next: Next,
    failure: Arc<OnceLock<Status>>,
    context: CallContext,
}

impl Questions {
    fn check(&self, message: Result<Option<Bytes>, Status>) -> Result<Option<Frame>, Status> {
        let question = message?.map(ServerReflectionRequest::decode).transpose();
        let malformed = |_| Failure::MessageMalformed(QUESTION.to_owned()).status(self.context.request_id());
        question.map(|question| question.map(|question| Frame::of(&question))).map_err(malformed)
    }
}

impl http_body::Body for Questions {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        if self.failure.get().is_some() {
            return Poll::Ready(None);
        }
        let (message, messages) = ready!(self.next.as_mut().poll(cx));
        self.next = next(messages);
        Poll::Ready(match self.check(message) {
            Ok(question) => question.map(|question| Ok(BodyFrame::data(question.into_bytes()))),
            Err(status) => {
                // Set only once: nothing is read after the first failure.
                let _ = self.failure.set(status);
                None
            }
        })
    }
}

/// The service's answers, followed by the error of a bad question.
struct Answers {
    body: Body,
    failure: Arc<OnceLock<Status>>,
}

impl http_body::Body for Answers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let ends_well = |frame: &BodyFrame<Bytes>| {
            let status = frame.trailers_ref().and_then(Status::from_header_map);
            status.is_some_and(|status| status.code() == Code::Ok)
        };
        Poll::Ready(match (polled, self.failure.get()) {
            (Some(Ok(frame)), Some(failure)) if ends_well(&frame) => Some(Err(failure.clone())),
            (polled, _) => polled,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
