//! Server reflection, in both versions that clients speak: v1 and v1alpha.
//!
//! The questions of a stream are checked before they reach the service: tonic-reflection takes an unreadable question
//! for the end of the stream, and answers status OK.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use grpc_transcoding::framing::wrap;
use grpc_transcoding::headers::GRPC_ENCODING;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyStream, StreamBody};
use prost::Message;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, Streaming};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::server::{Builder, v1, v1alpha};
use tower::Service;

use super::descriptors::OF_LIBRARIES;
use super::grpc::bytes_codec::BytesCodec;
use super::{Answer, PUBLIC_MESSAGE_BYTES};
use crate::call_context::CallContext;
use crate::error::Failure;

/// Every descriptor set with a service of this server.
fn builder() -> Builder<'static> {
    let own = Builder::configure().register_encoded_file_descriptor_set(feature_api::DESCRIPTOR_SET);
    let all = OF_LIBRARIES.into_iter().fold(own, |builder, set| builder.register_encoded_file_descriptor_set(set));
    all.include_reflection_service(false)
}

/// Reflection as `grpc.reflection.v1`.
pub fn v1() -> Checked<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    let service = builder().build_v1().expect("the build made these descriptor sets");
    let service = service
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    Checked(service)
}

/// Reflection as `grpc.reflection.v1alpha`.
pub fn v1alpha() -> Checked<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    let service = builder().build_v1alpha().expect("the build made these descriptor sets");
    let service = service
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    Checked(service)
}

const QUESTION: &str = "grpc.reflection.v1.ServerReflectionRequest";

/// Reflection whose streams end with the error of a bad question. Both versions have the same messages.
#[derive(Debug, Clone)]
pub struct Checked<S>(S);

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
        let failure = Arc::default();
        let messages = Streaming::new_request(BytesCodec, body, None, Some(PUBLIC_MESSAGE_BYTES));
        let questions = questions(messages, CallContext::of(&head.extensions), Arc::clone(&failure));
        let answered = self.0.call(Request::from_parts(head, questions));
        Box::pin(async move { answered.await.map(|answer| answer.map(|body| answers(body, failure))) })
    }
}

/// The questions that the service receives. They end at the first bad one, whose error is set in `failure`.
fn questions(messages: Streaming<Bytes>, context: CallContext, failure: Arc<OnceLock<Status>>) -> Body {
    let questions = stream::unfold((messages, context, failure), |(mut messages, context, failure)| async move {
        let malformed = |_| Failure::MessageMalformed(QUESTION.to_owned()).status(context.request_id());
        let question = match messages.message().await {
            Ok(message) => ServerReflectionRequest::decode(message?).map_err(malformed),
            Err(status) => Err(status),
        };
        // Set only once: nothing is read after the first failure.
        let question = question.map_err(|status| failure.set(status)).ok()?;
        let frame = Frame::data(wrap(0, &question.encode_to_vec()));
        Some((Ok::<_, Status>(frame), (messages, context, failure)))
    });
    Body::new(StreamBody::new(questions.fuse()))
}

/// The service's answers, followed by the error of a bad question.
fn answers(body: Body, failure: Arc<OnceLock<Status>>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let ends_well = |frame: &Frame<Bytes>| {
        let status = frame.trailers_ref().and_then(Status::from_header_map);
        status.is_some_and(|status| status.code() == Code::Ok)
    };
    let frames = BodyStream::new(body).map(move |frame| match (frame, failure.get()) {
        (Ok(frame), Some(failure)) if ends_well(&frame) => Err(failure.clone()),
        (frame, _) => frame,
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests;
