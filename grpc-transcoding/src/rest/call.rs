//! A REST call: it becomes a gRPC call, and its answer becomes JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Bindings, Route};
use crate::error::Error;
use crate::grpc_call::{self, Answer, GrpcService, Messages, Part};
use crate::headers::{BEARER, JSON, NOSNIFF};
use crate::host::CallHost;
use crate::{compression, json};

/// The content type of a stream: one JSON text a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A call of the method of a route.
#[derive(Debug, Clone)]
pub struct RestCall {
    route: Arc<Route>,
    bindings: Bindings,
}

impl RestCall {
    /// A call by `route`, with these values of its path variables.
    pub(crate) fn new(route: Arc<Route>, bindings: Bindings) -> Self {
        Self { route, bindings }
    }

    /// The gRPC path of the method.
    pub(crate) fn grpc_path(&self) -> &PathAndQuery {
        self.route.grpc_path()
    }

    /// Calls the service, and translates its answer.
    pub(crate) async fn answer(
        self,
        service: impl GrpcService,
        request: Request<Body>,
        host: impl CallHost,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
        let path = self.route.grpc_path().clone();
        let (headers, query) = (head.headers.clone(), head.uri.query().map(str::to_owned));
        let (call, decoding) = (self.clone(), host.clone());
        let message = grpc_call::lazy_message(host.clone(), async move {
            let decode = move |body: Bytes| {
                let message = call.route.request(&call.bindings, query.as_deref(), &body);
                message.map(|message| message.encode_to_vec().into()).map_err(Error::FieldsInvalid)
            };
            compression::read(body, &headers, &decoding).await?.decode(&decoding, decode).await
        });
        if self.route.is_server_streaming() {
            let (headers, messages) = grpc_call::streaming(service, head, path, message, &host).await;
            return self.stream(headers, messages, host).await;
        }
        let Answer { mut headers, result, trailers } = grpc_call::unary(service, head, path, message, &host).await;
        headers.extend(trailers);
        match result.and_then(|message| self.encode(message, &host)) {
            Ok(json) => compression::answer(StatusCode::OK, headers, JSON, json, gzip),
            Err(status) => self.failed(headers, &status, gzip),
        }
    }

    /// The answer to a call that never reaches the service.
    pub(crate) fn refuse(&self, status: &Status) -> Response<Body> {
        self.failed(HeaderMap::new(), status, false)
    }

    fn failed(&self, mut headers: HeaderMap, status: &Status, gzip: bool) -> Response<Body> {
        if status.code() == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, BEARER);
        }
        compression::answer(json::http_status(status.code()), headers, JSON, self.encode_status(status), gzip)
    }

    /// The answer to a streaming call. If the stream fails before its first message, it is that of any failed call.
    async fn stream<B, H>(self, headers: HeaderMap, mut messages: Messages<B, H>, host: H) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error = Status> + Unpin + Send + 'static,
        H: CallHost,
    {
        let first = messages.next().await;
        if let Part::End { result: Err(status), .. } = &first {
            return self.failed(headers, status, false);
        }
        let lines = Lines { call: self, first: Some(first), messages, ended: false, host };
        let mut response = Response::new(Body::new(lines));
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, LINES);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        response
    }

    fn encode(&self, message: Bytes, host: &impl CallHost) -> Result<Bytes, Status> {
        self.route.answers.json(&message, |message| match DynamicMessage::decode(self.route.method.output(), message) {
            Ok(message) => Ok(host.in_span(|| self.route.response(&message))),
            Err(error) => {
                host.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
                Err(host.end_with(&Error::Internal))
            }
        })
    }

    fn encode_status(&self, status: &Status) -> Bytes {
        json::encode_status(self.route.method.parent_pool(), status).into()
    }
}

/// The body of a streaming answer: one JSON text a line. The last line of a failed stream is `{"error": STATUS}`.
struct Lines<B, H> {
    call: RestCall,
    first: Option<Part>,
    messages: Messages<B, H>,
    ended: bool,
    host: H,
}

impl<B: http_body::Body<Data = Bytes, Error = Status> + Unpin, H: CallHost> http_body::Body for Lines<B, H> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let part = match this.first.take() {
            Some(part) => part,
            None => ready!(this.messages.poll_next(cx)),
        };
        let json = match part {
            Part::Message(message) => this.call.encode(message, &this.host),
            Part::End { result: Ok(()), .. } => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Part::End { result: Err(status), .. } => Err(status),
        };
        let line = json.map(|json| [&json[..], b"\n"].concat()).unwrap_or_else(|status| {
            this.ended = true;
            [b"{\"error\":", &this.call.encode_status(&status)[..], b"}\n"].concat()
        });
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}

#[cfg(test)]
mod tests;
