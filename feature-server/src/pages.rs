//! The public pages of the server: one for a person with a browser, and the OpenAPI document. They hold no data of
//! callers.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use feature_auth::access::{INSTANCE_METADATA, ORGANIZATION_METADATA};
use grpc_transcoding::openapi::{self, Api, Header};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use prost_reflect::{DescriptorPool, FieldDescriptor};
use serde_json::Value;

use crate::host::{Host, host_of};

/// The most characters of an id; the core keeps to it.
const ID_CHARACTERS: usize = 200;

/// The parts of the OpenAPI document that are not in the protos.
pub const API: Api<'static> = Api {
    title: "FeatureService",
    description: "Feature settings on four levels: system, instance, organization and user. \
        A level that has not set a feature inherits it.\n\n\
        Bodies are the canonical JSON of protobuf. Requests may also spell field names as the protos do, in snake_case, \
        and give 64-bit integers as numbers and members of enums by number. Answers leave out what is not set.",
    version: env!("CARGO_PKG_VERSION"),
    license: env!("CARGO_PKG_LICENSE"),
    headers: &[
        Header {
            name: INSTANCE_METADATA,
            description: "The instance that the call is for: 1 to 200 characters. The token's own counts first; with \
                neither, the one configured for the host, else the configured default.",
            max_characters: ID_CHARACTERS,
        },
        Header {
            name: ORGANIZATION_METADATA,
            description: "The organization that a user inherits from: 1 to 200 characters. Without it the token's \
                counts, else the one recorded when the user was last written.",
            max_characters: ID_CHARACTERS,
        },
    ],
    error_details: &[
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "google.rpc.ResourceInfo",
        "google.rpc.RequestInfo",
        "google.rpc.RetryInfo",
    ],
    authentication: Some("bearer"),
    refine_text,
};

/// The option with the rules for a text.
const RULES_OPTION: &str = "feature.v1.rules";

/// Adds the rules for a text to its schema.
fn refine_text(field: &FieldDescriptor, schema: &mut Value) {
    let options = field.options();
    let Some(extension) = field.parent_pool().get_extension_by_name(RULES_OPTION) else { return };
    let rules = options.get_extension(&extension);
    let rule = |name| rules.as_message().and_then(|rules| rules.get_field_by_name(name));
    if let Some(most) = rule("max_characters").and_then(|most| most.as_u32()).filter(|most| *most > 0) {
        schema["maxLength"] = most.into();
    }
    if rule("web_uri").and_then(|uri| uri.as_bool()) == Some(true) {
        schema["format"] = "uri".into();
    }
}

const PAGE: &str = include_str!("pages/index.html");

/// Where the page's calls name the server.
const ADDRESS: &str = "{address}";

/// The parts of the page's calls that depend on TLS: their place, with TLS, without.
const BY_SCHEME: [(&str, &str, &str); 3] = [
    ("{scheme}", "https", "http"),
    ("{plaintext}", "", "-plaintext "),
    // Over TLS a client learns by itself that HTTP/2 is spoken.
    ("{prior-knowledge}", "", "--http2-prior-knowledge "),
];

/// The path of the page for a person.
const HOME: &str = "/";

/// The path of the OpenAPI document.
const OPENAPI: &str = "/openapi.json";

/// Whether there is a page at this path.
pub fn is_page(path: &str) -> bool {
    [HOME, OPENAPI].contains(&path)
}

/// The pages, rendered once.
#[derive(Debug)]
pub struct Pages {
    page: String,
    policy: HeaderValue,
    openapi: Bytes,
    openapi_tag: HeaderValue,
    /// The address in the page if the request has no host.
    address: String,
}

impl Pages {
    /// Renders the pages of a server that has these descriptors and listens on this address, with TLS or without.
    pub fn new(pool: &DescriptorPool, address: SocketAddr, tls: bool) -> Self {
        let mut page = PAGE.to_owned();
        for (place, with, without) in BY_SCHEME {
            page = page.replace(place, if tls { with } else { without });
        }
        let openapi = Bytes::from(openapi::document(pool, &API).to_string());
        let style = PAGE.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
        let style = hash(style.expect("the page has a style").0.as_bytes());
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self {
            page: page.replace("{version}", API.version),
            policy: policy.try_into().expect("a policy is ASCII"),
            openapi_tag: format!("\"{}\"", hash(&openapi)).try_into().expect("a hash in Base64 is ASCII"),
            openapi,
            address: address.to_string(),
        }
    }

    /// Answers a request for a page; `None` for any other request.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return None;
        }
        let mut response = match request.uri().path() {
            HOME => self.page(request),
            OPENAPI => self.openapi(request),
            _ => return None,
        };
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if length > 0 {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if request.method() == Method::HEAD {
            *response.body_mut() = Bytes::new();
        }
        Some(response)
    }

    fn page<B>(&self, request: &Request<B>) -> Response<Bytes> {
        let page = self.page.replace(ADDRESS, called(request).as_ref().map_or(&self.address, Host::as_str));
        let mut response = Response::new(Bytes::from(page));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }

    fn openapi<B>(&self, request: &Request<B>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        response.headers_mut().insert(ETAG, self.openapi_tag.clone());
        if has(request, &self.openapi_tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.body_mut() = self.openapi.clone();
        }
        response
    }
}

/// The host of the request, if it is harmless: the page shows it in calls to paste.
fn called<B>(request: &Request<B>) -> Option<Host> {
    let host = host_of(request.uri(), request.headers()).ok().flatten()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (host.as_str().bytes().all(harmless) && !host.as_str().ends_with(':')).then_some(host)
}

/// Whether the caller has the content with this tag already.
fn has<B>(request: &Request<B>, tag: &HeaderValue) -> bool {
    let given = request.headers().get_all(IF_NONE_MATCH).into_iter().filter_map(|tags| tags.to_str().ok());
    let mut given = given.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    given.any(|given| given == "*" || given.as_bytes() == tag.as_bytes())
}

fn hash(text: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, text))
}

#[cfg(test)]
mod tests;
