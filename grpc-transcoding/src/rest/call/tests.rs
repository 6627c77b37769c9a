//! REST calls of a service with prepared answers.

use std::convert::Infallible;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, Method};
use http_body_util::{BodyExt, Full};
use prost_reflect::Value;
use tonic::Code;
use tower::service_fn;

use super::*;
use crate::framing::wrap;
use crate::host::DefaultHost;
use crate::rest::Routes;
use crate::rest::route::MAX_CACHED_BYTES;
use crate::rest::tests::support::{compile, routes};

/// The answer of the service: a message for each total, and a status.
#[derive(Clone)]
struct Inside {
    totals: Vec<i64>,
    end: Code,
}

/// Calls `GET /watch`, a method that streams when `stream` says so.
async fn call(stream: &str, inside: Inside, header: Option<(HeaderName, &str)>) -> (http::response::Parts, Bytes) {
    let pool = compile(&format!(
        "rpc Watch(Request) returns ({stream} Answer) {{ option (google.api.http) = {{get: \"/watch\"}}; }}"
    ));
    let answer = pool.get_message_by_name("test.Answer").unwrap();
    let routes = Routes::new(&pool).unwrap();
    let call = routes.find(&Method::GET, "/watch").unwrap();
    let service = service_fn(move |_| {
        let mut body = Vec::new();
        for total in &inside.totals {
            let mut message = DynamicMessage::new(answer.clone());
            message.set_field_by_name("total", Value::I64(*total));
            body.extend_from_slice(&wrap(0, &message.encode_to_vec()));
        }
        let mut trailers = HeaderMap::new();
        Status::new(inside.end, "the end").add_header(&mut trailers).unwrap();
        let body = Full::from(body).with_trailers(std::future::ready(Some(Ok(trailers))));
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::new(body))))
    });
    let mut request = Request::get("/watch");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = call.answer::<DefaultHost>(service, request).await.into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_stream_is_one_json_text_a_line() {
    let table = [
        // totals, end, HTTP status, content type, lines that are no failure, code of the failure at the end
        (vec![1, 2], Code::Ok, 200, "application/x-ndjson", 2, None),
        (vec![], Code::Ok, 200, "application/x-ndjson", 0, None),
        (vec![1], Code::DataLoss, 200, "application/x-ndjson", 1, Some(15)),
        // Before the first message a failure is answered as that of any call is.
        (vec![], Code::NotFound, 404, "application/json", 0, Some(5)),
    ];
    for (totals, end, status, content_type, messages, failure) in table {
        let (head, body) = call("stream", Inside { totals: totals.clone(), end }, None).await;
        assert_eq!((head.status.as_u16(), &head.headers[CONTENT_TYPE]), (status, &content_type.parse().unwrap()));
        let lines: Vec<serde_json::Value> = body
            .split(|&byte| byte == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        for (line, total) in lines.iter().zip(&totals) {
            assert_eq!(line, &serde_json::json!({"total": total.to_string()}));
        }
        let last = lines.get(messages).map(|line| line.get("error").unwrap_or(line));
        assert_eq!(last.and_then(|failed| failed["code"].as_i64()), failure, "{totals:?} {end:?}");
        assert_eq!(lines.len(), messages + usize::from(failure.is_some()), "{totals:?} {end:?}");
    }
}

#[tokio::test]
async fn a_call_is_answered_with_its_message_or_its_failure() {
    let table = [
        // totals, end, HTTP status
        (vec![7], Code::Ok, 200),
        (vec![], Code::Ok, 500),
        (vec![1, 2], Code::Ok, 500),
        (vec![], Code::Aborted, 409),
        (vec![], Code::ResourceExhausted, 429),
        (vec![], Code::Unauthenticated, 401),
        (vec![], Code::DeadlineExceeded, 504),
    ];
    for (totals, end, status) in table {
        let (head, body) = call("", Inside { totals: totals.clone(), end }, None).await;
        assert_eq!(head.status.as_u16(), status, "{totals:?} {end:?}");
        assert_eq!(head.headers[CONTENT_TYPE], JSON);
        assert_eq!(head.headers.contains_key(WWW_AUTHENTICATE), status == 401);
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        if status == 200 {
            assert_eq!(told, serde_json::json!({"total": "7"}));
        } else {
            assert_eq!(
                told["code"].as_i64(),
                Some(if status == 500 { 13 } else { i64::from(i32::from(end)) }),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn only_an_answer_that_is_worth_it_is_compressed() {
    let (head, _) = call("", Inside { totals: vec![7], end: Code::Ok }, Some((ACCEPT_ENCODING, "gzip"))).await;
    assert!(!head.headers.contains_key(CONTENT_ENCODING));
}

#[test]
fn cached_answers_are_bounded() {
    let routes = routes(&[("A", r#"get: "/a""#)]).unwrap();
    let call = routes.find(&Method::GET, "/a").unwrap();
    let mut message = DynamicMessage::new(call.route.method.output());
    for number in 0..2_000 {
        message.set_field_by_name("note", Value::String(format!("{number:01000}")));
        let encoded = Bytes::from(message.encode_to_vec());
        let json = call.encode(encoded.clone(), &DefaultHost::default()).unwrap();
        assert_eq!(json, json::encode(&message));
        assert_eq!(call.route.answers.get(&encoded), Some(json));
    }
    assert!(call.route.answers.weight() <= MAX_CACHED_BYTES);
    let malformed = Bytes::from_static(b"no message");
    assert!(call.encode(malformed.clone(), &DefaultHost::default()).is_err());
    assert_eq!(call.route.answers.get(&malformed), None);
}
