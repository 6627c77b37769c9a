//! The protocols of clients: which one a request is in, and the answers to calls that never reach a service.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Status;
use tonic::body::Body;

use super::compression::{self, Encoding};
use super::connect::{self, Connect};
use super::error::Error;
use super::grpc_call::grpc_path;
use super::headers::{CONNECT_TIMEOUT, EVENT_STREAM, GRPC_TIMEOUT, JSON, JSON_LINES, accepted, weighted};
use super::rest::{RestCall, RouteError, Routes};
use super::{grpc_web, json, rest};

/// The protocol of a call, with the data for its translation.
#[derive(Debug, Clone)]
pub enum Protocol {
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

/// Recognises the protocols of calls, by the descriptors of the services.
#[derive(Debug)]
pub struct Protocols {
    pool: DescriptorPool,
    /// By the path that gRPC and Connect call them by.
    methods: HashMap<String, MethodDescriptor>,
    routes: Routes,
}

impl Protocols {
    /// The protocols of all services in a pool.
    ///
    /// # Errors
    /// [`RouteError`] for an HTTP rule that cannot be served.
    pub fn new(pool: DescriptorPool) -> Result<Self, RouteError> {
        let by_path = |method| (grpc_path(&method).to_string(), method);
        let methods = pool.services().flat_map(|service| service.methods().map(by_path).collect::<Vec<_>>()).collect();
        Ok(Self { methods, routes: Routes::new(&pool)?, pool })
    }

    /// The protocol of a request.
    ///
    /// # Errors
    /// [`Error`] says why the request is no call.
    pub fn recognise<B>(&self, request: &Request<B>) -> Result<Protocol, Error> {
        let content_type = request.headers().get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        // These protocols use POST only. With other verbs the content type has no meaning.
        if let (&Method::POST, Some(protocol)) = (request.method(), Protocol::of_content_type(content_type)) {
            let is_served = !matches!(protocol, Protocol::Grpc) || request.version() == Version::HTTP_2;
            return if is_served { Ok(protocol) } else { Err(Error::ContentTypeUnsupported) };
        }
        let path = request.uri().path();
        if let Some(method) = self.methods.get(path) {
            return Connect::of(method, request).map(Protocol::Connect);
        }
        // The connection leaves out the content of an answer to HEAD, so HEAD is served as GET.
        let verb = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let mut call = self.routes.find(verb, path)?;
        if call.route.body != rest::Body::None {
            // A body without a content type is read as JSON.
            let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
            connect::check_json(content_type.unwrap_or("application/json"))?;
        }
        let is_stream = call.route.method.is_server_streaming();
        if is_stream && accepted(request.headers(), &ACCEPT, &[EVENT_STREAM]) == Some(true) {
            call.sends_events = true;
            return Ok(Protocol::Rest(call));
        }
        let content_type = if is_stream { JSON_LINES } else { "application/json" };
        // The most specific range counts (RFC 9110, section 12.5.1).
        let accepted = accepted(request.headers(), &ACCEPT, &[content_type, "application/*", "*/*"]);
        if !accepted.unwrap_or_else(|| weighted(request.headers(), &ACCEPT).next().is_none()) {
            return Err(Error::NotAcceptable);
        }
        Encoding::of(request.headers(), CONTENT_ENCODING)?;
        Ok(Protocol::Rest(call))
    }

    /// The answer to a request with this verb that is no call: the HTTP status of the error, and `status` as JSON.
    pub fn answer_no_call(&self, error: &Error, status: &Status, verb: &Method) -> Response<Body> {
        let mut response = self.answer(error.http_status(), status);
        let Error::VerbNotAllowed(allowed) = error else { return response };
        if verb == Method::OPTIONS {
            response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        // Every path also takes OPTIONS, and with GET it takes HEAD.
        let mut verbs: Vec<_> = allowed.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect();
        if let Some(get) = verbs.iter().position(|verb| *verb == "GET")
            && !verbs.contains(&"HEAD")
        {
            verbs.insert(get + 1, "HEAD");
        }
        response.headers_mut().insert(ALLOW, verbs.join(", ").parse().expect("verbs are tokens"));
        response
    }

    /// An answer with a status as JSON.
    pub fn answer(&self, code: StatusCode, status: &Status) -> Response<Body> {
        json_answer(code, json::encode_status(&self.pool, status).into())
    }
}

/// An answer with this JSON.
pub fn json_answer(code: StatusCode, json: Bytes) -> Response<Body> {
    let mut response = compression::answer(HeaderMap::new(), JSON, json, false);
    *response.status_mut() = code;
    response
}

impl Protocol {
    fn of_content_type(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        Some(match () {
            () if is("application/grpc") || is("application/grpc+proto") => Protocol::Grpc,
            () if is("application/grpc-web") || is("application/grpc-web+proto") => Protocol::GrpcWeb,
            () if is("application/grpc-web-text") || is("application/grpc-web-text+proto") => Protocol::GrpcWebText,
            () => return None,
        })
    }

    /// The gRPC path of the called method, for the path of the request.
    pub fn grpc_path<'a>(&'a self, path: &'a str) -> &'a str {
        match self {
            Protocol::Rest(call) => call.route.grpc_path.path(),
            _ => path,
        }
    }

    /// How long the client waits; None if the headers do not say.
    ///
    /// # Errors
    /// [`Error::FieldsInvalid`] names the malformed header.
    pub fn timeout(&self, headers: &HeaderMap) -> Result<Option<Duration>, Error> {
        let (name, problem) = match self {
            Protocol::Connect(_) => (CONNECT_TIMEOUT, "must be given once, as 1 to 10 digits"),
            _ => (GRPC_TIMEOUT, "must be given once, as 1 to 8 digits and one of the units H, M, S, m, u, n"),
        };
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let timeout = match self {
            Protocol::Connect(_) => number(value.as_bytes(), 10).map(Duration::from_millis),
            _ => grpc_timeout(value.as_bytes()),
        };
        timeout.filter(|_| values.next().is_none()).map(Some).ok_or_else(|| Error::field(name.as_str(), problem))
    }

    /// The answer to a call that never reaches the service.
    pub fn refuse(&self, status: &Status) -> Response<Body> {
        let content_type = match self {
            Protocol::Grpc => HeaderValue::from_static("application/grpc"),
            Protocol::GrpcWeb => grpc_web::BINARY,
            Protocol::GrpcWebText => grpc_web::TEXT,
            Protocol::Connect(call) => return call.refuse(status),
            Protocol::Rest(call) => return call.refuse(status),
        };
        // All three accept an answer of headers alone, so there is nothing to translate.
        let mut response = status.clone().into_http::<Body>();
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

/// Reads a timeout as the gRPC protocol writes it.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = number(digits, 8)?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 60 * 60)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Reads 1 to `most` digits. The gRPC protocol says 'positive', yet clients whose time is up send 0, and mean it.
fn number(digits: &[u8], most: usize) -> Option<u64> {
    let is_number = (1..=most).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
