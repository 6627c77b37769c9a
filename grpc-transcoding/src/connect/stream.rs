//! Calls with any number of messages in envelopes, in either direction and in both at once.
//!
//! The envelopes are those of gRPC; flags, compression and the end of a stream differ.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Frame;
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::{Connect, error_json};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::permit::Share;
use crate::transcoding::compression::{self, Encoding, GZIP, NOSNIFF};
use crate::transcoding::framing::wrap;
use crate::transcoding::grpc_call::request_messages::RequestMessages;
use crate::transcoding::grpc_call::{self, InnerService, Messages, Part};

const CONTENT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// The flag of a compressed message.
const COMPRESSED: u8 = 1;
/// The flag of the message that ends an answer.
const END: u8 = 2;

/// Answers such a call.
pub(crate) async fn answer(
    call: &Connect,
    service: impl InnerService,
    request: Request<Body>,
) -> Result<Response<CallBody>, Failure> {
    let (head, body) = request.into_parts();
    let context = CallContext::of(&head.extensions);
    let encoding = Encoding::of(&head.headers, CONTENT_ENCODING)?;
    let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
    let sent = RequestMessages::new(body, encoding, Share::of_call(&head.extensions), context.clone(), call.decoder());
    let failure = sent.failure();
    let (headers, messages) = grpc_call::streaming(service, head, call.path(), Body::new(sent)).await;
    let answered = Answered { call: call.clone(), messages: Some(messages), gzip, failure, context };
    let mut response = start(call, headers, Body::new(answered));
    if gzip {
        response.headers_mut().insert(CONTENT_ENCODING, GZIP);
    }
    Ok(response)
}

/// The answer to a call that failed before there was a message.
pub(crate) fn failed(call: &Connect, status: &Status) -> Response<CallBody> {
    let end = error_json::end_of_stream(call.method.parent_pool(), &Err(status.clone()), &HeaderMap::new());
    start(call, HeaderMap::new(), Body::new(Full::new(wrap(END, &end))))
}

fn start(call: &Connect, headers: HeaderMap, body: Body) -> Response<CallBody> {
    let mut response = Response::new(CallBody::translated(body));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, call.content_type());
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// The service's messages on their way to the client.
struct Answered {
    call: Connect,
    /// None once the end was sent.
    messages: Option<Messages>,
    gzip: bool,
    failure: Arc<OnceLock<Failure>>,
    context: CallContext,
}

impl Answered {
    fn wrapped(&self, message: Bytes) -> Result<Bytes, Failure> {
        let message = self.call.encode(message, &self.context)?;
        Ok(match compression::compress(&message, self.gzip) {
            Some(compressed) => wrap(COMPRESSED, &compressed),
            None => wrap(0, &message),
        })
    }

    fn end(&mut self, result: Result<(), Status>, trailers: &HeaderMap) -> Bytes {
        self.messages = None;
        wrap(END, &error_json::end_of_stream(self.call.method.parent_pool(), &result, trailers))
    }

    fn fail(&self, failure: &Failure) -> Result<(), Status> {
        let status = failure.status(self.context.request_id());
        self.context.set_code(status.code());
        Err(status)
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(messages) = &mut this.messages else {
            return Poll::Ready(None);
        };
        let data = match ready!(messages.poll_next(cx)) {
            Part::Message(message) => match this.wrapped(message) {
                Ok(data) => data,
                Err(failure) => this.end(this.fail(&failure), &HeaderMap::new()),
            },
            Part::End { result, trailers } => {
                let result = this.failure.get().map_or(result, |failure| this.fail(failure));
                this.end(result, &trailers)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none()
    }
}
