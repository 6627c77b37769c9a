//! Which calls get a slot when there are not enough, and how slow and large requests end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::Full;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneService;

use super::support::*;
use crate::config::settings::{Limits, Settings};
use crate::middleware::response_body::CallBody;
use crate::middleware::stack::layers;
use crate::net::shutdown::Drain;

const SECOND: Duration = Duration::from_secs(1);
const ATTACKER: &str = "10.0.0.66";
const OTHER: &str = "10.0.0.1";

/// A call in each protocol, to a service that does not exist.
const EACH_PROTOCOL: [(&str, &str, &str); 6] = [
    // verb, path, content type
    ("POST", "/zitadel.feature.v2.FeatureService/GetSystemFeatures", "application/grpc"),
    ("POST", "/zitadel.feature.v2.FeatureService/GetSystemFeatures", "application/grpc-web+proto"),
    ("POST", "/zitadel.feature.v2.FeatureService/GetSystemFeatures", "application/grpc-web-text"),
    ("POST", "/zitadel.feature.v2.FeatureService/GetSystemFeatures", "application/json"),
    ("POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/connect+json"),
    ("GET", "/v2/features/system", "application/json"),
];

/// Calls from any address, without connections.
#[derive(Clone)]
struct Calls(BoxCloneService<Request<Body>, Response<CallBody>, Infallible>);

fn calls(limits: Limits) -> Calls {
    Calls(BoxCloneService::new(layers(service(), recogniser(), &limits, &[], Drain::new(), None)))
}

impl Calls {
    fn make(&self, from: &str, request: Request<Body>) -> impl Future<Output = Response<CallBody>> + use<> {
        let request = sent_by(from.parse().unwrap(), request);
        let service = self.0.clone();
        async move {
            let Ok(response) = service.oneshot(request).await;
            response
        }
    }

    async fn code(&self, from: &str, request: Request<Body>) -> Code {
        Answer::read(self.make(from, request).await).await.code()
    }

    /// Starts a call that does not end.
    async fn hold(&self, from: &str, request: Request<Body>) -> JoinHandle<Response<CallBody>> {
        let held = tokio::spawn(self.make(from, request));
        tokio::task::yield_now().await;
        held
    }
}

/// The body of a request that arrives as it is sent, and does not end before the sender is dropped.
struct Slow(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn slow_body() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, chunks) = mpsc::unbounded_channel();
    (sender, Body::new(Slow(chunks)))
}

fn with_token(request: http::request::Builder) -> Request<Body> {
    with_message(request.header("authorization", "Bearer token"))
}

#[tokio::test]
async fn a_call_with_a_token_over_the_limit_is_refused_in_its_protocol() {
    let calls = calls(Limits { calls: 1, ..Limits::default() });
    let held = calls.hold(OTHER, with_token(grpc("/test/Never"))).await;
    for (verb, path, content_type) in EACH_PROTOCOL {
        let request = Request::builder().method(verb).uri(path).version(http::Version::HTTP_2);
        let began = std::time::Instant::now();
        let request = request.header("content-type", content_type).header("x-request-id", "this");
        let answer = Answer::read(calls.make(OTHER, with_token(request)).await).await;
        let refused_in = began.elapsed();
        assert_overloaded(&answer, content_type);
        assert!(refused_in < SECOND / 10, "{content_type}: {refused_in:?}");
    }
    held.abort();
    assert!(held.await.is_err());
    assert_eq!(calls.code(OTHER, with_token(grpc(CHECK))).await, Code::Ok, "the place came back");
}

/// Checks the code, the reason and the retry advice in each protocol.
fn assert_overloaded(answer: &Answer, content_type: &str) {
    if !content_type.contains("json") {
        assert_eq!((answer.http.as_u16(), answer.code()), (200, Code::ResourceExhausted), "{content_type}");
        assert_eq!(answer.reason(), "OVERLOADED");
        assert!(answer.details().retry_info().is_some(), "{content_type}");
        return;
    }
    let text = String::from_utf8_lossy(&answer.body);
    let code = if text.contains("RESOURCE_EXHAUSTED") || text.contains("resource_exhausted") { 429 } else { 0 };
    let expected = if content_type.contains("connect") { 200 } else { 429 };
    assert_eq!(answer.http, expected, "{text}");
    assert!(code == 429 || text.contains("\"code\":8"), "{text}");
    assert!(text.contains("google.rpc.RetryInfo") && text.contains("OVERLOADED"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_token_take_no_slot_from_others() {
    let calls = calls(Limits { calls: 1, unauthenticated_calls: 32, ..Limits::default() });
    // Calls that last: streams, and calls whose body does not arrive.
    let (mut streams, mut slow) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        streams.push(calls.make(ATTACKER, with_message(grpc(WATCH))).await);
        let (sender, body) = slow_body();
        slow.push((sender, calls.hold(ATTACKER, grpc(CHECK).body(body).unwrap()).await));
    }
    let (_sender, body) = slow_body();
    let (late, late_body) = slow_body();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND / 10).await;
        late.send(Bytes::from_static(EMPTY)).unwrap();
    });
    let table = [
        // what, from, call, code
        ("a check in two pieces", ATTACKER, grpc(CHECK).body(late_body).unwrap(), Code::Ok),
        ("one stream more", ATTACKER, with_message(grpc(WATCH)), Code::ResourceExhausted),
        ("one slow body more", ATTACKER, grpc(CHECK).body(body).unwrap(), Code::ResourceExhausted),
        ("a check from the same address", ATTACKER, with_message(grpc(CHECK)), Code::Ok),
        ("a check from elsewhere", OTHER, with_message(grpc(CHECK)), Code::Ok),
        ("a token from the same address", ATTACKER, with_token(grpc(CHECK)), Code::Ok),
        ("a token from elsewhere", OTHER, with_token(grpc(CHECK)), Code::Ok),
    ];
    for (what, from, call, code) in table {
        assert_eq!(calls.code(from, call).await, code, "{what}");
    }
    assert_eq!(calls.make(OTHER, with_message(grpc(WATCH))).await.status(), 200, "a stream from elsewhere");
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_given_up() {
    let calls = calls(Limits { receive_timeout_ms: 3_000, ..Limits::default() });
    for request in [grpc(CHECK), web(CHECK), grpc(WATCH)] {
        let (sender, body) = slow_body();
        let drip = tokio::spawn(async move {
            while sender.send(Bytes::from_static(b"\0")).is_ok() {
                tokio::time::sleep(SECOND).await;
            }
        });
        let began = Instant::now();
        let request = request.header("grpc-timeout", "30S").body(body).unwrap();
        let answer = Answer::read(calls.make(OTHER, request).await).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::DeadlineExceeded, "REQUEST_TOO_SLOW"));
        assert_eq!(began.elapsed().as_secs(), 3);
        drip.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_not_blamed_for_a_slow_service() {
    let calls = calls(Limits { receive_timeout_ms: 3_000, ..Limits::default() });
    let (_sender, body) = slow_body();
    let request = grpc("/test/Never").header("grpc-timeout", "30S").body(body).unwrap();
    let answer = Answer::read(calls.make(OTHER, request).await).await;
    assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn the_memory_of_requests_is_bounded() {
    let calls = calls(Limits { request_bytes: 100, ..Limits::default() });
    // The first bytes of a message of 90 bytes; the rest never arrives.
    let begun = Bytes::from([&[0, 0, 0, 0, 90][..], &[0; 80]].concat());
    let (sender, body) = slow_body();
    sender.send(begun.clone()).unwrap();
    let held = calls.hold(OTHER, grpc(CHECK).header("authorization", "Bearer token").body(body).unwrap()).await;
    let whole = |request: http::request::Builder| request.body(Body::new(Full::from(begun.clone()))).unwrap();
    let large = Bytes::from([&[0, 0, 1, 0, 0][..], &[0; 65_536]].concat());
    let large = grpc(CHECK).body(Body::new(Full::from(large))).unwrap();
    let table = [
        // what, call, code, reason
        ("more in all", whole(grpc(CHECK).header("authorization", "x")), Code::ResourceExhausted, "OVERLOADED"),
        ("in gRPC-Web too", whole(web(CHECK).header("authorization", "x")), Code::ResourceExhausted, "OVERLOADED"),
        ("more without a token", large, Code::OutOfRange, "MESSAGE_TOO_LARGE"),
    ];
    for (what, request, code, reason) in table {
        let answer = Answer::read(calls.make(OTHER, request).await).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (code, reason), "{what}");
    }
    held.abort();
    assert!(held.await.is_err());
    let answer = Answer::read(calls.make(OTHER, whole(grpc(CHECK).header("authorization", "x"))).await).await;
    assert_eq!(answer.reason(), "FIELD_INVALID", "it is read again, and ends within a message");
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_http1_does_not_wait_for_a_body_beyond_the_deadline() {
    let server = Server::start(Settings::default()).await;
    let mut client = h1(server.connect().await).await;
    let (_sender, body) = slow_body();
    let began = Instant::now();
    let request = web("/test/Never").header("grpc-timeout", "40m").body(body).unwrap();
    let answer = Answer::read(client.send_request(request).await.unwrap()).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}
