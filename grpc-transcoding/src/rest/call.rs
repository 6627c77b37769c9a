//! A REST call: it becomes a gRPC call, and its answer becomes JSON.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::Status;
use tonic::body::Body;

use super::Route;
use crate::error::Error;
use crate::grpc_call::{self, End, GrpcService, Messages};
use crate::headers::JSON;
use crate::host::CallHost;
use crate::{compression, json};

/// The content type of a stream: one JSON text a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// A call of the method of a route.
#[derive(Debug, Clone)]
pub struct RestCall {
    /// The route of the call.
    pub route: Arc<Route>,
    /// The values of the path variables, in their order and percent-encoded.
    pub(crate) bindings: Vec<String>,
}

impl RestCall {
    /// Calls the service, and translates its answer.
    pub(crate) async fn answer(
        self,
        service: impl GrpcService,
        request: Request<Body>,
        host: impl CallHost,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
        let path = self.route.grpc_path.clone();
        let (headers, query) = (head.headers.clone(), head.uri.query().map(str::to_owned));
        let (call, decoding) = (self.clone(), host.clone());
        let message = grpc_call::lazy_message(host.clone(), async move {
            let decode = move |body: Bytes| {
                let message = call.request(query.as_deref(), &body).map_err(Error::FieldsInvalid)?;
                Ok(message.encode_to_vec().into())
            };
            compression::read(body, &headers, &decoding).await?.decode(&decoding, Some(decode)).await
        });
        if self.route.method.is_server_streaming() {
            let (headers, messages) = grpc_call::streaming(service, head, path, message, &host).await;
            return self.stream(headers, messages).await;
        }
        let (mut headers, result, trailers) = grpc_call::unary(service, head, path, message, &host).await;
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

    fn failed(&self, headers: HeaderMap, status: &Status, gzip: bool) -> Response<Body> {
        compression::failed(status.code(), headers, self.encode_status(status), gzip)
    }

    /// The answer to a streaming call: one JSON text a line, and after a failure the line `{"error": STATUS}`. If the
    /// stream fails before its first message, it is that of any failed call.
    async fn stream(self, headers: HeaderMap, mut messages: Messages<impl CallHost>) -> Response<Body> {
        let first = messages.next().await;
        if let Err(End { result: Err(status), .. }) = &first {
            return self.failed(headers, status, false);
        }
        let lines = stream::unfold(Some((self, Some(first), messages)), |state| async {
            let (call, first, mut messages) = state?;
            let next = match first {
                Some(first) => first,
                None => messages.next().await,
            };
            let json = match next {
                Ok(message) => call.encode(message, &messages.host),
                Err(end) => Err(end.result.err()?),
            };
            Some(match json {
                Ok(json) => (Ok([&json[..], b"\n"].concat().into()), Some((call, None, messages))),
                Err(status) => {
                    let error = call.encode_status(&status);
                    (Ok([b"{\"error\":", &error[..], b"}\n"].concat().into()), None)
                }
            })
        });
        compression::response(headers, LINES, grpc_call::body_of(lines))
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

#[cfg(test)]
mod tests;
