//! A call over plain HTTP with JSON, made as a gRPC call, and its answer as JSON.
//!
//! Which method a path calls, and what stands where, is known to `rest`; how JSON is read and written, to `json`.

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
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::permit::Share;
use crate::transcoding::grpc_call::{self, Answer, InnerService, Messages, Part};
use crate::transcoding::protocol::JSON;
use crate::transcoding::{compression, json};

/// The content type of a stream: one JSON text a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A call of the method that a route leads to.
#[derive(Debug, Clone)]
pub(crate) struct RestCall {
    route: Arc<Route>,
    bindings: Bindings,
}

impl RestCall {
    /// A call by `route`, whose variables stand for `bindings`.
    pub(crate) fn new(route: Arc<Route>, bindings: Bindings) -> Self {
        Self { route, bindings }
    }

    /// The path of the method that is called, as in gRPC.
    pub(crate) fn grpc_path(&self) -> &PathAndQuery {
        self.route.grpc_path()
    }

    /// Answers the call.
    ///
    /// `service`: what the call is made to.
    pub(crate) async fn answer(self, service: impl InnerService, request: Request<Body>) -> Response<CallBody> {
        let (head, body) = request.into_parts();
        let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
        let path = self.route.grpc_path().clone();
        let (headers, query) = (head.headers.clone(), head.uri.query().map(str::to_owned));
        let context = CallContext::of(&head.extensions);
        let call = self.clone();
        let share = Share::of_call(&head.extensions);
        let message = grpc_call::message_when_asked_for(context.clone(), async move {
            let decode = move |body: Bytes| {
                let message = call.route.request(&call.bindings, query.as_deref(), &body);
                message.map(|message| message.encode_to_vec().into()).map_err(Failure::FieldsInvalid)
            };
            compression::read(body, &headers, &share).await?.decode(&share, decode).await
        });
        if self.route.is_server_streaming() {
            let (headers, messages) = grpc_call::streaming(service, head, path, message).await;
            return self.stream(headers, messages, context).await;
        }
        let Answer { mut headers, result, trailers } = grpc_call::unary(service, head, path, message).await;
        headers.extend(trailers);
        match result.and_then(|message| self.encode(message, &context)) {
            Ok(json) => compression::answer(StatusCode::OK, headers, JSON, json, gzip),
            Err(status) => self.failed(headers, &status, gzip),
        }
    }

    /// The answer to a call that failed before it came to a service.
    pub(crate) fn refuse(&self, failure: &Failure, context: &CallContext) -> Response<CallBody> {
        let status = failure.status(context.request_id());
        context.set_code(status.code());
        self.failed(HeaderMap::new(), &status, false)
    }

    fn failed(&self, mut headers: HeaderMap, status: &Status, gzip: bool) -> Response<CallBody> {
        if status.code() == Code::Unauthenticated {
            // RFC 9110, section 11.6.1: a 401 tells how to authenticate.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        compression::answer(json::http_status(status.code()), headers, JSON, self.encode_status(status), gzip)
    }

    /// A stream that fails before its first message is answered like any other failed call.
    async fn stream(self, headers: HeaderMap, mut messages: Messages, context: CallContext) -> Response<CallBody> {
        let first = messages.next().await;
        if let Part::End { result: Err(status), .. } = &first {
            return self.failed(headers, status, false);
        }
        let lines = Lines { call: self, first: Some(first), messages, ended: false, context };
        let mut response = Response::new(CallBody::translated(Body::new(lines)));
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, LINES);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, compression::NOSNIFF);
        response
    }

    fn encode(&self, message: Bytes, context: &CallContext) -> Result<Bytes, Status> {
        self.route.answers.json(&message, |message| match DynamicMessage::decode(self.route.method.output(), message) {
            Ok(message) => Ok(context.in_span(|| self.route.response(&message))),
            Err(error) => {
                context.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
                context.set_code(Code::Internal);
                Err(Failure::Internal.status(context.request_id()))
            }
        })
    }

    fn encode_status(&self, status: &Status) -> Bytes {
        json::encode_status(self.route.method.parent_pool(), status).into()
    }
}

/// A stream of answers, one JSON text a line. Should it fail, the last line is `{"error": STATUS}`.
struct Lines {
    call: RestCall,
    first: Option<Part>,
    messages: Messages,
    ended: bool,
    context: CallContext,
}

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = match self.first.take() {
            Some(part) => part,
            None => ready!(self.messages.poll_next(cx)),
        };
        let json = match part {
            Part::Message(message) => self.call.encode(message, &self.context),
            Part::End { result: Ok(()), .. } => {
                self.ended = true;
                return Poll::Ready(None);
            }
            Part::End { result: Err(status), .. } => Err(status),
        };
        let line = json.map(|json| [&json[..], b"\n"].concat()).unwrap_or_else(|status| {
            self.ended = true;
            [b"{\"error\":", &self.call.encode_status(&status)[..], b"}\n"].concat()
        });
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}

#[cfg(test)]
mod tests;
