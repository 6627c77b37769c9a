//! Descriptors of the services that are called, and calls without the layers around.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use prost_reflect::prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::body::Body;
use tonic::service::Routes;
use tower::{ServiceExt, service_fn};

use crate::middleware::call_log::CallLogService;
use crate::middleware::deadline::Deadline;
use crate::middleware::error_details::Errors;
use crate::middleware::response_body::CallBody;
use crate::middleware::tests::support::{Answer, service};
use crate::net::shutdown::Drain;
use crate::permit::Capacity;
use crate::transcoding::connect::Connect;

pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The largest message, in bytes.
pub const LIMIT: usize = 4000;

/// All that is served, and the paths of the small service.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = crate::descriptors::pool();
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
        method: vec![
            method("Context", false),
            method("Panic", false),
            method("One", false),
            method("OneThenError", true),
            method("OneThenPanic", true),
        ],
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
});

pub fn method(path: &str) -> MethodDescriptor {
    let (service, name) = path[1..].split_once('/').unwrap();
    let service = POOL.get_service_by_name(service).unwrap();
    service.methods().find(|method| method.name() == name).unwrap()
}

/// The answer to a call, up to its beginning.
pub async fn begin(mut request: Request<Body>) -> Response<CallBody> {
    let second = std::time::Duration::from_secs(1);
    request.extensions_mut().insert(Deadline::new(None, second, second));
    let (share, _release) = Capacity::for_tests(LIMIT);
    request.extensions_mut().insert(share);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let reflection = Routes::new(reflection);
    let answer = service_fn(|request: Request<Body>| async {
        let call = Connect::of(&method(request.uri().path()), &request).unwrap();
        let drain = Drain::new();
        Ok(if request.uri().path() == REFLECTION {
            call.answer(Errors::new(reflection.clone(), drain), request).await
        } else {
            call.answer(Errors::new(service(), drain), request).await
        })
    });
    let Ok(response) = CallLogService::new(answer).oneshot(request).await;
    response
}

/// The answer to a call.
pub async fn call(request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    let request = request.body(Body::new(Full::new(body.into()))).unwrap();
    Answer::read(begin(request).await).await
}

pub fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).header("host", "server").header("content-type", content_type)
}

/// A health check that names a service of so many bytes, in JSON.
pub fn check_of(length: usize) -> Vec<u8> {
    format!(r#"{{"service":"{}"}}"#, "x".repeat(length)).into_bytes()
}

/// What gzip makes of it.
pub fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

pub fn gunzipped(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(content), &mut out).unwrap();
    out
}
