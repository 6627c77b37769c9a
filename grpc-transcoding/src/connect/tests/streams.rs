//! Calls with messages in envelopes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;

use super::support::*;
use crate::connect::{Connect, error_json};
use crate::error::{ERROR_DOMAIN, Error};
use crate::framing::{Envelopes, wrap};
use crate::grpc_call::End;

const JSON: &str = "application/connect+json";
const PROTO: &str = "application/connect+proto";

/// The decompressed messages of an answer, and its end.
fn taken_apart(answer: &Answer) -> (Vec<Vec<u8>>, Value) {
    assert_eq!(answer.http, 200);
    assert!(answer.trailers.is_none());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let mut envelopes = Envelopes::new(usize::MAX);
    envelopes.push(&answer.body);
    let mut messages = Vec::new();
    while let Some((flags, message)) = envelopes.next().unwrap() {
        match flags {
            0 => messages.push(message.to_vec()),
            1 => messages.push(gunzipped(&message)),
            2 => {
                assert!(envelopes.is_empty(), "nothing comes after the end");
                return (messages, serde_json::from_slice(&message).unwrap());
            }
            _ => panic!("flags {flags}"),
        }
    }
    panic!("no end: {answer:?}");
}

/// The body of a client that sends bit by bit.
struct Sending(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// Opens a chat, whose messages the returned sender sends.
async fn open(request: http::request::Builder) -> (mpsc::UnboundedSender<Bytes>, Response<Body>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let answer = begin(request.body(Body::new(Sending(receiver))).unwrap()).await;
    (sender, answer)
}

async fn next(answer: &mut Response<Body>) -> Bytes {
    answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_server_streams() {
    let table: [(&str, &[u8], &[u8]); 3] = [
        // content type, request, first message
        (JSON, b"{}", br#"{"mood":"MERRY"}"#),
        (PROTO, b"", b"\x08\x01"),
        ("application/connect+proto; charset=utf-8", b"\x0a\x00", b"\x08\x01"),
    ];
    for (content_type, sent, expected) in table {
        let request = post(WATCH, content_type).body(Body::new(http_body_util::Full::new(wrap(0, sent)))).unwrap();
        let mut answer = begin(request).await;
        let answered = answer.headers()["content-type"].to_str().unwrap();
        assert!(content_type.starts_with(answered), "{content_type}: {answered}");
        assert_eq!(next(&mut answer).await, wrap(0, expected), "{content_type}");
    }
}

#[tokio::test]
async fn failures_are_told_at_the_end() {
    let zipped = |request: http::request::Builder| request.header("connect-content-encoding", "gzip");
    let bomb = gzipped(&vec![b' '; 10_000_000]);
    let table = [
        // request, body, messages, code
        (post("/greeter.Odd/OneThenError", PROTO), wrap(0, b""), 1, "data_loss"),
        (post("/greeter.Odd/OneThenError", JSON), wrap(0, b"{}"), 0, "internal"),
        (post(WATCH, JSON).header("connect-protocol-version", "0"), wrap(0, b"{}"), 0, "invalid_argument"),
        (post(WATCH, JSON).header("connect-content-encoding", "zstd"), wrap(0, b"{}"), 0, "unimplemented"),
        (post(WATCH, JSON), wrap(0, b"{]"), 0, "invalid_argument"),
        (post(WATCH, JSON), Bytes::new(), 0, "unimplemented"),
        (post(WATCH, JSON), [wrap(0, b"{}"), wrap(0, b"{}")].concat().into(), 0, "unimplemented"),
        (post(WATCH, JSON), wrap(1, b"{}"), 0, "invalid_argument"),
        (post(WATCH, JSON), wrap(2, b"{}"), 0, "invalid_argument"),
        (post(WATCH, JSON), wrap(0, b"{}").slice(..6), 0, "invalid_argument"),
        (post(WATCH, JSON), wrap(0, b"{}").slice(..3), 0, "invalid_argument"),
        (post(WATCH, JSON), wrap(0, &name_of(LIMIT)), 0, "out_of_range"),
        (zipped(post(WATCH, JSON)), wrap(1, &bomb), 0, "out_of_range"),
        (zipped(post(WATCH, JSON)), wrap(1, b"{}"), 0, "invalid_argument"),
        (post(CHAT, JSON), wrap(0, b"{]"), 0, "invalid_argument"),
        (post(CHAT, JSON), wrap(0, b"{}").slice(..6), 0, "invalid_argument"),
        (post(CHAT, PROTO), wrap(0, &[0; LIMIT + 1]), 0, "out_of_range"),
    ];
    for (request, body, messages, code) in table {
        let context = format!("{:?} {:?} {:?}", request.uri_ref(), request.headers_ref(), &body[..body.len().min(9)]);
        let answer = call(request, body).await;
        let (found, end) = taken_apart(&answer);
        assert_eq!((found.len(), end["error"]["code"].as_str()), (messages, Some(code)), "{context}");
        // The service itself gives no details.
        let Some(details) = end["error"]["details"].as_array().filter(|_| code != "data_loss") else { continue };
        assert!(details.iter().any(|detail| detail["debug"]["domain"] == ERROR_DOMAIN), "{context}: {end}");
    }
}

#[tokio::test]
async fn both_sides_stream_at_once() {
    let (sender, mut answer) = open(post(CHAT, JSON)).await;
    let name = wrap(0, br#"{"name":""}"#);
    for _ in 0..3 {
        // The answer comes before there is another request.
        sender.send(name.slice(..7)).unwrap();
        sender.send(name.slice(7..)).unwrap();
        let data = next(&mut answer).await;
        assert_eq!(data, wrap(0, br#"{"mood":"MERRY"}"#));
    }
    drop(sender);
    assert_eq!(next(&mut answer).await, wrap(2, b"{}"));
    assert!(answer.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn messages_are_compressed_where_both_sides_want_it() {
    let name = br#"{"name":"long"}"#;
    let requests = [wrap(1, &gzipped(name)), wrap(0, name), wrap(1, b"")].concat();
    for (accept, compressed) in [("gzip", true), ("br", false)] {
        let request =
            post(CHAT, JSON).header("connect-content-encoding", "gzip").header("connect-accept-encoding", accept);
        let answer = call(request, requests.clone()).await;
        assert_eq!(answer.header("connect-content-encoding"), compressed.then_some("gzip"));
        assert_eq!(answer.body[0], u8::from(compressed));
        let (messages, end) = taken_apart(&answer);
        assert_eq!((messages.len(), &messages[0]), (2, &messages[1]));
        // The empty message is no JSON; empty content is never decompressed.
        assert_eq!(end["error"]["code"], "invalid_argument");
        assert!(messages[0].starts_with(br#"{"mood":"MERRY","text":"xxx"#));
    }
}

#[tokio::test]
async fn refused_calls_end_like_others() {
    let request = post(WATCH, PROTO).body(()).unwrap();
    let call = Connect::of(&method(WATCH), &request).unwrap();
    let answer = Answer::read(call.refuse(&Error::Overloaded.status())).await;
    let (messages, end) = taken_apart(&answer);
    assert!(messages.is_empty());
    assert_eq!(end["error"]["code"], "resource_exhausted");
    assert_eq!(answer.header("content-type"), Some(PROTO));
}

#[test]
fn trailers_are_told_at_the_end() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("cost", "237"), ("cost", "238"), ("key-bin", "AQI")] {
        headers.append(name, value.parse().unwrap());
    }
    let end = error_json::end_of_stream(method(WATCH).parent_pool(), &End { result: Ok(()), trailers: headers });
    assert_eq!(end, r#"{"metadata":{"cost":["237","238"],"key-bin":["AQI"]}}"#);
}
