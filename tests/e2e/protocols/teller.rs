//! A client that makes the same call in any protocol, and returns answers and errors in one common form.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::{Value as Json, json};
use tonic::Code;

use crate::support::harness::Server;

const SERVICE: &str = "zitadel.feature.v2.FeatureService";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    GrpcWeb,
    GrpcWebText,
    ConnectJson,
    ConnectProto,
    /// GET for methods without side effects, POST for the others.
    ConnectGet,
    Rest,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 7] = [
        Self::Grpc,
        Self::GrpcWeb,
        Self::GrpcWebText,
        Self::ConnectJson,
        Self::ConnectProto,
        Self::ConnectGet,
        Self::Rest,
    ];
}

/// A client for all protocols.
pub struct Teller {
    pool: DescriptorPool,
    http: Client<HttpConnector, Full<Bytes>>,
    http2: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// An answer over HTTP.
pub struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
    trailers: http::HeaderMap,
}

impl Teller {
    pub fn new(server: &Server) -> Self {
        Self {
            pool: feature_server::services::descriptors::pool(),
            http: Client::builder(TokioExecutor::new()).build_http(),
            http2: Client::builder(TokioExecutor::new()).http2_only(true).build_http(),
            base: format!("http://{}", server.address()),
        }
    }

    /// Makes a call. Returns the answer or the error as JSON.
    pub async fn tell(&self, protocol: Protocol, method: &str, request: &Json, token: Option<&str>) -> Json {
        self.tell_with(protocol, method, request, token, &[]).await.0
    }

    /// The same with metadata, as names and values. Returns the metadata of the answer, too.
    pub async fn tell_with(
        &self,
        protocol: Protocol,
        method: &str,
        request: &Json,
        token: Option<&str>,
        metadata: &[(&'static str, &str)],
    ) -> (Json, http::HeaderMap) {
        let service = self.pool.get_service_by_name(SERVICE).expect("the service is there");
        let descriptor = service.methods().find(|descriptor| descriptor.name() == method).expect("a method");
        let message = DynamicMessage::deserialize(descriptor.input(), request).expect("a request is valid JSON");
        let (mut request, over_http2) = match protocol {
            Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText => self.framed(protocol, method, &message),
            Protocol::ConnectGet if method.starts_with("Get") => {
                let encoded = URL_SAFE_NO_PAD.encode(request.to_string());
                let query = format!("connect=v1&encoding=json&base64=1&message={encoded}");
                (self.request(Method::GET, &format!("/{SERVICE}/{method}?{query}"), "", Bytes::new()), false)
            }
            Protocol::ConnectJson | Protocol::ConnectGet => {
                let body = Bytes::from(request.to_string());
                (self.request(Method::POST, &format!("/{SERVICE}/{method}"), "application/json", body), false)
            }
            Protocol::ConnectProto => {
                let body = Bytes::from(message.encode_to_vec());
                (self.request(Method::POST, &format!("/{SERVICE}/{method}"), "application/proto", body), true)
            }
            Protocol::Rest => (self.rest(method, request), false),
        };
        for (name, value) in metadata {
            request.headers_mut().append(*name, value.parse().expect("metadata is ASCII"));
        }
        let answer = self.send(request, token, over_http2).await;
        let outcome = match protocol {
            Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText => self.unframed(protocol, &descriptor, &answer),
            Protocol::ConnectJson | Protocol::ConnectGet | Protocol::ConnectProto => self.connect(&descriptor, &answer),
            Protocol::Rest => json_of(&answer),
        };
        if protocol == Protocol::Rest {
            check_rest_status(&answer, &outcome);
        }
        (outcome, answer.headers)
    }

    fn request(&self, verb: Method, path: &str, content_type: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(verb).uri(format!("{}{path}", self.base));
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        request.body(Full::new(body)).expect("a request can be built")
    }

    async fn send(&self, mut request: Request<Full<Bytes>>, token: Option<&str>, over_http2: bool) -> Answer {
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a token is ASCII");
            request.headers_mut().insert("authorization", value);
        }
        let client = if over_http2 { &self.http2 } else { &self.http };
        let (head, body) = client.request(request).await.expect("the server answers").into_parts();
        let body = body.collect().await.expect("the answer comes to its end");
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    fn framed(&self, protocol: Protocol, method: &str, message: &DynamicMessage) -> (Request<Full<Bytes>>, bool) {
        let payload = message.encode_to_vec();
        let length = u32::try_from(payload.len()).expect("a test's message is small");
        let frame = [&[0], length.to_be_bytes().as_slice(), &payload].concat();
        let (content_type, body) = match protocol {
            Protocol::Grpc => ("application/grpc", frame),
            Protocol::GrpcWeb => ("application/grpc-web+proto", frame),
            _ => ("application/grpc-web-text", STANDARD.encode(frame).into_bytes()),
        };
        let mut request = self.request(Method::POST, &format!("/{SERVICE}/{method}"), content_type, body.into());
        request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
        (request, protocol == Protocol::Grpc)
    }

    fn unframed(&self, protocol: Protocol, method: &MethodDescriptor, answer: &Answer) -> Json {
        assert_eq!(answer.status, StatusCode::OK, "{protocol:?}");
        let mut body = answer.body.to_vec();
        if protocol == Protocol::GrpcWebText && !body.is_empty() {
            // Each chunk is encoded by itself, so there may be padding between chunks.
            let text = String::from_utf8(body).expect("base64 is text");
            body = text
                .split_inclusive('=')
                .flat_map(|part| STANDARD_NO_PAD.decode(part.trim_end_matches('=')))
                .flatten()
                .collect();
        }
        let mut trailers = answer.trailers.clone();
        trailers.extend(answer.headers.clone());
        let mut message = None;
        let mut rest = body.as_slice();
        while let [flags, a, b, c, d, after @ ..] = rest {
            let (payload, next) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            if flags & 0x80 == 0 {
                message = Some(payload.to_vec());
            } else {
                for line in String::from_utf8_lossy(payload).lines() {
                    let (name, value) = line.split_once(':').expect("a trailer has a name");
                    let name: http::HeaderName = name.trim().parse().expect("a trailer's name is a header name");
                    trailers.insert(name, value.trim().parse().expect("a trailer's value is a header value"));
                }
            }
            rest = next;
        }
        let code = trailers.get("grpc-status").and_then(|code| code.to_str().ok()).expect("a status ends a call");
        if code == "0" {
            return self.shown(method, &message.expect("a call that went well has an answer"));
        }
        let details = trailers.get("grpc-status-details-bin").expect("a failed call has details");
        let details = STANDARD_NO_PAD.decode(details.to_str().unwrap_or_default().trim_end_matches('='));
        self.status_of(&details.expect("details are base64"))
    }

    fn connect(&self, method: &MethodDescriptor, answer: &Answer) -> Json {
        if answer.status == StatusCode::OK {
            let is_json =
                answer.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("application/json"));
            return if is_json { json_of(answer) } else { self.shown(method, &answer.body) };
        }
        let error = json_of(answer);
        let name = code_name(error["code"].as_str().unwrap_or_default());
        let code = (0..17).find(|code| name_of(Code::from_i32(*code)) == name).expect("a known code");
        let details = error["details"].as_array().cloned().unwrap_or_default();
        let details: Vec<Json> = details.iter().map(|detail| self.detail(detail)).collect();
        json!({"code": code, "message": error["message"], "details": details})
    }

    fn detail(&self, detail: &Json) -> Json {
        let kind = detail["type"].as_str().expect("a detail has a type");
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().expect("a detail has a value")).expect("base64");
        let descriptor = self.pool.get_message_by_name(kind).expect("a known detail");
        let message = DynamicMessage::decode(descriptor, value.as_slice()).expect("a detail is well-formed");
        let mut shown = serde_json::to_value(message).expect("a detail can be shown");
        shown["@type"] = json!(format!("type.googleapis.com/{kind}"));
        shown
    }

    fn rest(&self, method: &str, request: &Json) -> Request<Full<Bytes>> {
        let mut fields = request.as_object().cloned().expect("a request is an object");
        let mut encoded = |name: &str| {
            let id = fields.remove(name).and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
            id.bytes()
                .map(
                    |byte| {
                        if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }
                    },
                )
                .collect::<String>()
        };
        let path = match method {
            _ if method.contains("System") => "/v2/features/system".to_owned(),
            _ if method.contains("Instance") => "/v2/features/instance".to_owned(),
            _ if method.contains("Organization") => format!("/v2/features/organization/{}", encoded("organizationId")),
            _ => format!("/v2/features/user/{}", encoded("userId")),
        };
        if method.starts_with("Set") {
            return self.request(Method::PUT, &path, "application/json", Json::Object(fields).to_string().into());
        }
        let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let verb = if method.starts_with("Get") { Method::GET } else { Method::DELETE };
        self.request(verb, &path, "", Bytes::new())
    }

    fn shown(&self, method: &MethodDescriptor, payload: &[u8]) -> Json {
        let message = DynamicMessage::decode(method.output(), payload).expect("an answer is well-formed");
        serde_json::to_value(message).expect("an answer can be shown")
    }

    fn status_of(&self, payload: &[u8]) -> Json {
        let descriptor = self.pool.get_message_by_name("google.rpc.Status").expect("the status is known");
        let status = DynamicMessage::decode(descriptor, payload).expect("a status is well-formed");
        serde_json::to_value(status).expect("a status can be shown")
    }
}

fn json_of(answer: &Answer) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {:?}", answer.body))
}

/// The name of a code in one form: Connect and Rust write it differently.
fn code_name(name: &str) -> String {
    name.replace('_', "").to_uppercase()
}

fn name_of(code: Code) -> String {
    format!("{code:?}").to_uppercase()
}

/// Checks the HTTP status that the contract defines for the code.
fn check_rest_status(answer: &Answer, outcome: &Json) {
    let expected = match outcome["code"].as_i64() {
        None => 200,
        Some(code) => match Code::from_i32(i32::try_from(code).unwrap_or(-1)) {
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::NotFound => 404,
            Code::InvalidArgument | Code::FailedPrecondition => 400,
            Code::Aborted => 409,
            Code::Unavailable => 503,
            other => panic!("the story does not have {other:?}"),
        },
    };
    assert_eq!(answer.status.as_u16(), expected, "{outcome}");
    assert!(answer.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("application/json")));
}
