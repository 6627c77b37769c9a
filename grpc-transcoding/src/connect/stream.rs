//! Connect calls with streams of messages, in one direction or in both. The envelopes are those of gRPC; compression
//! and the end of a stream differ.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::{Connect, error_json};
use crate::compression::{self, Encoding};
use crate::error::Error;
use crate::framing::{COMPRESSED, wrap};
use crate::grpc_call::{self, End, GrpcService, request_messages};
use crate::headers::{CONNECT_ACCEPT_ENCODING, CONNECT_CONTENT_ENCODING, GZIP};
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
    let (sent, error) = request_messages::decoded(body, encoding, host.clone(), call.decoder());
    let (headers, messages) = grpc_call::streaming(service, head, call.path(), sent, host).await;
    let state = (call.clone(), messages, error);
    let envelopes = stream::unfold(Some(state), move |state| async move {
        let (call, mut messages, error) = state?;
        let written = match messages.next().await {
            Ok(message) => match call.encode(message, &messages.host) {
                Ok(message) => Ok(in_envelope(&message, gzip)),
                Err(status) => Err(status.into()),
            },
            Err(End { result, trailers }) => {
                let result = error.get().map_or(result, |error| Err(messages.host.end_with(error)));
                Err(End { result, trailers })
            }
        };
        Some(match written {
            Ok(envelope) => (Ok(envelope), Some((call, messages, error))),
            Err(end) => (Ok(ending(&call, &end)), None),
        })
    });
    let mut response = compression::response(headers, call.content_type(), grpc_call::body_of(envelopes));
    if gzip {
        response.headers_mut().insert(CONNECT_CONTENT_ENCODING, GZIP);
    }
    Ok(response)
}

/// The answer to a call that fails before the first message.
pub(crate) fn failed(call: &Connect, status: &Status) -> Response<Body> {
    let end = ending(call, &status.clone().into());
    compression::response(HeaderMap::new(), call.content_type(), Body::new(Full::new(end)))
}

fn in_envelope(message: &[u8], gzip: bool) -> Bytes {
    match compression::compress(message, gzip) {
        Some(compressed) => wrap(COMPRESSED, &compressed),
        None => wrap(0, message),
    }
}

/// The message that ends an answer.
fn ending(call: &Connect, end: &End) -> Bytes {
    wrap(END, &error_json::end_of_stream(call.method.parent_pool(), end))
}
