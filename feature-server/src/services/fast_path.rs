//! Fast path for unary calls: a request that is one uncompressed frame, and an answer that is encoded already. tonic
//! handles all other requests.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_transcoding::headers::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_STATUS};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame as BodyFrame};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

use super::frame::Frame;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// A request after its first read.
pub(super) enum Received {
    /// The whole request, with its message.
    Message(Parts, Bytes),
    /// A request for tonic, with its whole body.
    Unusual(Request<Body>),
}

/// Receives a request.
///
/// `limit`: the largest message, in bytes.
pub(super) async fn receive(request: Request<Body>, limit: usize) -> Received {
    let (head, mut body) = request.into_parts();
    if head.headers.contains_key(GRPC_ENCODING) {
        return Received::Unusual(Request::from_parts(head, body));
    }
    let first = body.frame().await;
    let whole = match &first {
        Some(Ok(frame)) if body.is_end_stream() => frame.data_ref(),
        _ => None,
    };
    match whole.and_then(|data| Frame::only_message(data, limit)) {
        Some(message) => Received::Message(head, message),
        None => Received::Unusual(Request::from_parts(head, Body::new(Resumed { first, rest: body }))),
    }
}

/// The answer with this message, compressed if the client accepts that and it saves bytes.
///
/// `headers`: of the request.
pub(super) fn answer(headers: &HeaderMap, frame: Frame) -> Response<Body> {
    let compressed = if frame.is_worth_compressing() && takes_gzip(headers) { Some(frame.gzip()) } else { None };
    let encoding = compressed.is_some().then_some(GZIP);
    let body = Answer { frame: Some(compressed.unwrap_or(frame).into_bytes()), ended: false };
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response.headers_mut().extend(encoding.map(|encoding| (GRPC_ENCODING, encoding)));
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(GRPC_ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.split(',').any(|encoding| encoding.trim() == "gzip"))
}

/// The body of an answer: a frame, and trailers with status OK.
struct Answer {
    frame: Option<Bytes>,
    ended: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(frame) = this.frame.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(frame))));
        }
        if std::mem::replace(&mut this.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(BodyFrame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// A body whose first part has been read already.
struct Resumed {
    first: Option<Result<BodyFrame<Bytes>, Status>>,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}
