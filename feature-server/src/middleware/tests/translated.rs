//! Failures of calls in the Connect protocol: each has the reason and the details that it has in gRPC.

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{Request, Response};
use http_body_util::Full;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};
use serde_json::Value;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, ServiceExt};

use super::support::*;
use crate::config::settings::Settings;
use crate::middleware::browsers::AllowedHosts;
use crate::middleware::response_body::CallBody;
use crate::middleware::stack::layers;
use crate::net::shutdown::Drain;

const JSON: &str = "application/json";
const STREAM: &str = "application/connect+proto";

/// All that is served, and the odd paths of the small service.
fn pool() -> DescriptorPool {
    let mut pool = crate::services::descriptors::pool();
    let health = pool.get_service_by_name("grpc.health.v1.Health").unwrap();
    let method = |name: &str, streams| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".grpc.health.v1.HealthCheckRequest".to_owned()),
        output_type: Some(".grpc.health.v1.HealthCheckResponse".to_owned()),
        server_streaming: Some(streams),
        ..Default::default()
    };
    let small = ServiceDescriptorProto {
        name: Some("test".to_owned()),
        method: vec![method("Panic", false), method("OneThenPanic", true), method("OneThenError", true)],
        ..Default::default()
    };
    let small = FileDescriptorProto {
        name: Some("test.proto".to_owned()),
        dependency: vec![health.parent_file().name().to_owned()],
        service: vec![small],
        ..Default::default()
    };
    pool.add_file_descriptor_proto(small).unwrap();
    pool
}

fn served()
-> impl Service<Request<Body>, Response = Response<CallBody>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let settings = Settings::default();
    let recogniser = recogniser_of(pool(), AllowedHosts::new(&settings));
    layers(service(), recogniser, &settings.limits, &[], Drain::new(), None)
}

fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).header("host", "localhost").header("content-type", content_type).header("x-request-id", "a1")
}

/// The code of an error in JSON, and its details.
fn read(error: &Value) -> (&str, ErrorDetails) {
    let details = error["details"].as_array().expect("a failure has details").iter().map(|detail| {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        let type_url = format!("type.googleapis.com/{}", detail["type"].as_str().unwrap());
        assert!(detail["debug"].is_object(), "{detail}");
        prost_types::Any { type_url, value }
    });
    let details = tonic_types::pb::Status { details: details.collect(), ..Default::default() };
    let status = Status::with_details(Code::Unknown, "", details.encode_to_vec().into());
    (error["code"].as_str().unwrap(), status.get_error_details())
}

#[tokio::test]
async fn connect_failures_have_the_details_of_grpc() {
    let zipped = |request: http::request::Builder| request.header("content-encoding", "gzip");
    let large = format!(r#"{{"service":"{}"}}"#, "x".repeat(200));
    let invalid = ("invalid_argument", "FIELD_INVALID");
    let table = [
        // request, body, code and reason
        (post("/test/Panic", JSON), "{}", ("internal", "INTERNAL")),
        (post("/test/OneThenPanic", STREAM), "\0\0\0\0\0", ("internal", "INTERNAL")),
        (post("/test/OneThenError", STREAM), "\0\0\0\0\0", ("data_loss", "INTERNAL")),
        (post(CHECK, JSON), r#"{"service":"unknown"}"#, ("not_found", "NOT_FOUND")),
        (post(CHECK, JSON), "{", invalid),
        (zipped(post(CHECK, JSON)), "{}", invalid),
        (post(CHECK, JSON).header("connect-protocol-version", "2"), "{}", invalid),
        (post(CHECK, JSON).header("connect-timeout-ms", "soon"), "{}", invalid),
        (post(CHECK, JSON).header("content-encoding", "br"), "{}", ("unimplemented", "UNIMPLEMENTED")),
        (post(CHECK, JSON), large.as_str(), ("out_of_range", "MESSAGE_TOO_LARGE")),
        (post(WATCH, STREAM), "\0\0\0\0\x01", invalid),
    ];
    for (request, body, (code, reason)) in table {
        let context = format!("{:?} {:?}", request.uri_ref(), request.headers_ref());
        let request = request.body(Body::new(Full::from(body.to_owned()))).unwrap();
        let Ok(response) = served().oneshot(sent_by([127, 0, 0, 1].into(), request)).await;
        let answer = Answer::read(response).await;
        let error: Value = match answer.header("content-type") {
            Some(JSON) => serde_json::from_slice(&answer.body).unwrap(),
            _ => {
                let end = answer.body.windows(9).rposition(|window| window == b"{\"error\":").unwrap();
                serde_json::from_slice::<Value>(&answer.body[end..]).unwrap()["error"].take()
            }
        };
        let (found, details) = read(&error);
        let info = details.error_info().unwrap();
        assert_eq!((found, info.reason.as_str()), (code, reason), "{context}: {error}");
        assert_eq!(info.domain, crate::error::ERROR_DOMAIN);
        assert_eq!(details.request_info().unwrap().request_id, "a1");
        assert_eq!(answer.header("x-request-id"), Some("a1"));
    }
}
