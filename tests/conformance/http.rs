//! Plain HTTP requests, for what no client sends and no client shows.

use std::io::Read;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";
const STREAM_JSON: &str = "application/connect+json";

/// The largest message of the greeter, in bytes.
const LIMIT: usize = 64 * 1024;

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub request: Value,
    pub sees: Value,
}

/// The table.
pub fn all() -> Vec<Row> {
    let ann = r#"{"name":"Ann"}"#;
    let hello = json!({"http": 200, "messages": [{"text": "Hello, Ann!"}], "code": null});
    let fails = |http: u16, code: &str| json!({"http": http, "messages": [], "code": code});
    let no_call = |http: u16| json!({"http": http, "content-type": JSON});
    let name_of = |bytes: usize| format!(r#"{{"name":"{}"}}"#, "x".repeat(bytes - 11));
    let slow = r#"{"name":"Ann","times":2,"pauseMs":50000}"#;
    let get = |query: &str| request("GET", &format!("Greet?{query}"), &[], b"");
    let post = |content_type: &str, headers: &[(&str, &str)], body: &[u8]| {
        request("POST", "Greet", &[headers, &[("content-type", content_type)]].concat(), body)
    };
    let repeat = |headers: &[(&str, &str)], body: &[u8]| {
        request("POST", "Repeat", &[headers, &[("content-type", STREAM_JSON)]].concat(), body)
    };
    let once = r#"{"name":"Ann","times":1}"#.as_bytes();
    let in_base64 = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
    let rows = vec![
        // scenario, request, answer
        ("protocol version", post(JSON, &[], ann.as_bytes()), hello.clone()),
        ("protocol version", post(JSON, &[("connect-protocol-version", "1")], ann.as_bytes()), hello.clone()),
        (
            "protocol version",
            post(JSON, &[("connect-protocol-version", "2")], ann.as_bytes()),
            fails(400, "invalid_argument"),
        ),
        (
            "protocol version",
            repeat(&[("connect-protocol-version", "2")], &enveloped(0, once)),
            fails(200, "invalid_argument"),
        ),
        ("protocol version", get("connect=v2&encoding=json&message={}"), fails(400, "invalid_argument")),
        ("message in the query", get("connect=v1&encoding=json&message=%7B%22name%22%3A%22Ann%22%7D"), hello.clone()),
        (
            "message in the query",
            get(&format!("other=1&message={}&base64=1&encoding=json", in_base64(ann.as_bytes()))),
            hello.clone(),
        ),
        (
            "message in the query",
            get(&format!("compression=gzip&message={}&base64=1&encoding=json", in_base64(&gzipped(ann.as_bytes())))),
            hello.clone(),
        ),
        ("message in the query", get("encoding=foo&message={}"), no_call(415)),
        (
            "trailers of a unary call",
            post(JSON, &[("mood", "merry")], ann.as_bytes()),
            json!({"http": 200, "mood": "merry", "trailer-mood": "merry"}),
        ),
        (
            "compressed answer",
            post(JSON, &[("accept-encoding", "br, gzip")], name_of(2000).as_bytes()),
            json!({"http": 200, "content-encoding": "gzip"}),
        ),
        (
            "compressed answer",
            post(JSON, &[("accept-encoding", "br")], name_of(2000).as_bytes()),
            json!({"http": 200, "content-encoding": null}),
        ),
        (
            "compressed answer",
            repeat(&[("connect-accept-encoding", "gzip")], &enveloped(0, once)),
            json!({"connect-content-encoding": "gzip", "messages": hello["messages"]}),
        ),
        (
            "empty compressed message",
            request("POST", "Wave", &[("content-type", PROTO), ("content-encoding", "gzip")], b""),
            json!({"http": 200, "length": 0}),
        ),
        (
            "unknown compression",
            post(JSON, &[("content-encoding", "foo")], ann.as_bytes()),
            fails(501, "unimplemented"),
        ),
        (
            "unknown compression",
            repeat(&[("connect-content-encoding", "foo")], &enveloped(0, once)),
            fails(200, "unimplemented"),
        ),
        ("unknown compression", get("encoding=json&message={}&compression=foo"), fails(501, "unimplemented")),
        ("compression without its header", repeat(&[], &enveloped(1, &gzipped(once))), fails(200, "invalid_argument")),
        (
            "compression without its header",
            repeat(&[("connect-content-encoding", "identity")], &enveloped(1, &gzipped(once))),
            fails(200, "invalid_argument"),
        ),
        ("unknown flags", repeat(&[], &enveloped(2, once)), fails(200, "invalid_argument")),
        ("malformed message", post(JSON, &[], b"{"), fails(400, "invalid_argument")),
        ("malformed message", post(JSON, &[], b""), fails(400, "invalid_argument")),
        ("malformed protobuf message", post(PROTO, &[], b"\x0a\x05Ann"), fails(500, "internal")),
        ("malformed message", repeat(&[], &enveloped(0, b"{")), fails(200, "invalid_argument")),
        ("malformed message", repeat(&[], &enveloped(0, once)[..9]), fails(200, "invalid_argument")),
        ("server stream without a request", repeat(&[], b""), fails(200, "unimplemented")),
        ("server stream with two requests", repeat(&[], &enveloped(0, once).repeat(2)), fails(200, "unimplemented")),
        ("message at the limit", post(JSON, &[], name_of(LIMIT).as_bytes()), json!({"http": 200, "code": null})),
        ("message over the limit", post(JSON, &[], name_of(LIMIT + 1).as_bytes()), fails(400, "out_of_range")),
        (
            "deadline of the server",
            post(JSON, &[("connect-timeout-ms", "50")], slow.as_bytes()),
            fails(504, "deadline_exceeded"),
        ),
        (
            "deadline of the server",
            repeat(&[("connect-timeout-ms", "50")], &enveloped(0, slow.as_bytes())),
            json!({"http": 200, "messages": hello["messages"], "code": "deadline_exceeded"}),
        ),
        (
            "malformed timeout",
            post(JSON, &[("connect-timeout-ms", "soon")], ann.as_bytes()),
            fails(400, "invalid_argument"),
        ),
        (
            "malformed timeout",
            repeat(&[("connect-timeout-ms", "12345678901")], &enveloped(0, once)),
            fails(200, "invalid_argument"),
        ),
        ("wrong content type", post("image/jpeg", &[], b"12345678"), no_call(415)),
        ("wrong content type", post("application/foo", &[], ann.as_bytes()), no_call(415)),
        ("wrong content type", post(STREAM_JSON, &[], ann.as_bytes()), no_call(415)),
        ("wrong content type", request("POST", "Repeat", &[("content-type", JSON)], once), no_call(415)),
        (
            "wrong verb",
            request("DELETE", "Greet", &[("content-type", JSON)], b""),
            json!({"http": 405, "allow": "GET, HEAD, POST, OPTIONS"}),
        ),
        (
            "wrong verb",
            request("GET", "Wave?encoding=json&message={}", &[], b""),
            json!({"http": 405, "allow": "POST, OPTIONS"}),
        ),
        ("unknown path", request("POST", "Nowhere", &[("content-type", PROTO)], b""), no_call(404)),
    ];
    rows.into_iter().map(|(name, request, sees)| Row { name, request, sees }).collect()
}

/// What an answer says: its status, headers, messages and error.
pub fn seen(answer: &Value) -> Value {
    let mut seen = answer["headers"].clone();
    seen["http"] = answer["http"].clone();
    let body = BASE64_STANDARD.decode(answer["body"].as_str().expect("a text")).expect("base64");
    seen["length"] = body.len().into();
    let mut messages: Vec<Value> = Vec::new();
    if answer["headers"]["content-type"] == STREAM_JSON {
        let mut rest = &body[..];
        while let Some((&[flags, a, b, c, d], following)) = rest.split_first_chunk() {
            let (message, following) = following.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
            let message = if flags & 1 == 1 { gunzipped(message) } else { message.to_vec() };
            messages.push(serde_json::from_slice(&message).expect("JSON"));
            assert_eq!(flags & 2 == 2, following.is_empty(), "the last message is the end, and no other one");
            rest = following;
        }
        let end = messages.pop().expect("an end");
        seen["code"] = end["error"]["code"].clone();
    } else if answer["headers"]["content-type"] == JSON && answer["headers"]["content-encoding"].is_null() {
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        match answer["http"] == 200 {
            true => messages.push(message),
            false => seen["code"] = message["code"].clone(),
        }
    }
    seen["messages"] = messages.into();
    seen
}

fn request(verb: &str, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let headers: Value = headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    let path = format!("/greeter.v1.Greeter/{method}");
    json!({"verb": verb, "path": path, "headers": headers, "body": BASE64_STANDARD.encode(body)})
}

fn enveloped(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[flags], &length[..], message].concat()
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzEncoder::new(content, Compression::fast()).read_to_end(&mut out).expect("memory can be read");
    out
}

fn gunzipped(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(content).read_to_end(&mut out).expect("gzip");
    out
}
