//! Calls with one message in each direction.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::Request;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::support::*;

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";

/// The code, the reason and the details of a failed answer. An answer of the service itself has no details.
fn failure(answer: &Answer) -> (String, String, ErrorDetails) {
    assert_eq!(answer.header("content-type"), Some(JSON));
    let error: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    let details = error["details"].as_array().into_iter().flatten().map(|detail| {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        let type_url = format!("type.googleapis.com/{}", detail["type"].as_str().unwrap());
        assert!(detail["debug"].is_object(), "{detail}");
        prost_types::Any { type_url, value }
    });
    let details = tonic_types::pb::Status { details: details.collect(), ..Default::default() };
    let details = Status::with_details(Code::Unknown, "", details.encode_to_vec().into()).get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (error["code"].as_str().unwrap().to_owned(), reason, details)
}

fn get(query: &str) -> http::request::Builder {
    Request::get(format!("{GREET}?{query}")).header("host", "server")
}

#[tokio::test]
async fn answers_in_the_codec_of_the_request() {
    let merry = br#"{"mood":"MERRY"}"#.as_slice();
    let base64 = URL_SAFE.encode([10, 0]);
    let base64 = base64.replace('=', "%3D");
    let zipped = URL_SAFE_NO_PAD.encode(gzipped(b"{}"));
    let table = [
        // request, body, content type of the answer, answer
        (post(GREET, JSON), "{}", JSON, merry),
        (post(GREET, "application/json; charset=utf-8"), "{}", JSON, merry),
        (post(GREET, JSON).header("connect-protocol-version", "1"), r#"{"name":""}"#, JSON, merry),
        (post(GREET, JSON).header("content-encoding", "identity"), "{}", JSON, merry),
        (post(GREET, PROTO), "", PROTO, b"\x08\x01"),
        (post(GREET, PROTO), "\x0a\x00", PROTO, b"\x08\x01"),
        (post(GREET, PROTO).header("content-encoding", "gzip"), "", PROTO, b"\x08\x01"),
        (get("connect=v1&encoding=json&message=%7B%7D"), "", JSON, merry),
        (get("encoding=json&message=%7B+%7D&other=%FF"), "", JSON, merry),
        (get("encoding=json&message=e30&base64=1"), "", JSON, merry),
        (get("encoding=json&message=%7B%7D&base64=2"), "", JSON, merry),
        (get(""), "", JSON, merry),
        (get("encoding=proto&message="), "", PROTO, b"\x08\x01"),
        (get(&format!("encoding=proto&base64=1&message={base64}")), "", PROTO, b"\x08\x01"),
        (get(&format!("encoding=json&base64=1&compression=gzip&message={zipped}")), "", JSON, merry),
    ];
    for (request, body, content_type, expected) in table {
        let context = format!("{:?} {body:?}", request.uri_ref());
        let answer = call(request, body).await;
        assert_eq!((answer.http.as_u16(), &answer.body[..]), (200, expected), "{context}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{context}");
        for name in answer.headers.keys() {
            assert!(!name.as_str().contains("grpc"), "{context}: {name}");
        }
    }
}

#[tokio::test]
async fn failures_have_the_details_of_grpc() {
    let bomb = gzipped(&vec![b' '; 10_000_000]);
    let invalid = (400, "invalid_argument", "FIELD_INVALID");
    let too_large = (400, "out_of_range", "MESSAGE_TOO_LARGE");
    let unknown = (501, "unimplemented", "UNIMPLEMENTED");
    let zipped = |request: http::request::Builder| request.header("content-encoding", "gzip");
    let table: [(_, Vec<u8>, _); 16] = [
        // request, body, status, code and reason
        (post(GREET, JSON), name_of(3), (404, "not_found", "")),
        (post(GREET, PROTO), b"\x0a\x01x".to_vec(), (404, "not_found", "")),
        (post(GREET, JSON), b"{".to_vec(), invalid),
        (post(GREET, JSON), b"".to_vec(), invalid),
        (post(GREET, JSON), name_of(LIMIT), too_large),
        (post(GREET, JSON).header("connect-protocol-version", "2"), b"{}".to_vec(), invalid),
        (zipped(post(GREET, JSON)), b"{}".to_vec(), invalid),
        (zipped(post(GREET, JSON)), gzipped(b"{}")[..15].to_vec(), invalid),
        (zipped(post(GREET, JSON)), gzipped(&name_of(LIMIT)), too_large),
        (zipped(post(GREET, JSON)), bomb, too_large),
        (post(GREET, JSON).header("content-encoding", "br"), b"{}".to_vec(), unknown),
        (get("encoding=json"), vec![], invalid),
        (get("encoding=json&message=%7B%7D&connect=v2"), vec![], invalid),
        (get("encoding=json&message=%7B%7D&compression=br"), vec![], unknown),
        (get("encoding=json&message=%7B%7D&base64=1"), vec![], invalid),
        (get(&format!("encoding=json&message={}", "+".repeat(LIMIT + 1))), vec![], too_large),
    ];
    for (request, body, (http_status, code, reason)) in table {
        let context = format!("{:?} {:?}", request.uri_ref(), request.headers_ref());
        let answer = call(request, body).await;
        let (found_code, found_reason, _) = failure(&answer);
        assert_eq!((answer.http.as_u16(), found_code.as_str()), (http_status, code), "{context}");
        assert_eq!(found_reason, reason, "{context}");
    }
}

#[tokio::test]
async fn details_are_readable_too() {
    let answer = call(post(GREET, JSON).header("connect-protocol-version", "2"), "{}").await;
    let violations = failure(&answer).2.bad_request().unwrap().field_violations.clone();
    assert_eq!(violations[0].field, "connect-protocol-version");
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    let details = error["details"].as_array().unwrap();
    assert!(details.iter().any(|detail| {
        detail["type"] == "google.rpc.ErrorInfo"
            && detail["debug"] == json!({"reason": "FIELD_INVALID", "domain": "grpc-transcoding"})
    }));
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let table = [
        // path, accept-encoding, compressed
        ("/greeter.Odd/One", None, false),
        ("/greeter.Odd/One", Some("gzip, br"), true),
        (GREET, Some("gzip, br"), false),
    ];
    for (path, accept, compressed) in table {
        let request = accept.iter().fold(post(path, PROTO), |request, value| request.header("accept-encoding", *value));
        let answer = call(request, "").await;
        assert_eq!(answer.header("content-encoding"), compressed.then_some("gzip"), "{path} {accept:?}");
        let content = if compressed { gunzipped(&answer.body) } else { answer.body.to_vec() };
        assert!(path == GREET || content == [0; 4096]);
    }
}

#[tokio::test]
async fn metadata_comes_back() {
    let answer = call(post("/greeter.Odd/One", PROTO), "").await;
    assert_eq!((answer.http.as_u16(), answer.header("trailer-cost")), (200, Some("237")));
    // This one answers with headers alone, and without a message.
    let answer = call(post("/greeter.Odd/HeadersAlone", JSON).header("sent", "a1"), "{}").await;
    assert_eq!((answer.http.as_u16(), answer.header("seen")), (500, Some("a1")));
}

#[tokio::test]
async fn what_is_no_answer_is_an_internal_error() {
    for path in ["/greeter.Odd/One", "/greeter.Odd/HeadersAlone"] {
        let (code, reason, _) = failure(&call(post(path, JSON).header("sent", "a1"), "{}").await);
        assert_eq!((code.as_str(), reason.as_str()), ("internal", "INTERNAL"), "{path}");
    }
}
