//! Calls to the gRPC service inside, made for clients that speak another protocol, and the answers taken apart.
//!
//! Which protocol the client speaks is not known here.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body as _, Frame};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use self::decompression::GRPC_ENCODING;
use super::protocol::{GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::deadline::GRPC_TIMEOUT;
use crate::middleware::error_details::stream_end::StreamEnd;
use crate::transcoding::framing::{Envelope, Envelopes, wrap};

pub(crate) mod decompression;
pub(crate) mod request_messages;

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Headers of a request that are about its own connection, body or protocol, and mean nothing, or something else, inside.
const NOT_FORWARDED: [HeaderName; 19] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    GRPC_ACCEPT_ENCODING,
    GRPC_ENCODING,
    // The deadline is in the extensions, whatever header told it.
    GRPC_TIMEOUT,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("connect-accept-encoding"),
    HeaderName::from_static("connect-content-encoding"),
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
];

/// Headers and trailers of a gRPC answer that are not the service's own metadata.
const NOT_METADATA: [HeaderName; 7] =
    [CONTENT_LENGTH, CONTENT_TYPE, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS];

/// The gRPC service that translated calls go to.
pub(crate) trait InnerService:
    Service<Request<Body>, Response = Response<StreamEnd>, Error = Infallible, Future: Send> + Send + 'static
{
}

impl<S> InnerService for S where
    S: Service<Request<Body>, Response = Response<StreamEnd>, Error = Infallible, Future: Send> + Send + 'static
{
}

/// The answer to a call with one message in each direction.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The service's metadata from before the message. An answer without message and trailers has all of it here.
    pub(crate) headers: HeaderMap,
    /// The message, encoded.
    pub(crate) result: Result<Bytes, Status>,
    /// The service's metadata from after the message.
    pub(crate) trailers: HeaderMap,
}

/// Calls a method with one message and waits for its answer, which must be one message too.
///
/// * `head`: of the client's request. Its metadata and extensions are those of the call.
/// * `path`: of the method, as in gRPC.
/// * `message`: a body with one message, as [`message_when_asked_for`] makes it.
pub(crate) async fn unary(service: impl InnerService, head: Parts, path: PathAndQuery, message: Body) -> Answer {
    let context = CallContext::of(&head.extensions);
    let (headers, mut messages) = streaming(service, head, path, message).await;
    let mut answered = None;
    loop {
        match messages.next().await {
            Part::Message(message) if answered.is_none() => answered = Some(message),
            Part::Message(_) => return Answer { headers, result: Err(broken(&context)), trailers: HeaderMap::new() },
            Part::End { result, trailers } => {
                let result = result.and_then(|()| answered.ok_or_else(|| broken(&context)));
                return Answer { headers, result, trailers };
            }
        }
    }
}

/// Calls a method with any number of messages; its answer may have any number too.
///
/// * `head` and `path`: as for [`unary`].
/// * `body`: the messages in gRPC's envelopes, not compressed; [`message_when_asked_for`] makes such a body.
///
/// Returns the service's metadata from before the first message, and the messages.
pub(crate) async fn streaming(
    service: impl InnerService,
    head: Parts,
    path: PathAndQuery,
    body: Body,
) -> (HeaderMap, Messages) {
    let context = CallContext::of(&head.extensions);
    let Ok(response) = service.oneshot(request(head, path, body)).await;
    let (head, body) = response.into_parts();
    // The end of an answer that consists of headers alone is in them.
    let end = Status::from_header_map(&head.headers).map(result_of);
    let messages = Messages { body, envelopes: Envelopes::new(usize::MAX), end, context };
    (metadata(head.headers), messages)
}

/// A body with one message, which is only made when the service reads it.
///
/// So a caller who may not make the call learns nothing of what is wrong with the message, in whatever protocol: the
/// layers that authenticate and authorise come before anyone reads a body.
pub(crate) fn message_when_asked_for(
    context: CallContext,
    message: impl Future<Output = Result<Bytes, Failure>> + Send + 'static,
) -> Body {
    Body::new(Later { message: Some(message), context })
}

pin_project! {
    /// A message that is still to be made.
    struct Later<F> {
        #[pin]
        message: Option<F>,
        context: CallContext,
    }
}

impl<F: Future<Output = Result<Bytes, Failure>>> http_body::Body for Later<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Some(message) = this.message.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let made = ready!(message.poll(cx));
        this.message.set(None);
        let frame = made.map(|message| Frame::data(wrap(0, &message)));
        Poll::Ready(Some(frame.map_err(|failure| failure.status(this.context.request_id()))))
    }
}

/// The messages of an answer, and how it ended.
pub(crate) struct Messages {
    body: StreamEnd,
    envelopes: Envelopes,
    /// How the answer ends, when its headers told.
    end: Option<Result<(), Status>>,
    context: CallContext,
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// A message, encoded.
    Message(Bytes),
    /// The end: nothing comes after it.
    End {
        /// Whether the call has succeeded.
        result: Result<(), Status>,
        /// The service's metadata from after the messages.
        trailers: HeaderMap,
    },
}

impl Messages {
    /// Waits for the next part. Not to be called after the end.
    pub(crate) async fn next(&mut self) -> Part {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next part. Not to be called after the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        loop {
            match self.envelopes.next() {
                Ok(Some(Envelope { flags: 0, message })) => return Poll::Ready(Part::Message(message)),
                Ok(None) => {}
                // No compression was offered to the service.
                Ok(Some(_)) | Err(_) => return Poll::Ready(Part::end(Err(broken(&self.context)))),
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => return Poll::Ready(Part::end(Err(status))),
                None => {
                    let end = self.end.take().unwrap_or_else(|| Err(broken(&self.context)));
                    return Poll::Ready(Part::end(end));
                }
            };
            match frame.into_data() {
                Ok(data) => self.envelopes.push(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let result = Status::from_header_map(&trailers).map(result_of);
                    let result = result.unwrap_or_else(|| Err(broken(&self.context)));
                    return Poll::Ready(Part::End { result, trailers: metadata(trailers) });
                }
            }
        }
    }
}

impl Part {
    fn end(result: Result<(), Status>) -> Self {
        Part::End { result, trailers: HeaderMap::new() }
    }
}

/// The request to the service inside.
fn request(mut head: Parts, path: PathAndQuery, body: Body) -> Request<Body> {
    for name in NOT_FORWARDED {
        head.headers.remove(name);
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(TE, HeaderValue::from_static("trailers"));
    head.method = Method::POST;
    head.version = Version::HTTP_2;
    head.uri = with_path(head.uri, path);
    Request::from_parts(head, body)
}

/// The same host, which services may look at, with another path.
fn with_path(uri: Uri, path: PathAndQuery) -> Uri {
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path);
    // A host may have a path only where there is a scheme.
    parts.scheme = parts.authority.is_some().then(|| parts.scheme.unwrap_or(Scheme::HTTP));
    Uri::from_parts(parts).expect("a scheme is there exactly where a host is")
}

fn metadata(mut headers: HeaderMap) -> HeaderMap {
    for name in NOT_METADATA {
        headers.remove(name);
    }
    headers
}

fn result_of(status: Status) -> Result<(), Status> {
    if status.code() == Code::Ok { Ok(()) } else { Err(status) }
}

/// What is answered for a service that doesn't keep to gRPC.
fn broken(context: &CallContext) -> Status {
    context.in_span(|| {
        tracing::error!("the service's answer is not what gRPC and the method's description make of one");
    });
    let status = Failure::Internal.status(context.request_id());
    context.set_code(status.code());
    status
}

#[cfg(test)]
mod tests;
