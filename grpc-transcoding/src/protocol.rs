//! The protocols that clients speak: how a request's protocol is recognised, and how a call that no service has seen is refused in it.
//!
//! Translating requests and answers is not done here, and no service is known but by its descriptors.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use prost_reflect::DescriptorPool;
use tonic::body::Body;

pub use self::methods::MessageBytes;
pub(crate) use self::methods::ServedMethod;
use self::methods::methods;
use super::connect::{self, Connect};
use super::json;
use super::rest::call::RestCall;
use super::rest::{Found, RouteError, Routes};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::deadline;
use crate::middleware::recognise::allowed_hosts::Hosts;
use crate::middleware::recognise::prepared::Prepared;
use crate::middleware::response_body::CallBody;
use crate::pages::{self, Pages};
use crate::transcoding::compression::{self, Encoding};

mod methods;

/// The header or trailer with the code of a gRPC answer.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The header or trailer with the message of a failed gRPC answer.
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The header or trailer with the details of a failed gRPC answer.
pub(crate) const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The content type of JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A protocol that is served, with what a call of it needs to be translated.
#[derive(Debug, Clone)]
pub(crate) enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web with binary messages.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
    /// The Connect protocol.
    Connect(Connect),
    /// Plain HTTP with JSON.
    Rest(RestCall),
}

/// Recognises the protocols of calls to any services, given their descriptors.
#[derive(Debug)]
pub struct Protocols {
    pool: DescriptorPool,
    methods: HashMap<String, ServedMethod>,
    routes: Routes,
    /// What is shown to whoever makes no call.
    pages: Pages,
    hosts: Hosts,
    path_unknown: Prepared,
}

/// Why a request is no call at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoCall {
    /// Nothing is at this path.
    Path,
    /// What is at this path is called with one of these verbs.
    Verb(Vec<Method>),
    /// The content type is not one that is served at this path.
    ContentType,
    /// The content type would do, but not in this charset.
    Charset(String),
    /// The content is compressed in a way that is not known here.
    Encoding(String),
    /// The client takes no form that an answer could have.
    Accept,
}

impl Protocols {
    /// The protocols of the services in `pool`. `pages` is what else is served, and `hosts` what the server is called by.
    ///
    /// # Errors
    /// [`RouteError`] when the HTTP rules of the services cannot be served.
    pub fn new(
        pool: DescriptorPool,
        message_bytes: MessageBytes<'_>,
        pages: Pages,
        hosts: Hosts,
    ) -> Result<Self, RouteError> {
        let methods = methods(&pool, message_bytes);
        let path_unknown = Prepared::new(&pool, &Failure::PathUnknown);
        Ok(Self { methods, routes: Routes::new(&pool)?, pool, pages, hosts, path_unknown })
    }

    /// The protocol that a request is in.
    pub(crate) fn recognise<B>(&self, request: &Request<B>) -> Result<Protocol, NoCall> {
        let content_type = request.headers().get(CONTENT_TYPE).map_or(&[][..], |value| essence(value.as_bytes()));
        // Other verbs than POST make no such call, whatever content type stands in their way.
        if let (&Method::POST, Some(protocol)) = (request.method(), Protocol::of_content_type(content_type)) {
            return match (protocol, request.version()) {
                (Protocol::Grpc, version) if version != Version::HTTP_2 => Err(NoCall::ContentType),
                (protocol, _) => Ok(protocol),
            };
        }
        let path = request.uri().path();
        if let Some(method) = self.methods.get(path) {
            return Connect::of(&method.descriptor, request).map(Protocol::Connect);
        }
        // HEAD asks for what GET would answer; that the content is left out is for the connection.
        let verb = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        match self.routes.find(verb, path) {
            Found::Route(route, _)
                if route.takes_body()
                    && let Err(no_call) = check_json(request.headers()) =>
            {
                Err(no_call)
            }
            Found::Route(route, _) if !takes(request.headers(), route.is_server_streaming()) => Err(NoCall::Accept),
            Found::Route(..) if Encoding::of(request.headers(), CONTENT_ENCODING).is_err() => {
                let name = request.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
                Err(NoCall::Encoding(String::from_utf8_lossy(name).into_owned()))
            }
            Found::Route(route, bindings) => Ok(Protocol::Rest(RestCall::new(route.clone(), bindings))),
            Found::WrongVerb { allow } => Err(NoCall::Verb(with_head(allow))),
            Found::Nothing if pages::is_page(path) => Err(NoCall::Verb(vec![Method::GET, Method::HEAD])),
            Found::Nothing => Err(NoCall::Path),
        }
    }

    /// How long the client of a call says that it waits, in the call's protocol; `None` when it says nothing, and when the
    /// request is no call.
    ///
    /// # Errors
    /// [`Failure::FieldsInvalid`] names the header that is malformed.
    pub fn timeout<B>(&self, request: &Request<B>) -> Result<Option<Duration>, Failure> {
        self.recognise(request).map_or(Ok(None), |protocol| protocol.timeout(request.headers()))
    }

    /// The method that a call is of, if there is such a method.
    ///
    /// `path`: of the request.
    pub(crate) fn method(&self, protocol: &Protocol, path: &str) -> Option<&ServedMethod> {
        match protocol {
            Protocol::Rest(call) => self.methods.get(call.grpc_path().path()),
            _ => self.methods.get(path),
        }
    }

    /// The answer to a request that is no call: a page, or as JSON what is wrong with it.
    pub(crate) fn answer_no_call<B>(
        &self,
        no_call: &NoCall,
        request: &Request<B>,
        context: &CallContext,
    ) -> Response<CallBody> {
        if let Some(page) = self.pages.answer(request) {
            return page.map(|page| CallBody::translated(Body::new(Full::new(page))));
        }
        if let (NoCall::Verb(allowed), &Method::OPTIONS) = (no_call, request.method()) {
            let mut response = Response::<CallBody>::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, allow(allowed));
            return response;
        }
        let (code, failure) = match no_call {
            NoCall::Path => {
                let body = self.path_unknown.json(context.request_id());
                return compression::answer(StatusCode::NOT_FOUND, HeaderMap::new(), JSON, body, false);
            }
            NoCall::Verb(_) => (StatusCode::METHOD_NOT_ALLOWED, Failure::VerbNotAllowed),
            NoCall::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Failure::ContentTypeUnsupported),
            NoCall::Charset(name) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Failure::CharsetUnsupported(name.clone())),
            NoCall::Encoding(name) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Failure::EncodingUnknown(name.clone())),
            NoCall::Accept => (StatusCode::NOT_ACCEPTABLE, Failure::NotAcceptable),
        };
        let mut response = self.failed(code, &failure, context);
        if let NoCall::Verb(allowed) = no_call {
            response.headers_mut().insert(ALLOW, allow(allowed));
        }
        response
    }

    /// The answer to a request that is not meant for this server, whatever else it is; in its own protocol if it has one.
    pub(crate) fn answer_misdirected<B>(
        &self,
        request: &Request<B>,
        recognised: &Result<Protocol, NoCall>,
        context: &CallContext,
    ) -> Option<Response<CallBody>> {
        let grpc = matches!(recognised, Ok(Protocol::Grpc));
        let failure = self.hosts.check(request, grpc).err()?;
        Some(match recognised {
            Ok(protocol) => protocol.refuse(&failure, context),
            Err(_) => self.failed(json::http_status(failure.status(context.request_id()).code()), &failure, context),
        })
    }

    fn failed(&self, code: StatusCode, failure: &Failure, context: &CallContext) -> Response<CallBody> {
        let body = json::encode_status(&self.pool, &failure.status(context.request_id()));
        compression::answer(code, HeaderMap::new(), JSON, body.into(), false)
    }
}

impl Protocol {
    fn of_content_type(essence: &[u8]) -> Option<Self> {
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        if is("application/grpc") || is("application/grpc+proto") {
            Some(Protocol::Grpc)
        } else if is("application/grpc-web") || is("application/grpc-web+proto") {
            Some(Protocol::GrpcWeb)
        } else if is("application/grpc-web-text") || is("application/grpc-web-text+proto") {
            Some(Protocol::GrpcWebText)
        } else {
            None
        }
    }

    /// How long the client says that it waits.
    pub(crate) fn timeout(&self, headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
        match self {
            Protocol::Connect(_) => connect::timeout(headers),
            _ => deadline::asked(headers),
        }
    }

    /// The answer to a call that failed before it came to a service.
    pub(crate) fn refuse(&self, failure: &Failure, context: &CallContext) -> Response<CallBody> {
        let content_type = match self {
            Protocol::Grpc => "application/grpc",
            Protocol::GrpcWeb => "application/grpc-web+proto",
            Protocol::GrpcWebText => "application/grpc-web-text+proto",
            Protocol::Connect(call) => return call.refuse(failure, context),
            Protocol::Rest(call) => return call.refuse(failure, context),
        };
        // All three take an answer that consists of headers alone, so there is nothing to translate.
        let mut response = failure.status(context.request_id()).into_http::<CallBody>();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

/// Where GET works, HEAD does.
fn with_head(mut verbs: Vec<Method>) -> Vec<Method> {
    if let Some(get) = verbs.iter().position(|verb| verb == Method::GET) {
        verbs.insert(get + 1, Method::HEAD);
    }
    verbs
}

/// The value of the header that tells which verbs there are. OPTIONS, which asks for it, is always one.
fn allow(verbs: &[Method]) -> HeaderValue {
    let verbs = verbs.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect::<Vec<_>>().join(", ");
    verbs.parse().expect("verbs are tokens")
}

/// A content type without its parameters.
fn essence(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    value[..end].trim_ascii()
}

/// JSON, or nothing said: then JSON is what the body is taken for.
fn check_json(headers: &HeaderMap) -> Result<(), NoCall> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    connect::check_json(content_type.to_str().map_err(|_| NoCall::ContentType)?)
}

/// Whether a client takes what an answer is: JSON, or lines of JSON for a stream.
fn takes(headers: &HeaderMap, stream: bool) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).map(range_and_weight).collect();
    // The range that says most about the answer is the one that counts (RFC 9110, section 12.5.1).
    let of_json = [if stream { "application/x-ndjson" } else { "application/json" }, "application/*", "*/*"];
    let weight =
        |form: &str| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(form)).map(|(_, taken)| *taken);
    ranges.is_empty() || of_json.into_iter().find_map(weight).unwrap_or(false)
}

/// A range of content types, and whether those are taken at all.
fn range_and_weight(text: &str) -> (&str, bool) {
    let (range, weight) = text.split_once(';').unwrap_or((text, ""));
    let refused = weight.split_once("q=").is_some_and(|(_, q)| q.trim().parse() == Ok(0.0_f32));
    (range.trim(), !refused)
}

#[cfg(test)]
mod tests;
