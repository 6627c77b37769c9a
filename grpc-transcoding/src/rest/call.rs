//! A REST call: its path, query and body become the message of a gRPC call, and the answer becomes JSON.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::Status;
use tonic::body::Body;
use tonic_types::FieldViolation;

use super::field::FieldPath;
use super::{Route, events, route};
use crate::compression::{self, Decoder};
use crate::error::Error;
use crate::error::client_text::{MAX_CHARS, cut};
use crate::grpc_call::{self, End, GrpcService, Messages};
use crate::headers::{EVENT_STREAM, JSON, JSON_LINES, LAST_EVENT_ID};
use crate::host::CallHost;
use crate::json::{self, path::MAX_VIOLATIONS};
use crate::percent::{self, Place};

/// The most parameters of a query.
const MAX_PARAMETERS: usize = 1_000;

/// A call of the method of a route.
#[derive(Debug, Clone)]
pub struct RestCall {
    /// The route of the call.
    pub route: Arc<Route>,
    /// The values of the path variables, in their order and percent-encoded.
    pub(crate) bindings: Vec<String>,
    /// Whether a stream is sent as server-sent events.
    pub(crate) sends_events: bool,
}

impl RestCall {
    /// Calls the service, and translates its answer.
    pub(crate) async fn answer<H: CallHost>(self, service: impl GrpcService, request: Request<Body>) -> Response<Body> {
        let host = H::of(request.extensions());
        let (head, body) = request.into_parts();
        let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
        let path = self.route.grpc_path.clone();
        let (call, query) = (self.clone(), head.uri.query().map(str::to_owned));
        let resumed = self.sends_events.then(|| head.headers.get(LAST_EVENT_ID).cloned()).flatten();
        let decode: Decoder = Arc::new(move |body| {
            let mut message = call.request(query.as_deref(), body).map_err(Error::FieldsInvalid)?;
            events::resume(&mut message, resumed.as_ref());
            Ok(message.encode_to_vec().into())
        });
        let content = compression::read(body, head.headers.clone(), host.message_bytes());
        let message = grpc_call::lazy_message(host.clone(), content, Some(decode));
        if self.route.method.is_server_streaming() {
            let (headers, messages) = grpc_call::streaming(service, head, path, message, &host).await;
            return self.stream(headers, messages).await;
        }
        let (mut headers, result, trailers) = grpc_call::unary(service, head, path, message, &host).await;
        headers.extend(trailers);
        match result.and_then(|message| self.encode(message, &host)) {
            Ok(json) => compression::answer(headers, JSON, json, gzip),
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

    /// The answer to a streaming call: one JSON text a line, and after a failure the line `{"error": STATUS}`; or
    /// server-sent events. If the stream fails before its first message, it is that of any failed call.
    async fn stream(self, headers: HeaderMap, mut messages: Messages<impl CallHost>) -> Response<Body> {
        let first = messages.next().await;
        if let Err(End { result: Err(status), .. }) = &first {
            return self.failed(headers, status, false);
        }
        let sends_events = self.sends_events;
        let pieces = stream::unfold(Some((self, Some(first), messages)), |state| async {
            let (call, first, mut messages) = state?;
            let next = match first {
                Some(first) => first,
                None => messages.next().await,
            };
            let piece = match next {
                Ok(message) => call.encode(message.clone(), &messages.host).map(|json| call.piece(&message, &json)),
                Err(end) => Err(end.result.err()?),
            };
            Some(match piece {
                Ok(piece) => (Ok(piece), Some((call, None, messages))),
                Err(status) => (Ok(call.last_piece(&status)), None),
            })
        });
        let content_type = HeaderValue::from_static(if sends_events { EVENT_STREAM } else { JSON_LINES });
        let mut response = compression::response(headers, content_type, grpc_call::body_of(pieces));
        if sends_events {
            // A cache would keep the events to itself.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }

    /// A message of a stream.
    fn piece(&self, message: &Bytes, json: &[u8]) -> Bytes {
        if self.sends_events {
            events::event(&self.route.method.output(), message, json)
        } else {
            [json, b"\n"].concat().into()
        }
    }

    /// The failure that ends a stream.
    fn last_piece(&self, status: &Status) -> Bytes {
        let error = self.encode_status(status);
        if self.sends_events { events::error(&error) } else { [b"{\"error\":", &error[..], b"}\n"].concat().into() }
    }

    fn encode(&self, message: Bytes, host: &impl CallHost) -> Result<Bytes, Status> {
        if let Some(json) = self.route.answers.get(&message) {
            return Ok(json);
        }
        let decoded = DynamicMessage::decode(self.route.method.output(), message.clone()).map_err(|error| {
            host.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
            host.end_with(&Error::Internal)
        })?;
        let json = Bytes::from(host.in_span(|| self.route.response(&decoded)));
        // A copy, because the message may be a slice of a larger buffer.
        self.route.answers.insert(Bytes::copy_from_slice(&message), json.clone());
        Ok(json)
    }

    fn encode_status(&self, status: &Status) -> Bytes {
        json::encode_status(self.route.method.parent_pool(), status).into()
    }

    /// The request message. An empty body is an empty message, or an unset field.
    ///
    /// Violations name fields of the path and the body by their JSON path, and parameters as the client writes them,
    /// percent-decoded and cut off.
    pub fn request(&self, query: Option<&str>, body: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let mut violations = Vec::new();
        let mut message = self.read_body(body).unwrap_or_else(|problems| {
            violations = problems;
            DynamicMessage::new(self.route.method.input())
        });
        let variables = self.route.variables.iter().zip(&self.route.template.variables);
        for ((field, variable), text) in variables.zip(&self.bindings) {
            let put = field.value(text, variable.place).and_then(|value| match field.get(&message) {
                Some(other) if *other != value => Err("has another value in the body than in the path".to_owned()),
                _ => field.put(&mut message, value),
            });
            if let Err(problem) = put {
                violations.push(FieldViolation::new(field.json(), problem));
            }
        }
        self.read_query(query.unwrap_or_default(), &mut message, &mut violations);
        if violations.is_empty() { Ok(message) } else { Err(violations) }
    }

    fn read_body(&self, body: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let input = self.route.method.input();
        match &self.route.body {
            _ if body.is_empty() => Ok(DynamicMessage::new(input)),
            route::Body::None if body.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}") => {
                Ok(DynamicMessage::new(input))
            }
            route::Body::None => {
                let description = "must be empty or {}: this call takes its fields from the path and the query";
                Err(vec![FieldViolation::new(json::BODY, description)])
            }
            route::Body::Whole => json::decode(&input, body),
            route::Body::Field(field) => {
                let mut message = DynamicMessage::new(input);
                message.set_field(field, json::decode_field(field, body)?);
                Ok(message)
            }
        }
    }

    fn read_query(&self, query: &str, message: &mut DynamicMessage, violations: &mut Vec<FieldViolation>) {
        let mut seen = HashSet::new();
        let mut put = |name: &str, value: &str| {
            let field = FieldPath::of_parameter(&self.route.method.input(), &percent::decode(name, Place::Query)?)?;
            if self.route.variables.contains(&field) {
                return Err("is a part of the path".to_owned());
            }
            if self.route.body == route::Body::Whole || self.route.body == route::Body::Field(field.root().clone()) {
                return Err("belongs into the body".to_owned());
            }
            let is_single = !field.leaf.is_list() && !field.leaf.is_map();
            if is_single && !seen.insert(field.json()) {
                return Err("is given more than once".to_owned());
            }
            field.put(message, field.value(value, Place::Query)?)
        };
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        for (index, parameter) in parameters.take(MAX_PARAMETERS + 1).enumerate() {
            if violations.len() >= MAX_VIOLATIONS {
                return;
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let result = match index {
                MAX_PARAMETERS => Err(format!("is one too many: {MAX_PARAMETERS} can be given")),
                _ => put(name, value),
            };
            if let Err(problem) = result {
                let name = percent::decode(name, Place::Query).unwrap_or(name.into());
                violations.push(FieldViolation::new(cut(&name, MAX_CHARS), problem));
            }
        }
    }
}

#[cfg(test)]
mod tests;
