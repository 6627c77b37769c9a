//! The layer that tells calls from requests for pages and from all others. Only calls for a host of this server go on,
//! with their protocol and their method.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use grpc_transcoding::protocol::json_answer;
use grpc_transcoding::rest::RouteError;
use grpc_transcoding::{Error, Protocol, Protocols, TranscodedBody, json};
use http::{Method, Request, Response};
use http_body_util::Full;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::body::Body;
use tower::Service;

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::browsers::AllowedHosts;
use crate::middleware::response_body::CallBody;
use crate::monitoring::call_counters::methods_in;
use crate::monitoring::readiness::{Readiness, is_probe};
use crate::pages::{self, Pages};

#[cfg(test)]
mod tests;

/// A placeholder for the id. No failure's text contains it.
const ID: &str = "\u{1}id\u{1}";

/// Recognises the calls, pages and hosts of this server.
#[derive(Debug)]
pub struct Recogniser {
    protocols: Protocols,
    methods: Methods,
    pages: Pages,
    hosts: AllowedHosts,
    path_unknown: Prepared,
    readiness: Arc<Readiness>,
}

/// A call, with the results of this layer.
#[derive(Debug)]
pub(crate) struct Recognised {
    pub(crate) request: Request<Body>,
    pub(crate) protocol: Protocol,
    /// None if there is no such method: its service says so.
    pub(crate) method: Option<ServedMethod>,
}

impl Recogniser {
    /// Recognises calls of the services in `pool`, and requests for `pages`, under the names in `hosts`. Probes are
    /// answered under any name, because what probes knows only an address.
    ///
    /// # Errors
    /// [`RouteError`] for an HTTP rule that cannot be served.
    pub fn new(
        pool: DescriptorPool,
        message_bytes: MessageBytes<'_>,
        pages: Pages,
        hosts: AllowedHosts,
        readiness: Arc<Readiness>,
    ) -> Result<Self, RouteError> {
        let methods = Methods::new(&pool, message_bytes);
        let path_unknown = Prepared::new(&pool, &Failure::PathUnknown);
        Ok(Self { protocols: Protocols::new(pool)?, methods, pages, hosts, path_unknown, readiness })
    }

    /// The protocol of a request.
    ///
    /// # Errors
    /// [`Error`] says why the request is no call.
    pub fn protocol<B>(&self, request: &Request<B>) -> Result<Protocol, Error> {
        self.protocols.recognise(request).map_err(|error| match error {
            Error::PathUnknown if pages::is_page(request.uri().path()) || is_probe(request.uri().path()) => {
                Error::VerbNotAllowed(vec![Method::GET, Method::HEAD])
            }
            error => error,
        })
    }

    /// The protocol of a call; the answer to any other request.
    fn recognise<B>(&self, request: &Request<B>) -> Result<Protocol, Box<Response<Body>>> {
        let recognised = self.protocol(request);
        if recognised.is_err()
            && let Some(answer) = self.readiness.answer(request)
        {
            return Err(Box::new(answer.map(|probe| Body::new(Full::new(probe)))));
        }
        let is_grpc = matches!(recognised, Ok(Protocol::Grpc));
        if let Err(failure) = self.hosts.check(request, is_grpc) {
            let context = CallContext::of(request.extensions());
            return Err(Box::new(self.answer_misdirected(&recognised, &failure, &context)));
        }
        recognised.map_err(|error| Box::new(self.answer_no_call(error, request)))
    }

    /// The answer to a request for another host: in the protocol of the call, if it is one.
    fn answer_misdirected(
        &self,
        recognised: &Result<Protocol, Error>,
        failure: &Failure,
        context: &CallContext,
    ) -> Response<Body> {
        let status = failure.status(context.request_id());
        match recognised {
            Ok(protocol) => {
                context.set_code(status.code());
                protocol.refuse(&status)
            }
            Err(_) => self.protocols.answer(json::http_status(status.code()), &status),
        }
    }

    /// The answer to a request that is no call: a page, or the error as JSON.
    fn answer_no_call<B>(&self, error: Error, request: &Request<B>) -> Response<Body> {
        if let Some(page) = self.pages.answer(request) {
            return page.map(|page| Body::new(Full::new(page)));
        }
        let context = CallContext::of(request.extensions());
        if matches!(error, Error::PathUnknown) {
            return json_answer(error.http_status(), self.path_unknown.json(context.request_id()));
        }
        let status = Failure::from(error.clone()).status(context.request_id());
        self.protocols.answer_no_call(&error, &status, request.method())
    }
}

/// Recognises the calls of a service, and answers all other requests.
#[derive(Debug, Clone)]
pub(crate) struct Recognition<S> {
    inner: S,
    recogniser: Arc<Recogniser>,
}

impl<S> Recognition<S> {
    pub(crate) fn new(inner: S, recogniser: Recogniser) -> Self {
        Self { inner, recogniser: Arc::new(recogniser) }
    }
}

impl<S> Service<Request<Body>> for Recognition<S>
where
    S: Service<Recognised, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Self::Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.recogniser.recognise(&request) {
            Ok(protocol) => {
                let method = self.recogniser.methods.get(protocol.grpc_path(request.uri().path()));
                CallContext::of(request.extensions()).started(method.map(|method| method.number), &protocol);
                Either::Left(self.inner.call(Recognised { request, protocol, method }))
            }
            Err(answer) => {
                let answer = answer.map(|body| CallBody::new(TranscodedBody::Translated(body)).refused());
                Either::Right(ready(Ok(answer)))
            }
        }
    }
}

/// The methods by their gRPC paths.
#[derive(Debug)]
struct Methods(HashMap<String, ServedMethod>);

impl Methods {
    /// The methods of all services in a pool.
    fn new(pool: &DescriptorPool, message_bytes: MessageBytes<'_>) -> Self {
        let by_path = |(number, method): (usize, MethodDescriptor)| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let served = ServedMethod {
                number,
                sends_stream: method.is_client_streaming(),
                gets_stream: method.is_server_streaming(),
                message_bytes: message_bytes.of(&method),
            };
            (path, served)
        };
        Self(methods_in(pool).enumerate().map(by_path).collect())
    }

    /// The method with this gRPC path.
    fn get(&self, path: &str) -> Option<ServedMethod> {
        self.0.get(path).copied()
    }
}

/// A method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServedMethod {
    /// Its number among the methods of the descriptors, by which its calls are counted.
    pub(crate) number: usize,
    /// Whether requests are streams.
    pub(crate) sends_stream: bool,
    /// Whether answers are streams.
    pub(crate) gets_stream: bool,
    /// The largest message of a request, compressed or not, in bytes.
    pub(crate) message_bytes: usize,
}

/// The largest messages of requests, compressed or not.
#[derive(Debug, Clone, Copy)]
pub struct MessageBytes<'a> {
    /// For all other services, in bytes.
    pub default: usize,
    /// For the services with these full names, in bytes.
    pub of_services: (&'a [&'a str], usize),
}

impl MessageBytes<'_> {
    fn of(&self, method: &MethodDescriptor) -> usize {
        let (services, bytes) = self.of_services;
        if services.contains(&method.parent_service().full_name()) { bytes } else { self.default }
    }
}

/// The JSON of a failure, built once: only the request's id differs. Scanners ask for many paths that do not exist, and
/// building it anew took half of the 26 µs of each such request.
#[derive(Debug)]
struct Prepared {
    /// The text before the id, which is in quotation marks, and the text after it.
    before: String,
    after: String,
}

impl Prepared {
    /// `pool`: has the descriptors of the failure's details.
    fn new(pool: &DescriptorPool, failure: &Failure) -> Self {
        let json = String::from_utf8(json::encode_status(pool, &failure.status(ID))).expect("JSON is text");
        let (before, after) = json.split_once(&quoted(ID)).expect("a failure tells the request's id");
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// The JSON for the request with this id.
    fn json(&self, id: &str) -> Bytes {
        [&self.before, &*quoted(id), &self.after].concat().into()
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
