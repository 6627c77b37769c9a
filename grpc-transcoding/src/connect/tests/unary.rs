//! Calls with one message in each direction.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::Request;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::support::*;
use crate::middleware::tests::support::{Answer, CHECK};

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";

/// What a failed answer says: code, reason, and the details, which must be what gRPC has.
fn failure(answer: &Answer) -> (String, String, ErrorDetails) {
    assert_eq!(answer.header("content-type"), Some(JSON));
    let error: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    let details = error["details"].as_array().expect("a failure has details").iter().map(|detail| {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        let type_url = format!("type.googleapis.com/{}", detail["type"].as_str().unwrap());
        assert!(detail["debug"].is_object(), "{detail}");
        prost_types::Any { type_url, value }
    });
    let details = tonic_types::pb::Status { details: details.collect(), ..Default::default() };
    let details = Status::with_details(Code::Unknown, "", details.encode_to_vec().into()).get_error_details();
    assert_eq!(details.request_info().unwrap().request_id, answer.header("x-request-id").unwrap());
    let reason = details.error_info().unwrap().reason.clone();
    (error["code"].as_str().unwrap().to_owned(), reason, details)
}

fn get(query: &str) -> http::request::Builder {
    Request::get(format!("{CHECK}?{query}")).header("host", "server")
}

#[tokio::test]
async fn answers_in_the_codec_of_the_request() {
    let serving = br#"{"status":"SERVING"}"#.as_slice();
    let base64 = URL_SAFE.encode([10, 0]);
    let base64 = base64.replace('=', "%3D");
    let zipped = URL_SAFE_NO_PAD.encode(gzipped(b"{}"));
    let table = [
        // request, body, content type of the answer, answer
        (post(CHECK, JSON), "{}", JSON, serving),
        (post(CHECK, "application/json; charset=utf-8"), "{}", JSON, serving),
        (post(CHECK, JSON).header("connect-protocol-version", "1"), r#"{"service":""}"#, JSON, serving),
        (post(CHECK, JSON).header("content-encoding", "identity"), "{}", JSON, serving),
        (post(CHECK, PROTO), "", PROTO, b"\x08\x01"),
        (post(CHECK, PROTO), "\x0a\x00", PROTO, b"\x08\x01"),
        (post(CHECK, PROTO).header("content-encoding", "gzip"), "", PROTO, b"\x08\x01"),
        (get("connect=v1&encoding=json&message=%7B%7D"), "", JSON, serving),
        (get("encoding=json&message=%7B+%7D&other=%FF"), "", JSON, serving),
        (get("encoding=json&message=e30&base64=1"), "", JSON, serving),
        (get("encoding=json&message=%7B%7D&base64=2"), "", JSON, serving),
        (get(""), "", JSON, serving),
        (get("encoding=proto&message="), "", PROTO, b"\x08\x01"),
        (get(&format!("encoding=proto&base64=1&message={base64}")), "", PROTO, b"\x08\x01"),
        (get(&format!("encoding=json&base64=1&compression=gzip&message={zipped}")), "", JSON, serving),
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
    let table: [(_, Vec<u8>, _); 17] = [
        // request, body, status, code and reason
        (post(CHECK, JSON), check_of(3), (404, "not_found", "NOT_FOUND")),
        (post(CHECK, PROTO), b"\x0a\x01x".to_vec(), (404, "not_found", "NOT_FOUND")),
        (post(CHECK, JSON), b"{".to_vec(), invalid),
        (post(CHECK, JSON), b"".to_vec(), invalid),
        (post(CHECK, JSON), check_of(LIMIT), too_large),
        (post(CHECK, JSON).header("connect-protocol-version", "2"), b"{}".to_vec(), invalid),
        (zipped(post(CHECK, JSON)), b"{}".to_vec(), invalid),
        (zipped(post(CHECK, JSON)), gzipped(b"{}")[..15].to_vec(), invalid),
        (zipped(post(CHECK, JSON)), gzipped(&check_of(LIMIT)), too_large),
        (zipped(post(CHECK, JSON)), bomb, too_large),
        (post(CHECK, JSON).header("content-encoding", "br"), b"{}".to_vec(), unknown),
        (get("encoding=json"), vec![], invalid),
        (get("encoding=json&message=%7B%7D&connect=v2"), vec![], invalid),
        (get("encoding=json&message=%7B%7D&compression=br"), vec![], unknown),
        (get("encoding=json&message=%7B%7D&base64=1"), vec![], invalid),
        (get(&format!("encoding=json&message={}", "+".repeat(LIMIT + 1))), vec![], too_large),
        (post("/test/Panic", JSON), b"{}".to_vec(), (500, "internal", "INTERNAL")),
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
    let answer =
        call(post(CHECK, JSON).header("x-request-id", "a1").header("connect-protocol-version", "2"), "{}").await;
    let violations = failure(&answer).2.bad_request().unwrap().field_violations.clone();
    assert_eq!(violations[0].field, "connect-protocol-version");
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    let details = error["details"].as_array().unwrap();
    assert!(
        details.iter().any(|detail| {
            detail["type"] == "google.rpc.RequestInfo" && detail["debug"] == json!({"requestId": "a1"})
        })
    );
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let table = [
        // path, accept-encoding, compressed
        ("/test/One", None, false),
        ("/test/One", Some("gzip, br"), true),
        (CHECK, Some("gzip, br"), false),
    ];
    for (path, accept, compressed) in table {
        let request = accept.iter().fold(post(path, PROTO), |request, value| request.header("accept-encoding", *value));
        let answer = call(request, "").await;
        assert_eq!(answer.header("content-encoding"), compressed.then_some("gzip"), "{path} {accept:?}");
        let content = if compressed { gunzipped(&answer.body) } else { answer.body.to_vec() };
        assert!(path == CHECK || content == [0; 4096]);
    }
}

#[tokio::test]
async fn metadata_comes_back() {
    let answer = call(post("/test/One", PROTO), "").await;
    assert_eq!((answer.http.as_u16(), answer.header("trailer-cost")), (200, Some("237")));
    // This one answers with headers alone, and without a message.
    let answer = call(post("/test/Context", JSON).header("x-request-id", "a1"), "{}").await;
    assert_eq!((answer.http.as_u16(), answer.header("seen-id")), (500, Some("a1")));
}

#[tokio::test]
async fn what_is_no_answer_is_an_internal_error() {
    for path in ["/test/One", "/test/Context"] {
        let (code, reason, _) = failure(&call(post(path, JSON), "{}").await);
        assert_eq!((code.as_str(), reason.as_str()), ("internal", "INTERNAL"), "{path}");
    }
}
