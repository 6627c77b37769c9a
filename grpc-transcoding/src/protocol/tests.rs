//! Which requests are which calls, and how long their clients wait.

use super::*;
use crate::layer::tests::greeter::{GREET, POOL, WATCH};

#[test]
fn protocols_are_recognised() {
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    let get = "/greeter.Greeter/Greet?encoding=json&message={}";
    let rest = "/v1/greetings/ann";
    let table = [
        // version, verb, path, content type, accept, protocol or HTTP status
        (h2, "POST", GREET, "application/grpc", "", "grpc"),
        (h2, "POST", "/any.Service/Method", "application/grpc+proto", "", "grpc"),
        (h2, "POST", GREET, "Application/GRPC ; x=y", "", "grpc"),
        (h1, "POST", GREET, "application/grpc", "", "415"),
        (h2, "POST", GREET, "application/grpc+json", "", "415"),
        (h2, "GET", GREET, "application/grpc", "", "connect"),
        (h1, "POST", GREET, "application/grpc-web", "", "grpc-web"),
        (h1, "POST", GREET, "application/grpc-web-text+proto;charset=utf-8", "", "grpc-web-text"),
        (h1, "POST", GREET, "application/grpc-web+json", "", "415"),
        (h1, "PUT", GREET, "application/grpc-web", "", "405"),
        (h1, "POST", GREET, "application/json", "", "connect"),
        (h1, "POST", GREET, "", "", "415"),
        (h1, "HEAD", GREET, "", "", "connect"),
        (h1, "GET", WATCH, "", "", "405"),
        (h1, "GET", get, "", "", "connect"),
        (h1, "GET", rest, "", "", "rest"),
        (h1, "HEAD", rest, "", "", "rest"),
        (h1, "POST", rest, "application/json", "", "405"),
        (h1, "GET", rest, "", "text/html, application/json;q=0.5", "rest"),
        (h1, "GET", rest, "", "application/json;q=0, */*", "406"),
        (h1, "GET", "/v1/watch", "", "application/json", "406"),
        (h1, "GET", "/v1/watch", "", "application/x-ndjson", "rest"),
        (h1, "GET", "/v1/watch", "", "text/event-stream", "rest"),
        (h1, "GET", "/v1/watch", "", "text/event-stream;q=0", "406"),
        (h1, "GET", rest, "", "text/event-stream", "406"),
        (h1, "PUT", "/v1/greetings", "application/json; charset=utf8", "", "rest"),
        (h1, "PUT", "/v1/greetings", "application/json; charset=latin1", "", "415"),
        (h1, "PUT", "/v1/greetings", "", "", "rest"),
        (h1, "PUT", "/v1/greetings", "application/x-www-form-urlencoded", "", "415"),
        (h1, "GET", "/nowhere", "application/grpc", "", "404"),
    ];
    let protocols = Protocols::new(POOL.clone()).unwrap();
    for (version, verb, path, content_type, accept, expected) in table {
        let mut request = Request::builder().version(version).method(verb).uri(path);
        for (name, value) in [(CONTENT_TYPE, content_type), (ACCEPT, accept)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let found = match protocols.recognise(&request.body(()).unwrap()) {
            Ok(Protocol::Grpc) => "grpc",
            Ok(Protocol::GrpcWeb) => "grpc-web",
            Ok(Protocol::GrpcWebText) => "grpc-web-text",
            Ok(Protocol::Connect(_)) => "connect",
            Ok(Protocol::Rest(_)) => "rest",
            Err(error) => &error.http_status().as_u16().to_string(),
        };
        assert_eq!(found, expected, "{version:?} {verb} {path} {content_type:?} {accept:?}");
    }
}

#[test]
fn grpc_timeouts_are_read() {
    let s = Duration::from_secs;
    let table = [
        // value, meaning
        ("1H", Some(s(3600))),
        ("2M", Some(s(120))),
        ("3S", Some(s(3))),
        ("250m", Some(Duration::from_millis(250))),
        ("7u", Some(Duration::from_micros(7))),
        ("9n", Some(Duration::from_nanos(9))),
        ("00000001S", Some(s(1))),
        ("99999999H", Some(s(99_999_999 * 3600))),
        ("0n", Some(s(0))),
        ("100000000S", None),
        ("", None),
        ("S", None),
        ("1", None),
        ("1s", None),
        ("1h", None),
        ("-1S", None),
        ("+1S", None),
        ("1.5S", None),
        (" 1S", None),
        ("1 S", None),
        ("1SS", None),
        ("٣S", None),
    ];
    for (value, meaning) in table {
        assert_eq!(grpc_timeout(value.as_bytes()), meaning, "{value:?}");
    }
}

#[test]
fn a_malformed_or_repeated_timeout_is_named() {
    for values in [&["soon"][..], &["1S", "2S"]] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(GRPC_TIMEOUT, value.parse().unwrap());
        }
        let error = Protocol::Grpc.timeout(&headers).unwrap_err();
        assert!(error.to_string().starts_with("grpc-timeout: "), "{error}");
    }
}

#[test]
fn connect_timeouts_are_read() {
    let ms = |number| Some(Some(Duration::from_millis(number)));
    let table: [(&[&str], _); 11] = [
        // values, milliseconds
        (&[], Some(None)),
        (&["1"], ms(1)),
        (&["0"], ms(0)),
        (&["0005000"], ms(5000)),
        (&["9999999999"], ms(9_999_999_999)),
        (&["10000000000"], None),
        (&[""], None),
        (&["-1"], None),
        (&["+1"], None),
        (&["1.5"], None),
        (&["1", "2"], None),
    ];
    let request = Request::get(GREET).body(()).unwrap();
    let connect = Protocols::new(POOL.clone()).unwrap().recognise(&request).unwrap();
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("connect-timeout-ms", value.parse().unwrap());
        }
        let found = connect.timeout(&headers).map_err(|error| error.to_string());
        assert_eq!(found.clone().ok(), expected, "{values:?}: {found:?}");
    }
}
