//! A gRPC client for test tables: takes requests as JSON and returns answers and errors as JSON.

use bytes::Bytes;
use feature_server::services::grpc::bytes_codec::BytesCodec;
use http::uri::PathAndQuery;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::Value as Json;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;

use crate::support::PATIENCE;
use crate::support::harness::Server;
use crate::support::log_audit;

/// A connection without a credential.
#[derive(Clone)]
pub struct Raw {
    pool: DescriptorPool,
    channel: Channel,
}

/// The parts of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// The reason of the `ErrorInfo`.
    pub reason: String,
    /// The fields in the `BadRequest`; for a missing permission, that permission.
    pub about: Vec<String>,
}

/// A refusal with this code, reason, and fields or permission.
pub fn refusal(code: Code, reason: &str, about: &[&str]) -> Refusal {
    Refusal { code, reason: reason.to_owned(), about: about.iter().map(|text| text.to_string()).collect() }
}

impl Raw {
    pub async fn new(server: &Server) -> Self {
        Self::over(server.channel().await)
    }

    /// A client on an existing connection.
    pub fn over(channel: Channel) -> Self {
        Self { pool: feature_api::descriptor_pool(), channel }
    }

    /// All methods of the feature service.
    pub fn methods(&self) -> Vec<MethodDescriptor> {
        let service = self.pool.get_service_by_name("zitadel.feature.v2.FeatureService").expect("the service is there");
        service.methods().collect()
    }

    /// Calls a method of the feature service, or one of `feature.v1`, such as `SettingsService/GetSettings`.
    ///
    /// `metadata`: names and values, separated by ` = `. A value without a name is a bearer token; an empty text is
    /// skipped.
    pub async fn call(&self, method: &str, request: Json, metadata: &[&str]) -> Result<Json, Refusal> {
        Ok(self.call_for_metadata(method, request, metadata).await?.0)
    }

    /// The same. Returns the metadata of the answer, too.
    pub async fn call_for_metadata(
        &self,
        method: &str,
        request: Json,
        metadata: &[&str],
    ) -> Result<(Json, MetadataMap), Refusal> {
        let (descriptor, message) = self.encoded(method, &request);
        let answer = self.exchange(method, message, metadata).await.map_err(|status| read(&status))?;
        let (metadata, answer, _) = answer.into_parts();
        Ok((shown(&descriptor, answer), metadata))
    }

    /// A method, and the message of a request.
    fn encoded(&self, method: &str, request: &Json) -> (MethodDescriptor, Vec<u8>) {
        let path = path_of(method);
        let (service, name) = path[1..].split_once('/').expect("a path has a service and a method");
        let service = self.pool.get_service_by_name(service).unwrap_or_else(|| panic!("the service {service} is gone"));
        let descriptor = service.methods().find(|descriptor| descriptor.name() == name);
        let descriptor = descriptor.unwrap_or_else(|| panic!("there is no method {method}"));
        let text = request.to_string();
        let message = DynamicMessage::deserialize(descriptor.input(), &mut serde_json::Deserializer::from_str(&text))
            .unwrap_or_else(|error| panic!("{text} is no {}: {error}", descriptor.input().full_name()));
        (descriptor, message.encode_to_vec())
    }

    /// Begins a stream of a method, such as `WatchService/WatchValues`.
    pub async fn stream(&self, method: &str, request: Json, metadata: &[&str]) -> Result<JsonStream, Refusal> {
        let (descriptor, message) = self.encoded(method, &request);
        let path = PathAndQuery::try_from(path_of(method)).expect("a method's path is a path");
        let mut request = Request::new(message.into());
        *request.metadata_mut() = headers(metadata);
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.expect("the connection stays");
        let answer = grpc.server_streaming(request, path, BytesCodec).await.map_err(|status| read(&status))?;
        Ok(JsonStream { descriptor, messages: answer.into_inner() })
    }

    /// Sends arbitrary bytes as the request of a method.
    pub async fn send(&self, method: &str, message: Vec<u8>, metadata: &[&str]) -> Result<Vec<u8>, Status> {
        self.exchange(method, message, metadata).await.map(|answer| answer.into_inner().to_vec())
    }

    async fn exchange(&self, method: &str, message: Vec<u8>, metadata: &[&str]) -> Result<Response<Bytes>, Status> {
        let path = path_of(method);
        let mut request = Request::new(message.into());
        *request.metadata_mut() = headers(metadata);
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.expect("the connection stays");
        let path = PathAndQuery::try_from(path).expect("a method's path is a path");
        grpc.unary(request, path, BytesCodec).await
    }
}

/// The messages of a stream.
pub struct JsonStream {
    descriptor: MethodDescriptor,
    messages: Streaming<Bytes>,
}

impl JsonStream {
    /// The next message, or how the stream ends.
    pub async fn next(&mut self) -> Result<Json, Refusal> {
        let message = timeout(PATIENCE, self.messages.message()).await.expect("a message comes in time");
        let message = message.map_err(|status| read(&status))?.expect("a stream never ends with OK");
        Ok(shown(&self.descriptor, message))
    }
}

fn shown(descriptor: &MethodDescriptor, answer: Bytes) -> Json {
    let answer = DynamicMessage::decode(descriptor.output(), answer).expect("an answer is well-formed");
    serde_json::to_value(answer).expect("an answer can be shown as JSON")
}

fn path_of(method: &str) -> String {
    let package = if method.contains('/') { "feature.v1." } else { "zitadel.feature.v2.FeatureService/" };
    format!("/{package}{method}")
}

fn headers(metadata: &[&str]) -> MetadataMap {
    let mut map = http::HeaderMap::new();
    for entry in metadata.iter().filter(|entry| !entry.is_empty()) {
        let (name, value) = match entry.split_once(" = ") {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                log_audit::note_secret(entry);
                ("authorization", format!("Bearer {entry}"))
            }
        };
        let name = http::HeaderName::try_from(name).expect("a metadata name is a header name");
        map.append(name, value.parse().expect("a metadata value is a header value"));
    }
    MetadataMap::from_headers(map)
}

/// Reads the parts of a failure. Every failure must have an `ErrorInfo` of this domain and a request id.
pub fn read(status: &Status) -> Refusal {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "zitadel.feature.v2", "{status:?}");
    assert!(details.request_info().is_some_and(|info| !info.request_id.is_empty()), "no request id in {status:?}");
    let fields = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let about = fields.iter().map(|violation| violation.field.clone());
    let about = about.chain(info.metadata.get("permission").cloned()).collect();
    Refusal { code: status.code(), reason: info.reason.clone(), about }
}
