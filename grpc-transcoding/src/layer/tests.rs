//! The layer around a greeter, in every protocol.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Version};
use http_body_util::Full;
use prost::Message as _;
use tonic::Code;
use tower::ServiceExt;

use self::greeter::*;
use super::*;
use crate::framing::{COMPRESSED, wrap};

pub(crate) mod greeter;

async fn call(request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    let service = TranscodeLayer::new(Protocols::new(POOL.clone()).unwrap()).layer(greeter());
    let Ok(response) = service.oneshot(request.body(Full::new(body.into())).unwrap()).await;
    Answer::read(response).await
}

fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).version(Version::HTTP_2).header("content-type", content_type)
}

#[tokio::test]
async fn a_greeter_is_served_in_every_protocol() {
    let merry = Greeting { mood: 1, text: String::new() };
    let in_envelope = wrap(0, &merry.encode_to_vec());
    let json: &[u8] = br#"{"mood":"MERRY"}"#;
    let table = [
        // request, body, content type, beginning of the answer
        (post(GREET, "application/grpc"), EMPTY.to_vec(), "application/grpc", &in_envelope[..]),
        (post(GREET, "application/grpc-web"), EMPTY.to_vec(), "application/grpc-web+proto", &in_envelope[..]),
        (post(GREET, "application/proto"), vec![], "application/proto", &in_envelope[5..]),
        (post(GREET, "application/json"), b"{}".to_vec(), "application/json", json),
        (Request::get(GREET), vec![], "application/json", json),
        (post(CHAT, "application/connect+proto"), EMPTY.to_vec(), "application/connect+proto", &in_envelope[..]),
        (Request::put("/v1/greetings"), b"{}".to_vec(), "application/json", json),
    ];
    for (request, body, content_type, beginning) in table {
        let context = format!("{:?} {:?}", request.uri_ref(), request.headers_ref());
        let answer = call(request, body).await;
        assert_eq!((answer.http.as_u16(), answer.header("content-type")), (200, Some(content_type)), "{context}");
        assert!(answer.body.starts_with(beginning), "{context}: {answer:?}");
    }
    let text = BASE64_STANDARD.encode(EMPTY);
    let answer = call(post(GREET, "application/grpc-web-text"), text).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc-web-text+proto"));
    assert!(answer.body.starts_with(BASE64_STANDARD.encode(&in_envelope[..6]).as_bytes()));
}

#[tokio::test]
async fn compressed_requests_are_decompressed_for_the_service() {
    let message = Name { name: "unknown".to_owned() }.encode_to_vec();
    let body = wrap(COMPRESSED, &gzipped(&message));
    for content_type in ["application/grpc", "application/grpc-web+proto"] {
        let answer = call(post(GREET, content_type).header("grpc-encoding", "gzip"), body.clone()).await;
        assert!(content_type == "application/grpc-web+proto" || answer.code() == Code::NotFound, "{answer:?}");
        let answer = call(post(GREET, content_type).header("grpc-encoding", "gzip"), wrap(COMPRESSED, &message)).await;
        assert!(content_type == "application/grpc-web+proto" || answer.code() == Code::InvalidArgument, "{answer:?}");
    }
    let answer = call(post(GREET, "application/grpc").header("grpc-encoding", "zstd"), body).await;
    assert_eq!((answer.code(), answer.header("grpc-accept-encoding")), (Code::Unimplemented, Some("identity")));
}

#[tokio::test]
async fn requests_that_are_no_calls_are_answered_as_json() {
    let table = [
        // request, HTTP status, gRPC code
        (Request::get("/nowhere"), 404, 5),
        (Request::delete("/v1/greetings"), 405, 12),
        (post(GREET, "text/plain"), 415, 3),
        (Request::get("/v1/watch").header("accept", "text/html"), 406, 3),
    ];
    for (request, http, code) in table {
        let context = format!("{:?}", request.uri_ref());
        let answer = call(request, "").await;
        let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.http.as_u16(), status["code"].as_i64()), (http, Some(code)), "{context}");
    }
    let answer = call(Request::options("/v1/greetings"), "").await;
    assert_eq!((answer.http.as_u16(), answer.header("allow")), (204, Some("PUT, OPTIONS")));
}
