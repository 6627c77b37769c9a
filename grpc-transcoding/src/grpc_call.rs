//! Calls to the gRPC service, made for clients of other protocols, and the parts of its answers.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost_reflect::MethodDescriptor;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::compression::{Content, Decoder};
use super::error::Error;
use super::framing::{Envelopes, wrap};
use super::headers::{
    CONNECT_ACCEPT_ENCODING, CONNECT_CONTENT_ENCODING, CONNECT_PROTOCOL_VERSION, CONNECT_TIMEOUT, GRPC_ACCEPT_ENCODING,
    GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS, GRPC_TIMEOUT,
};
use super::host::CallHost;

pub(crate) mod request_messages;

/// Headers of a request that are about its connection. Like those of the next two lists they are not forwarded.
const OF_CONNECTION: [HeaderName; 7] =
    [CONNECTION, EXPECT, HeaderName::from_static("keep-alive"), TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Headers of a request that are about its body and that of the answer.
const OF_BODY: [HeaderName; 7] =
    [ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, GRPC_ACCEPT_ENCODING, GRPC_ENCODING];

/// Headers of a request that are about its protocol. The host sets the deadline of the call, in every protocol.
const OF_PROTOCOL: [HeaderName; 5] =
    [CONNECT_ACCEPT_ENCODING, CONNECT_CONTENT_ENCODING, CONNECT_PROTOCOL_VERSION, CONNECT_TIMEOUT, GRPC_TIMEOUT];

/// Headers and trailers of a gRPC answer that are no metadata of the service.
const NOT_METADATA: [HeaderName; 7] =
    [CONTENT_LENGTH, CONTENT_TYPE, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS];

/// A tower service that speaks gRPC, such as a service that tonic has generated, or tonic's `Routes`.
pub trait GrpcService:
    Service<Request<Body>, Response = Response<<Self as GrpcService>::Body>, Error = Infallible, Future: Send>
    + Send
    + 'static
{
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error = Status> + Unpin + Send + 'static;
}

impl<S, B> GrpcService for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin + Send + 'static,
{
    type Body = B;
}

/// Calls a method with one message, and waits for its answer, which must be one message too. Returns the leading
/// metadata, the message, and the trailing metadata.
///
/// * `head`: the head of the client's request. The call has its metadata and its extensions.
/// * `path`: the gRPC path of the method.
/// * `message`: a body with one message, see [`lazy_message`].
pub(crate) async fn unary(
    service: impl GrpcService,
    head: Parts,
    path: PathAndQuery,
    message: Body,
    host: &impl CallHost,
) -> (HeaderMap, Result<Bytes, Status>, HeaderMap) {
    let (headers, mut messages) = streaming(service, head, path, message, host).await;
    let mut answered = None;
    loop {
        match messages.next().await {
            Ok(message) if answered.is_none() => answered = Some(message),
            Ok(_) => return (headers, Err(broken(host)), HeaderMap::new()),
            Err(End { result, trailers }) => {
                return (headers, result.and_then(|()| answered.ok_or_else(|| broken(host))), trailers);
            }
        }
    }
}

/// Calls a method with any number of messages, and returns the leading metadata and the messages of its answer.
///
/// * `head` and `path`: as for [`unary`].
/// * `body`: uncompressed messages in envelopes.
pub(crate) async fn streaming<H: CallHost>(
    service: impl GrpcService,
    mut head: Parts,
    path: PathAndQuery,
    body: Body,
    host: &H,
) -> (HeaderMap, Messages<H>) {
    for name in OF_CONNECTION.into_iter().chain(OF_BODY).chain(OF_PROTOCOL) {
        head.headers.remove(name);
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(TE, HeaderValue::from_static("trailers"));
    head.method = Method::POST;
    head.version = Version::HTTP_2;
    // Services may read the host.
    let mut uri = head.uri.into_parts();
    uri.path_and_query = Some(path);
    // A URI with a host and a path needs a scheme.
    uri.scheme = uri.authority.is_some().then(|| uri.scheme.unwrap_or(Scheme::HTTP));
    head.uri = Uri::from_parts(uri).expect("a scheme is there exactly where a host is");
    let Ok(response) = service.oneshot(Request::from_parts(head, body)).await;
    let (head, body) = response.into_parts();
    // An answer without a body has its status in the headers.
    let status = Status::from_header_map(&head.headers);
    let envelopes = Envelopes::new(usize::MAX);
    let messages = Messages { body: Body::new(body), envelopes, status, host: host.clone() };
    (metadata(head.headers), messages)
}

/// A body with one message, which is decoded when the service reads it.
///
/// Layers that authenticate and authorise the call run before that. So a caller without the right to make the call gets
/// the same refusal in every protocol, also for a malformed message.
pub(crate) fn lazy_message(
    host: impl CallHost,
    content: impl Future<Output = Result<Content, Error>> + Send + 'static,
    decode: Option<Decoder>,
) -> Body {
    body_of(stream::once(async move {
        let message = async { content.await?.decode(&host, decode).await }.await;
        message.map(|message| wrap(0, &message)).map_err(|error| host.status(&error))
    }))
}

/// A body of these pieces.
pub(crate) fn body_of(pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Body {
    Body::new(StreamBody::new(pieces.map_ok(Frame::data).fuse()))
}

/// The messages of an answer, and its status.
pub(crate) struct Messages<H> {
    body: Body,
    envelopes: Envelopes,
    /// The status, if the headers have it.
    status: Option<Status>,
    pub(crate) host: H,
}

/// The end of an answer.
#[derive(Debug)]
pub(crate) struct End {
    /// The status of the call.
    pub(crate) result: Result<(), Status>,
    /// The trailing metadata of the service.
    pub(crate) trailers: HeaderMap,
}

impl From<Status> for End {
    /// The end of a failed call without metadata.
    fn from(status: Status) -> Self {
        Self { result: Err(status), trailers: HeaderMap::new() }
    }
}

impl<H: CallHost> Messages<H> {
    /// The next message. Not to be called after the end.
    pub(crate) async fn next(&mut self) -> Result<Bytes, End> {
        loop {
            match self.envelopes.next() {
                Ok(Some((0, message))) => return Ok(message),
                Ok(None) => {}
                // The request has offered no compression to the service.
                Ok(Some(_)) | Err(_) => return Err(broken(&self.host).into()),
            }
            let (status, trailers) = match self.body.frame().await.transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    self.envelopes.push(&data);
                    continue;
                }
                Some(Err(frame)) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    (Status::from_header_map(&trailers), metadata(trailers))
                }
                None => (self.status.take(), HeaderMap::new()),
            };
            let status = status.unwrap_or_else(|| broken(&self.host));
            let result = if status.code() == Code::Ok { Ok(()) } else { Err(status) };
            return Err(End { result, trailers });
        }
    }
}

/// The path that gRPC and Connect call a method by: `/package.Service/Method`.
pub(crate) fn grpc_path(method: &MethodDescriptor) -> PathAndQuery {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    path.try_into().expect("names in protobuf are letters, digits and dots")
}

fn metadata(mut headers: HeaderMap) -> HeaderMap {
    for name in NOT_METADATA {
        headers.remove(name);
    }
    headers
}

/// The status for a service that violates the gRPC protocol.
fn broken(host: &impl CallHost) -> Status {
    host.in_span(|| {
        tracing::error!("the service's answer is not what gRPC and the method's description make of one");
    });
    host.end_with(&Error::Internal)
}

#[cfg(test)]
mod tests;
