//! Connect calls with streams of messages, in one direction or in both. The envelopes are those of gRPC; compression
//! and the end of a stream differ.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::{Connect, error_json};
use crate::compression::{self, Encoding};
use crate::error::Error;
use crate::framing::{COMPRESSED, wrap};
use crate::grpc_call::request_messages::RequestMessages;
use crate::grpc_call::{self, GrpcService, Messages, Part};
use crate::headers::{CONNECT_ACCEPT_ENCODING, CONNECT_CONTENT_ENCODING, GZIP, NOSNIFF};
use crate::host::CallHost;

/// The flag of the message that ends an answer.
const END: u8 = 2;

/// Calls the service, and translates its answer.
pub(crate) async fn answer(
    call: &Connect,
    service: impl GrpcService,
    request: Request<Body>,
    host: &impl CallHost,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers, CONNECT_CONTENT_ENCODING)?;
    let gzip = compression::accepts_gzip(&head.headers, CONNECT_ACCEPT_ENCODING);
    let sent = RequestMessages::new(body, encoding, host.clone(), call.decoder()).for_method(&call.method);
    let error = sent.error();
    let (headers, messages) = grpc_call::streaming(service, head, call.path(), Body::new(sent), host).await;
    let answered = Answered { call: call.clone(), messages: Some(messages), gzip, error, host: host.clone() };
    let mut response = start(call, headers, Body::new(answered));
    if gzip {
        response.headers_mut().insert(CONNECT_CONTENT_ENCODING, GZIP);
    }
    Ok(response)
}

/// The answer to a call that fails before the first message.
pub(crate) fn failed(call: &Connect, status: &Status) -> Response<Body> {
    let end = error_json::end_of_stream(call.method.parent_pool(), &Err(status.clone()), &HeaderMap::new());
    start(call, HeaderMap::new(), Body::new(Full::new(wrap(END, &end))))
}

fn start(call: &Connect, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, call.content_type());
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// The body of the answer: the messages of the service, and its status.
struct Answered<B, H> {
    call: Connect,
    /// None after the end.
    messages: Option<Messages<B, H>>,
    gzip: bool,
    /// The error of a request message, see [`RequestMessages::error`].
    error: Arc<OnceLock<Error>>,
    host: H,
}

impl<B, H: CallHost> Answered<B, H> {
    fn wrapped(&self, message: Bytes) -> Result<Bytes, Error> {
        let message = self.call.encode(message, &self.host)?;
        Ok(match compression::compress(&message, self.gzip) {
            Some(compressed) => wrap(COMPRESSED, &compressed),
            None => wrap(0, &message),
        })
    }

    fn end(&mut self, result: Result<(), Status>, trailers: &HeaderMap) -> Bytes {
        self.messages = None;
        wrap(END, &error_json::end_of_stream(self.call.method.parent_pool(), &result, trailers))
    }

    fn fail(&self, error: &Error) -> Result<(), Status> {
        Err(self.host.end_with(error))
    }
}

impl<B: http_body::Body<Data = Bytes, Error = Status> + Unpin, H: CallHost> http_body::Body for Answered<B, H> {
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
                Err(error) => {
                    let failed = this.fail(&error);
                    this.end(failed, &HeaderMap::new())
                }
            },
            Part::End { result, trailers } => {
                let result = this.error.get().map_or(result, |error| this.fail(error));
                this.end(result, &trailers)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none()
    }
}
