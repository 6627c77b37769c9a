//! The Connect protocol: how its calls are recognised, translated and refused. JSON messages are converted by their
//! descriptors; protobuf messages pass unchanged.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT;
use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use prost::Message as _;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;
use tonic::body::Body;

use super::compression::{self, Content, Decoder, Encoding};
use super::error::Error;
use super::framing::{COMPRESSED, wrap};
use super::grpc_call::{self, End, GrpcService, grpc_path, request_messages};
use super::headers::{CONNECT_ACCEPT_ENCODING, CONNECT_CONTENT_ENCODING, CONNECT_PROTOCOL_VERSION, GZIP};
use super::host::CallHost;
use super::{json, percent};

mod error_json;
#[cfg(test)]
mod tests;

/// The flag of the message that ends a stream.
const END: u8 = 2;

/// A call in the Connect protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    method: MethodDescriptor,
    form: Form,
    codec: Codec,
}

/// How the messages of a call are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The body is one message.
    Post,
    /// The query has one message.
    Get,
    /// The body is a stream of messages in envelopes.
    Stream,
}

/// How a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Proto,
    Json,
}

impl Connect {
    /// Recognises a call of the method with the path of the request. The error says why the request is no call.
    pub(crate) fn of<B>(method: &MethodDescriptor, request: &Request<B>) -> Result<Self, Error> {
        let options = method.method_descriptor_proto().options.as_ref();
        let is_safe = options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects);
        let form = match (request.method(), method.is_client_streaming() || method.is_server_streaming()) {
            (&Method::POST, false) => Form::Post,
            (&Method::POST, true) => Form::Stream,
            (verb, false) if is_safe => match *verb {
                Method::GET | Method::HEAD => Form::Get,
                _ => return Err(Error::VerbNotAllowed(vec![Method::GET, Method::HEAD, Method::POST])),
            },
            _ => return Err(Error::VerbNotAllowed(vec![Method::POST])),
        };
        let content_type = || request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let codec = match form {
            Form::Post => Codec::of_content_type(content_type().unwrap_or_default(), "application/")?,
            Form::Stream => Codec::of_content_type(content_type().unwrap_or_default(), "application/connect+")?,
            Form::Get if request.uri().query().is_none_or(str::is_empty) => Codec::Json,
            Form::Get => {
                let name = query_value(request.uri(), "encoding");
                name.and_then(|name| Codec::named(&name)).ok_or(Error::ContentTypeUnsupported)?
            }
        };
        Ok(Self { method: method.clone(), form, codec })
    }

    /// Calls the service, and translates its answer.
    pub(crate) async fn answer<H: CallHost>(self, service: impl GrpcService, request: Request<Body>) -> Response<Body> {
        let host = H::of(request.extensions());
        match (check_version(&request), self.form) {
            (Err(error), _) => self.refuse(&host.end_with(&error)),
            (Ok(()), Form::Post | Form::Get) => self.unary(service, request, &host).await,
            (Ok(()), Form::Stream) => self.stream(service, request, &host).await,
        }
    }

    /// Answers a call with one message in each direction.
    async fn unary(&self, service: impl GrpcService, request: Request<Body>, host: &impl CallHost) -> Response<Body> {
        let (head, body) = request.into_parts();
        let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
        let (form, uri, headers, limit) = (self.form, head.uri.clone(), head.headers.clone(), host.message_bytes());
        let content = async move {
            match form {
                Form::Get => query_message(&uri, limit),
                Form::Post | Form::Stream => compression::read(body, headers, limit).await,
            }
        };
        let message = grpc_call::lazy_message(host.clone(), content, self.decoder());
        let (mut headers, result, trailers) =
            grpc_call::unary(service, head, grpc_path(&self.method), message, host).await;
        for (name, value) in &trailers {
            // A name that is too long with its prefix is left out.
            if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
                headers.append(name, value.clone());
            }
        }
        match result.map(|message| self.encode(message, host)) {
            Ok(Ok(content)) => compression::answer(headers, self.content_type(), content, gzip),
            Ok(Err(status)) => self.refuse(&status),
            Err(status) => self.failed(headers, &status, gzip),
        }
    }

    /// Answers a call with streams of messages, in one direction or in both. The envelopes are those of gRPC;
    /// compression and the end of a stream differ.
    async fn stream(&self, service: impl GrpcService, request: Request<Body>, host: &impl CallHost) -> Response<Body> {
        let (head, body) = request.into_parts();
        let encoding = match Encoding::of(&head.headers, CONNECT_CONTENT_ENCODING) {
            Ok(encoding) => encoding,
            Err(error) => return self.refuse(&host.end_with(&error)),
        };
        let gzip = compression::accepts_gzip(&head.headers, CONNECT_ACCEPT_ENCODING);
        let (sent, error) = {
            let single = !self.method.is_client_streaming();
            request_messages::decoded(body, encoding, host.clone(), self.decoder(), single)
        };
        let (headers, messages) = grpc_call::streaming(service, head, grpc_path(&self.method), sent, host).await;
        let state = (self.clone(), messages, error);
        let envelopes = stream::unfold(Some(state), move |state| async move {
            let (call, mut messages, error) = state?;
            let written = match messages.next().await {
                Ok(message) => call.encode(message, &messages.host).map_err(End::from),
                Err(End { result, trailers }) => {
                    let result = error.get().map_or(result, |error| Err(messages.host.end_with(error)));
                    Err(End { result, trailers })
                }
            };
            let envelope = match &written {
                Ok(message) => match compression::compress(message, gzip) {
                    Some(compressed) => wrap(COMPRESSED, &compressed),
                    None => wrap(0, message),
                },
                Err(end) => call.end(end),
            };
            Some((Ok(envelope), written.is_ok().then_some((call, messages, error))))
        });
        let mut response = compression::response(headers, self.content_type(), grpc_call::body_of(envelopes));
        if gzip {
            response.headers_mut().insert(CONNECT_CONTENT_ENCODING, GZIP);
        }
        response
    }

    /// The answer to a call that never reaches the service.
    pub(crate) fn refuse(&self, status: &Status) -> Response<Body> {
        match self.form {
            Form::Post | Form::Get => self.failed(HeaderMap::new(), status, false),
            Form::Stream => {
                let end = Body::new(Full::new(self.end(&status.clone().into())));
                compression::response(HeaderMap::new(), self.content_type(), end)
            }
        }
    }

    /// The answer to a failed call with one message in each direction.
    fn failed(&self, headers: HeaderMap, status: &Status, gzip: bool) -> Response<Body> {
        let json = error_json::body(self.method.parent_pool(), status);
        compression::failed(status.code(), headers, json, gzip)
    }

    /// The message that ends a stream.
    fn end(&self, end: &End) -> Bytes {
        wrap(END, &error_json::end_of_stream(self.method.parent_pool(), end))
    }

    /// Turns a message of the client into a gRPC message; None if it is one.
    fn decoder(&self) -> Option<Decoder> {
        let input = self.method.input();
        let decode: Decoder = Arc::new(move |content| {
            let message = json::decode(&input, content).map_err(Error::FieldsInvalid)?;
            Ok(message.encode_to_vec().into())
        });
        (self.codec == Codec::Json).then_some(decode)
    }

    /// A message of the service, in the codec of the client.
    fn encode(&self, message: Bytes, host: &impl CallHost) -> Result<Bytes, Status> {
        if self.codec == Codec::Proto {
            return Ok(message);
        }
        match DynamicMessage::decode(self.method.output(), message) {
            Ok(message) => Ok(host.in_span(|| json::encode(&message)).into()),
            Err(error) => {
                host.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
                Err(host.end_with(&Error::Internal))
            }
        }
    }

    /// The content type of a successful answer.
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
    /// The codec of a content type that begins with `prefix`. The charset is the only relevant parameter. Its name
    /// `utf8` is not registered, but common.
    fn of_content_type(content_type: &str, prefix: &str) -> Result<Self, Error> {
        let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        let codec = essence.strip_prefix(prefix).and_then(Self::named).ok_or(Error::ContentTypeUnsupported)?;
        let mut charsets = parts.filter_map(|part| Some(part.strip_prefix("charset=")?.trim_matches('"').to_owned()));
        let other = charsets.find(|charset| !["utf-8", "utf8"].contains(&charset.as_str()));
        other.map_or(Ok(codec), |charset| Err(Error::CharsetUnsupported(charset)))
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "proto" => Some(Codec::Proto),
            "json" => Some(Codec::Json),
            _ => None,
        }
    }
}

/// Checks that a content type is JSON in UTF-8.
pub(crate) fn check_json(content_type: &str) -> Result<(), Error> {
    let codec = Codec::of_content_type(content_type, "application/")?;
    if codec == Codec::Json { Ok(()) } else { Err(Error::ContentTypeUnsupported) }
}

/// Checks the version of the protocol, which is 1 or missing.
fn check_version<B>(request: &Request<B>) -> Result<(), Error> {
    if request.headers().get(CONNECT_PROTOCOL_VERSION).is_some_and(|version| version != "1") {
        return Err(Error::field(CONNECT_PROTOCOL_VERSION.as_str(), "must be 1"));
    }
    if *request.method() != Method::POST && query_value(request.uri(), "connect").is_some_and(|version| version != "v1")
    {
        return Err(Error::field("connect", "must be v1"));
    }
    Ok(())
}

/// The message in the query of a GET request, of at most `limit` bytes. Unknown parameters are ignored, as the protocol
/// asks for. A request without a query is a call with an empty message in JSON: health checkers send such requests.
fn query_message(uri: &Uri, limit: usize) -> Result<Content, Error> {
    if uri.query().is_none_or(str::is_empty) {
        return Ok(Content { encoding: Encoding::Identity, bytes: Bytes::from_static(b"{}") });
    }
    let message = query_bytes(uri, "message").ok_or(Error::ContentMalformed("the parameter 'message' is missing"))?;
    let encoding = Encoding::parse(&query_bytes(uri, "compression").unwrap_or_default())?;
    let malformed = |_| Error::ContentMalformed("the parameter 'message' is not base64 in its URL-safe form");
    let message = match query_value(uri, "base64").as_deref() {
        Some("1") => URL_SAFE_NO_PAD_INDIFFERENT.decode(message).map_err(malformed)?,
        _ => message,
    };
    if message.len() > limit {
        return Err(Error::MessageTooLarge { limit });
    }
    Ok(Content { encoding, bytes: message.into() })
}

/// The first value of a parameter, if it is text.
fn query_value(uri: &Uri, name: &str) -> Option<String> {
    String::from_utf8(query_bytes(uri, name)?).ok()
}

fn query_bytes(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    let mut pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| percent::decode_lossy(key) == name.as_bytes())?;
    Some(percent::decode_lossy(value))
}
