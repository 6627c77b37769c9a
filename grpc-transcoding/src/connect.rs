//! The Connect protocol, translated into gRPC and back: how its calls are recognised, answered and refused.
//!
//! Messages in JSON are converted by their descriptors, those in protobuf pass as they are. No service is known here.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use prost::Message as _;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::body::Body;

use super::json;
use super::protocol::NoCall;
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::transcoding::grpc_call::InnerService;

mod error_json;
mod query;
mod stream;
#[cfg(test)]
mod tests;
mod unary;

/// The header that tells the version of the protocol.
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");

/// The header with which a client tells how long it waits.
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");

/// A call in the Connect protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    method: MethodDescriptor,
    form: Form,
    codec: Codec,
}

/// How the messages of a call are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One message is the body.
    Post,
    /// One message is in the query. Without a query it is the empty message, in JSON.
    Get,
    /// Messages are in envelopes.
    Stream,
}

/// How a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Proto,
    Json,
}

impl Connect {
    /// Recognises a call.
    ///
    /// `method`: the one whose path, as in gRPC, is the request's.
    ///
    /// # Errors
    /// What is wrong with the request, if it is meant to be a call in this protocol.
    pub(crate) fn of<B>(method: &MethodDescriptor, request: &Request<B>) -> Result<Self, NoCall> {
        let form = match (request.method(), method.is_client_streaming() || method.is_server_streaming()) {
            (&Method::POST, false) => Form::Post,
            (&Method::POST, true) => Form::Stream,
            (&Method::GET | &Method::HEAD, false) if has_no_side_effects(method) => Form::Get,
            (_, false) if has_no_side_effects(method) => {
                return Err(NoCall::Verb(vec![Method::GET, Method::HEAD, Method::POST]));
            }
            _ => return Err(NoCall::Verb(vec![Method::POST])),
        };
        let content_type = || request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let codec = match form {
            Form::Post => Codec::of_content_type(content_type().unwrap_or_default(), "application/")?,
            Form::Stream => Codec::of_content_type(content_type().unwrap_or_default(), "application/connect+")?,
            Form::Get if query::is_absent(request.uri()) => Codec::Json,
            Form::Get => {
                let name = query::value(request.uri(), "encoding");
                name.and_then(|name| Codec::named(&name)).ok_or(NoCall::ContentType)?
            }
        };
        Ok(Self { method: method.clone(), form, codec })
    }

    /// Answers a call.
    ///
    /// `service`: what translated calls go to.
    pub(crate) async fn answer(self, service: impl InnerService, request: Request<Body>) -> Response<CallBody> {
        let context = CallContext::of(request.extensions());
        let answered = match (check_version(&request), self.form) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Form::Post | Form::Get) => unary::answer(&self, service, request).await,
            (Ok(()), Form::Stream) => stream::answer(&self, service, request).await,
        };
        answered.unwrap_or_else(|failure| self.refuse(&failure, &context))
    }

    /// The answer to a call that failed before it came to a service.
    pub(crate) fn refuse(&self, failure: &Failure, context: &CallContext) -> Response<CallBody> {
        let status = failure.status(context.request_id());
        context.set_code(status.code());
        match self.form {
            Form::Post | Form::Get => unary::failed(self, HeaderMap::new(), &status, false),
            Form::Stream => stream::failed(self, &status),
        }
    }

    /// The path of the method in gRPC.
    fn path(&self) -> PathAndQuery {
        let path = format!("/{}/{}", self.method.parent_service().full_name(), self.method.name());
        PathAndQuery::try_from(path).expect("names in protobuf are letters, digits and dots")
    }

    /// Makes of a message that the client has sent what it is in gRPC; none where it is that already.
    fn decoder(&self) -> Option<impl Fn(Bytes) -> Result<Bytes, Failure> + Clone + Send + Sync + Unpin + 'static> {
        let input = self.method.input();
        (self.codec == Codec::Json).then_some(move |content: Bytes| {
            let message = json::decode(&input, &content).map_err(Failure::FieldsInvalid)?;
            Ok(message.encode_to_vec().into())
        })
    }

    /// A message of the service's, as the client reads it.
    fn encode(&self, message: Bytes, context: &CallContext) -> Result<Bytes, Failure> {
        match self.codec {
            Codec::Proto => Ok(message),
            Codec::Json => match DynamicMessage::decode(self.method.output(), message) {
                Ok(message) => Ok(context.in_span(|| json::encode(&message)).into()),
                Err(error) => {
                    context.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
                    Err(Failure::Internal)
                }
            },
        }
    }

    /// The content type of an answer, if it succeeds.
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match (self.form, self.codec) {
            (Form::Stream, Codec::Proto) => "application/connect+proto",
            (Form::Stream, Codec::Json) => "application/connect+json",
            (_, Codec::Proto) => "application/proto",
            (_, Codec::Json) => "application/json",
        })
    }
}

impl Codec {
    /// The codec of a content type that begins with `prefix`. The one parameter that matters is the charset, which may
    /// also have the name `utf8`: that is not registered, and common.
    fn of_content_type(content_type: &str, prefix: &str) -> Result<Self, NoCall> {
        let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        let codec = essence.strip_prefix(prefix).and_then(Self::named).ok_or(NoCall::ContentType)?;
        let mut charsets = parts.filter_map(|part| Some(part.strip_prefix("charset=")?.trim_matches('"').to_owned()));
        match charsets.find(|charset| !["utf-8", "utf8"].contains(&charset.as_str())) {
            Some(other) => Err(NoCall::Charset(other)),
            None => Ok(codec),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "proto" => Some(Codec::Proto),
            "json" => Some(Codec::Json),
            _ => None,
        }
    }
}

/// Checks that a content type is that of JSON in UTF-8, which is what JSON is in.
pub(crate) fn check_json(content_type: &str) -> Result<(), NoCall> {
    match Codec::of_content_type(content_type, "application/")? {
        Codec::Json => Ok(()),
        Codec::Proto => Err(NoCall::ContentType),
    }
}

fn has_no_side_effects(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}

/// The version may be left out; another one than the first is none that is known here.
fn check_version<B>(request: &Request<B>) -> Result<(), Failure> {
    if request.headers().get(PROTOCOL_VERSION).is_some_and(|version| version != "1") {
        return Err(Failure::field(PROTOCOL_VERSION.as_str(), "must be 1"));
    }
    if *request.method() != Method::POST
        && query::value(request.uri(), "connect").is_some_and(|version| version != "v1")
    {
        return Err(Failure::field("connect", "must be v1"));
    }
    Ok(())
}

/// What a client's headers say about how long it waits.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let mut values = headers.get_all(TIMEOUT).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match milliseconds(value.as_bytes()) {
        Some(timeout) if values.next().is_none() => Ok(Some(timeout)),
        _ => Err(Failure::field(TIMEOUT.as_str(), "must be given once, as 1 to 10 digits")),
    }
}

/// The protocol says 'positive', yet clients whose time is already up send 0: it means just that.
fn milliseconds(digits: &[u8]) -> Option<Duration> {
    let is_number = (1..=10).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = || digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    is_number.then(|| Duration::from_millis(number()))
}
