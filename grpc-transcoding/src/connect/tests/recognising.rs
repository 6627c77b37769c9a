//! Which requests are calls in this protocol, and what they tell before they are answered.

use std::time::Duration;

use http::{HeaderMap, Method, Request};
use tonic::{Code, Status};

use super::support::*;
use crate::middleware::tests::support::{CHECK, WATCH};
use crate::transcoding::connect::{Codec, Connect, Form, error_json, timeout};
use crate::transcoding::json;
use crate::transcoding::protocol::NoCall;

#[test]
fn recognises_calls() {
    use Codec::*;
    use Form::*;
    let table = [
        // method, path, query, content type, call
        ("POST", CHECK, "", "application/json", Ok((Post, Json))),
        ("POST", CHECK, "", "application/proto", Ok((Post, Proto))),
        ("POST", CHECK, "", "Application/JSON; charset=UTF-8", Ok((Post, Json))),
        ("POST", CHECK, "", "application/json;charset=\"utf-8\";x=y", Ok((Post, Json))),
        ("POST", CHECK, "", "application/json; charset=utf8", Ok((Post, Json))),
        ("POST", CHECK, "", "application/json; charset=\"UTF8\"", Ok((Post, Json))),
        ("POST", CHECK, "", "application/json; charset=Latin1", Err(NoCall::Charset("latin1".to_owned()))),
        ("POST", CHECK, "", "application/json; charset=utf-8; charset=x", Err(NoCall::Charset("x".to_owned()))),
        ("POST", CHECK, "", "text/json; charset=latin1", Err(NoCall::ContentType)),
        ("POST", CHECK, "", "application/jsonx", Err(NoCall::ContentType)),
        ("POST", CHECK, "", "application/xml", Err(NoCall::ContentType)),
        ("POST", CHECK, "", "text/json", Err(NoCall::ContentType)),
        ("POST", CHECK, "", "", Err(NoCall::ContentType)),
        ("POST", CHECK, "", "application/connect+json", Err(NoCall::ContentType)),
        ("POST", CHECK, "encoding=proto", "application/json", Ok((Post, Json))),
        ("POST", WATCH, "", "application/connect+json", Ok((Stream, Json))),
        ("POST", WATCH, "", "application/connect+proto", Ok((Stream, Proto))),
        ("POST", WATCH, "", "application/connect+json; charset=utf8", Ok((Stream, Json))),
        ("POST", WATCH, "", "application/json", Err(NoCall::ContentType)),
        ("POST", WATCH, "", "application/connect", Err(NoCall::ContentType)),
        ("POST", REFLECTION, "", "application/connect+proto", Ok((Stream, Proto))),
        ("GET", CHECK, "encoding=json", "", Ok((Get, Json))),
        ("GET", CHECK, "connect=v1&message=&enc%6fding=proto&base64=1", "", Ok((Get, Proto))),
        ("GET", CHECK, "encoding=xml", "", Err(NoCall::ContentType)),
        ("GET", CHECK, "", "application/json", Ok((Get, Json))),
        ("HEAD", CHECK, "", "", Ok((Get, Json))),
        ("HEAD", CHECK, "encoding=proto", "", Ok((Get, Proto))),
        ("GET", CHECK, "message={}", "", Err(NoCall::ContentType)),
        ("GET", CHECK, "service=x", "", Err(NoCall::ContentType)),
        ("GET", "/test/Context", "encoding=json", "", Err(NoCall::Verb(vec![Method::POST]))),
        ("GET", WATCH, "encoding=json", "", Err(NoCall::Verb(vec![Method::POST]))),
        ("PUT", CHECK, "", "application/json", Err(NoCall::Verb(vec![Method::GET, Method::HEAD, Method::POST]))),
    ];
    for (http_method, path, query, content_type, expected) in table {
        let uri = format!("{path}?{query}");
        let request = Request::builder().method(http_method).uri(&uri).header("content-type", content_type);
        let found = Connect::of(&method(path), &request.body(()).unwrap());
        let found = found.map(|call| (call.form, call.codec));
        assert_eq!(found, expected, "{http_method} {uri} {content_type:?}");
    }
}

#[test]
fn reads_timeouts() {
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
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("connect-timeout-ms", value.parse().unwrap());
        }
        let found = timeout(&headers).map_err(|failure| failure.to_string());
        assert_eq!(found.clone().ok(), expected, "{values:?}: {found:?}");
    }
}

#[test]
fn codes_and_their_http_statuses() {
    let table = [
        (Code::Cancelled, "canceled", 499),
        (Code::Unknown, "unknown", 500),
        (Code::InvalidArgument, "invalid_argument", 400),
        (Code::DeadlineExceeded, "deadline_exceeded", 504),
        (Code::NotFound, "not_found", 404),
        (Code::AlreadyExists, "already_exists", 409),
        (Code::PermissionDenied, "permission_denied", 403),
        (Code::ResourceExhausted, "resource_exhausted", 429),
        (Code::FailedPrecondition, "failed_precondition", 400),
        (Code::Aborted, "aborted", 409),
        (Code::OutOfRange, "out_of_range", 400),
        (Code::Unimplemented, "unimplemented", 501),
        (Code::Internal, "internal", 500),
        (Code::Unavailable, "unavailable", 503),
        (Code::DataLoss, "data_loss", 500),
        (Code::Unauthenticated, "unauthenticated", 401),
    ];
    for (code, name, http_status) in table {
        let status = Status::new(code, "why");
        let body = error_json::body(method(CHECK).parent_pool(), &status);
        assert_eq!(body, format!(r#"{{"code":"{name}","message":"why"}}"#));
        assert_eq!(json::http_status(code), http_status, "{code:?}");
    }
}
