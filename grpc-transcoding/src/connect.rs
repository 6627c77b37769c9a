//! The Connect protocol: how its calls are recognised, translated and refused. JSON messages are converted by their
//! descriptors; protobuf messages pass unchanged.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use prost::Message as _;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;
use tonic::body::Body;

use super::error::Error;
use super::grpc_call::GrpcService;
use super::headers::CONNECT_PROTOCOL_VERSION;
use super::host::CallHost;
use super::json;

mod error_json;
mod query;
mod stream;
#[cfg(test)]
mod tests;
mod unary;

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
    /// The query has one message. A missing query stands for an empty message in JSON.
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
    /// Recognises a call.
    ///
    /// `method`: the method with the path of the request.
    ///
    /// # Errors
    /// [`Error`] says why the request is no call.
    pub(crate) fn of<B>(method: &MethodDescriptor, request: &Request<B>) -> Result<Self, Error> {
        let form = match (request.method(), method.is_client_streaming() || method.is_server_streaming()) {
            (&Method::POST, false) => Form::Post,
            (&Method::POST, true) => Form::Stream,
            (&Method::GET | &Method::HEAD, false) if has_no_side_effects(method) => Form::Get,
            (_, false) if has_no_side_effects(method) => {
                return Err(Error::VerbNotAllowed(vec![Method::GET, Method::HEAD, Method::POST]));
            }
            _ => return Err(Error::VerbNotAllowed(vec![Method::POST])),
        };
        let content_type = || request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let codec = match form {
            Form::Post => Codec::of_content_type(content_type().unwrap_or_default(), "application/")?,
            Form::Stream => Codec::of_content_type(content_type().unwrap_or_default(), "application/connect+")?,
            Form::Get if query::is_absent(request.uri()) => Codec::Json,
            Form::Get => {
                let name = query::value(request.uri(), "encoding");
                name.and_then(|name| Codec::named(&name)).ok_or(Error::ContentTypeUnsupported)?
            }
        };
        Ok(Self { method: method.clone(), form, codec })
    }

    /// Calls the service, and translates its answer.
    pub(crate) async fn answer(
        self,
        service: impl GrpcService,
        request: Request<Body>,
        host: impl CallHost,
    ) -> Response<Body> {
        let answered = match (check_version(&request), self.form) {
            (Err(error), _) => Err(error),
            (Ok(()), Form::Post | Form::Get) => unary::answer(&self, service, request, &host).await,
            (Ok(()), Form::Stream) => stream::answer(&self, service, request, &host).await,
        };
        answered.unwrap_or_else(|error| self.refuse(&host.end_with(&error)))
    }

    /// The answer to a call that never reaches the service.
    pub(crate) fn refuse(&self, status: &Status) -> Response<Body> {
        match self.form {
            Form::Post | Form::Get => unary::failed(self, HeaderMap::new(), status, false),
            Form::Stream => stream::failed(self, status),
        }
    }

    /// The gRPC path of the method.
    fn path(&self) -> PathAndQuery {
        let path = format!("/{}/{}", self.method.parent_service().full_name(), self.method.name());
        PathAndQuery::try_from(path).expect("names in protobuf are letters, digits and dots")
    }

    /// Turns a message of the client into a gRPC message; None if it is one.
    fn decoder(&self) -> Option<impl Fn(Bytes) -> Result<Bytes, Error> + Clone + Send + Sync + Unpin + 'static> {
        let input = self.method.input();
        (self.codec == Codec::Json).then_some(move |content: Bytes| {
            let message = json::decode(&input, &content).map_err(Error::FieldsInvalid)?;
            Ok(message.encode_to_vec().into())
        })
    }

    /// A message of the service, in the codec of the client.
    fn encode(&self, message: Bytes, host: &impl CallHost) -> Result<Bytes, Error> {
        match self.codec {
            Codec::Proto => Ok(message),
            Codec::Json => match DynamicMessage::decode(self.method.output(), message) {
                Ok(message) => Ok(host.in_span(|| json::encode(&message)).into()),
                Err(error) => {
                    host.in_span(|| tracing::error!(%error, "the service's answer is not of its method's type"));
                    Err(Error::Internal)
                }
            },
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
        match charsets.find(|charset| !["utf-8", "utf8"].contains(&charset.as_str())) {
            Some(other) => Err(Error::CharsetUnsupported(other)),
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

/// Checks that a content type is JSON in UTF-8.
pub(crate) fn check_json(content_type: &str) -> Result<(), Error> {
    match Codec::of_content_type(content_type, "application/")? {
        Codec::Json => Ok(()),
        Codec::Proto => Err(Error::ContentTypeUnsupported),
    }
}

fn has_no_side_effects(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}

/// Checks the version of the protocol, which is 1 or missing.
fn check_version<B>(request: &Request<B>) -> Result<(), Error> {
    if request.headers().get(CONNECT_PROTOCOL_VERSION).is_some_and(|version| version != "1") {
        return Err(Error::field(CONNECT_PROTOCOL_VERSION.as_str(), "must be 1"));
    }
    if *request.method() != Method::POST
        && query::value(request.uri(), "connect").is_some_and(|version| version != "v1")
    {
        return Err(Error::field("connect", "must be v1"));
    }
    Ok(())
}
