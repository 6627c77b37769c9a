//! Calls in each protocol, and what each answer contains.

use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::support::*;
use crate::config::settings::Settings;

#[tokio::test]
async fn a_tonic_client_calls_and_watches() {
    let server = Server::start(Settings::default()).await;
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", server.address).parse().unwrap();
    let mut client = HealthClient::with_origin(http, origin);

    let answer = client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    assert!(answer.metadata().contains_key("x-request-id"));

    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let missing = client.check(HealthCheckRequest { service: "none".to_owned() }).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "service not registered"));
}

#[tokio::test]
async fn grpc_web_over_http1_and_http2() {
    let server = Server::start(Settings::default()).await;
    // A message, SERVING, and a frame with the trailers.
    let binary = b"\x00\x00\x00\x00\x02\x08\x01\x80\x00\x00\x00\x0fgrpc-status:0\r\n";
    let text = "AAAAAAIIAQ==gAAAAA9ncnBjLXN0YXR1czowDQo=";
    let (web, web_text) = ("application/grpc-web+proto", "application/grpc-web-text+proto");
    let table: [(&str, &[u8], &str, &[u8]); 7] = [
        // content type, sent, answered content type, answer
        ("application/grpc-web", EMPTY, web, binary),
        ("application/grpc-web+proto", EMPTY, web, binary),
        ("application/grpc-web+proto; charset=utf-8", EMPTY, web, binary),
        ("Application/gRPC-Web+Proto;charset=utf-8", EMPTY, web, binary),
        ("application/grpc-web-text", b"AAAAAAA=", web_text, text.as_bytes()),
        ("application/grpc-web-text+proto", b"AAAAAAA=", web_text, text.as_bytes()),
        ("application/grpc-web-text; charset=utf-8", b"AAAAAAA=", web_text, text.as_bytes()),
    ];
    let mut h1 = h1(server.connect().await).await;
    let mut h2 = h2(server.connect().await).await;
    for (content_type, sent, answered, answer) in table {
        let request = |uri: &str| {
            let body = tonic::body::Body::new(http_body_util::Full::from(sent));
            http::Request::post(uri).header("host", "server").header("content-type", content_type).body(body).unwrap()
        };
        let over_h1 = Answer::read(h1.send_request(request(CHECK)).await.unwrap()).await;
        let over_h2 = Answer::read(h2.send_request(request(&format!("http://server{CHECK}"))).await.unwrap()).await;
        for found in [over_h1, over_h2] {
            assert_eq!(found.http, 200, "{content_type}");
            assert_eq!(found.header("content-type"), Some(answered), "{content_type}");
            assert_eq!(found.body, answer, "{content_type}");
        }
    }
}

#[tokio::test]
async fn requests_of_other_kinds_learn_what_is_served() {
    let settings = Settings::default();
    let table = [
        // request, status, reason
        (http::Request::post(CHECK).header("content-type", "text/plain"), 415, "CONTENT_TYPE_UNSUPPORTED"),
        (
            http::Request::post(CHECK).header("content-type", "application/json; charset=x"),
            415,
            "CONTENT_TYPE_UNSUPPORTED",
        ),
        (http::Request::post(CHECK).header("content-type", "application/grpc"), 415, "CONTENT_TYPE_UNSUPPORTED"),
        (http::Request::post("/nowhere"), 404, "PATH_UNKNOWN"),
        (http::Request::post("/"), 405, "VERB_NOT_ALLOWED"),
        (http::Request::post("/v2/features/system"), 405, "VERB_NOT_ALLOWED"),
        (http::Request::get("/v2/features/system").header("accept", "text/html"), 406, "NOT_ACCEPTABLE"),
        (web(CHECK).method("PUT"), 405, "VERB_NOT_ALLOWED"),
    ];
    for (request, status, reason) in table {
        let mut request = with_message(request);
        request.headers_mut().insert("host", "server".parse().unwrap());
        let answer = call(&settings, request).await;
        assert_eq!(answer.http, status);
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told["details"][0]["reason"], reason);
    }
}

#[tokio::test]
async fn request_ids_are_taken_over_when_they_are_harmless() {
    let settings = Settings::default();
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    let table = [
        // sent, taken over
        ("a", true),
        ("7f3e-{}[]\"'!~", true),
        (longest.as_str(), true),
        ("", false),
        (too_long.as_str(), false),
        ("with space", false),
        ("tab\t", false),
        ("ümlaut", false),
    ];
    let mut seen = std::collections::HashSet::new();
    for (sent, taken) in table {
        let answer = call(&settings, with_message(grpc("/test/Context").header("x-request-id", sent))).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == sent, taken, "{sent:?} became {id:?}");
        assert_eq!(answer.header("seen-id"), Some(id), "the service sees the same id");
        // An id that the server makes names the process and the request.
        let made = id.split_once('-').is_some_and(|(process, request)| {
            process.len() == 16 && [process, request].iter().all(|part| u64::from_str_radix(part, 16).is_ok())
        });
        assert!(taken || (made && seen.insert(id.to_owned())), "{sent:?} became {id:?}");
    }
}

fn web_text(path: &str) -> http::request::Builder {
    http::Request::post(path).header("host", "server").header("content-type", "application/grpc-web-text")
}

#[tokio::test]
async fn library_errors_get_details() {
    let settings = Settings::default();
    let too_large = [&[0, 0, 0, 1, 0][..], &[0; 256]].concat();
    let table = [
        // request, body, code, reason
        (grpc(CHECK), too_large.as_slice(), Code::OutOfRange, "MESSAGE_TOO_LARGE"),
        (grpc(CHECK).header("grpc-encoding", "zstd"), EMPTY, Code::Unimplemented, "UNIMPLEMENTED"),
        (grpc("/none.Such/Method"), EMPTY, Code::Unimplemented, "UNIMPLEMENTED"),
        (grpc(CHECK), b"\0\0\0\0\x03\x0a\x01x", Code::NotFound, "NOT_FOUND"),
        (web(CHECK), b"\0\0\0\0\x03\x0a\x01x", Code::NotFound, "NOT_FOUND"),
        (grpc(CHECK), b"\0\0\0\0\x01\xff", Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(CHECK), b"\0\0\0\0\x03\x0a\x01\xff", Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(WATCH), b"\0\0\0\0\x02\x0a\x01", Code::InvalidArgument, "FIELD_INVALID"),
        (web(CHECK), b"\0\0\0\0\x01\xff", Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(CHECK), &[2, 0, 0, 0, 0], Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(CHECK), &[1, 0, 0, 0, 0], Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(CHECK), &[0, 0, 0, 0, 9, 1], Code::InvalidArgument, "FIELD_INVALID"),
        (grpc(CHECK).header("grpc-encoding", "gzip"), b"\x01\0\0\0\x02no", Code::InvalidArgument, "FIELD_INVALID"),
        (web(CHECK), &[2, 0, 0, 0, 0], Code::InvalidArgument, "FIELD_INVALID"),
        (web_text(CHECK), b"!!!!", Code::InvalidArgument, "FIELD_INVALID"),
        (web_text(CHECK), b"AAA", Code::InvalidArgument, "FIELD_INVALID"),
        (grpc("/test/OneThenError"), EMPTY, Code::DataLoss, "INTERNAL"),
    ];
    for (request, body, code, reason) in table {
        let body = tonic::body::Body::new(http_body_util::Full::from(body.to_vec()));
        let answer = call(&settings, request.body(body).unwrap()).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (code, reason));
    }
}

#[tokio::test]
async fn panics_are_internal_errors() {
    let settings = Settings::default();
    for path in ["/test/Panic", "/test/PanicAtOnce", "/test/OneThenPanic"] {
        let answer = call(&settings, with_message(grpc(path))).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::Internal, "INTERNAL"), "{path}");
        assert_eq!(answer.status().message(), "internal error");
    }
    let answer = call(&settings, with_message(web("/test/Panic"))).await;
    assert_eq!((answer.code(), answer.header("content-type")), (Code::Internal, Some("application/grpc-web+proto")));
}

#[tokio::test]
async fn a_panic_leaves_the_connection_alone() {
    let server = Server::start(Settings::default()).await;
    let mut client = h2(server.connect().await).await;
    for (path, code) in [("/test/Panic", Code::Internal), (CHECK, Code::Ok)] {
        let answer = client.send_request(with_message(grpc(path))).await.unwrap();
        assert_eq!(Answer::read(answer).await.code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_answers_end_at_their_deadline() {
    let settings = Settings::default();
    let table = [
        // grpc-timeout, seconds until the answer
        (None, 10),
        (Some("2S"), 2),
        (Some("1H"), 60),
        (Some("0n"), 0),
    ];
    for (timeout, seconds) in table {
        for request in [grpc("/test/Never"), web("/test/Never")] {
            let began = tokio::time::Instant::now();
            let request = timeout.iter().fold(request, |request, timeout| request.header("grpc-timeout", *timeout));
            let answer = call(&settings, with_message(request)).await;
            assert_eq!((answer.http.as_u16(), answer.code()), (200, Code::DeadlineExceeded), "{timeout:?}");
            assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
            let waited = began.elapsed();
            let expected = Duration::from_secs(seconds);
            assert!(waited >= expected && waited < expected + Duration::from_millis(10), "{timeout:?}: {waited:?}");
        }
    }
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_not_made() {
    let answer = call(&Settings::default(), with_message(grpc(CHECK).header("grpc-timeout", "0n"))).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_malformed_timeout_is_named() {
    let answer = call(&Settings::default(), with_message(grpc(CHECK).header("grpc-timeout", "soon"))).await;
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(answer.details().bad_request().unwrap().field_violations[0].field, "grpc-timeout");
}

#[tokio::test]
async fn services_see_whether_the_deadline_is_the_clients() {
    for (request, explicit) in
        [(grpc("/test/Context"), "false"), (grpc("/test/Context").header("grpc-timeout", "1S"), "true")]
    {
        let answer = call(&Settings::default(), with_message(request)).await;
        assert_eq!(answer.header("explicit"), Some(explicit));
    }
}

#[tokio::test]
async fn services_see_http2_for_each_version_of_the_client() {
    for request in [grpc("/test/Context"), web("/test/Context")] {
        let answer = call(&Settings::default(), with_message(request)).await;
        assert_eq!(answer.header("version"), Some("HTTP/2.0"));
    }
}
