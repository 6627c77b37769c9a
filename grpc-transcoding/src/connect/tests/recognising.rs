//! Which requests are calls in this protocol.

use http::Request;
use tonic::{Code, Status};

use super::support::*;
use crate::connect::{Codec, Connect, Form, error_json};
use crate::error::Error;
use crate::json;

#[test]
fn connect_calls_are_recognised() {
    use Codec::*;
    use Form::*;
    let table = [
        // method, path, query, content type, call
        ("POST", GREET, "", "application/json", Ok((Post, Json))),
        ("POST", GREET, "", "application/proto", Ok((Post, Proto))),
        ("POST", GREET, "", "Application/JSON; charset=UTF-8", Ok((Post, Json))),
        ("POST", GREET, "", "application/json;charset=\"utf-8\";x=y", Ok((Post, Json))),
        ("POST", GREET, "", "application/json; charset=utf8", Ok((Post, Json))),
        ("POST", GREET, "", "application/json; charset=\"UTF8\"", Ok((Post, Json))),
        ("POST", GREET, "", "application/json; charset=Latin1", Err("charset \"latin1\"")),
        ("POST", GREET, "", "application/json; charset=utf-8; charset=x", Err("charset \"x\"")),
        ("POST", GREET, "", "text/json; charset=latin1", Err("content type")),
        ("POST", GREET, "", "application/jsonx", Err("content type")),
        ("POST", GREET, "", "application/xml", Err("content type")),
        ("POST", GREET, "", "text/json", Err("content type")),
        ("POST", GREET, "", "", Err("content type")),
        ("POST", GREET, "", "application/connect+json", Err("content type")),
        ("POST", GREET, "encoding=proto", "application/json", Ok((Post, Json))),
        ("POST", WATCH, "", "application/connect+json", Ok((Stream, Json))),
        ("POST", WATCH, "", "application/connect+proto", Ok((Stream, Proto))),
        ("POST", WATCH, "", "application/connect+json; charset=utf8", Ok((Stream, Json))),
        ("POST", WATCH, "", "application/json", Err("content type")),
        ("POST", WATCH, "", "application/connect", Err("content type")),
        ("POST", CHAT, "", "application/connect+proto", Ok((Stream, Proto))),
        ("GET", GREET, "encoding=json", "", Ok((Get, Json))),
        ("GET", GREET, "connect=v1&message=&enc%6fding=proto&base64=1", "", Ok((Get, Proto))),
        ("GET", GREET, "encoding=xml", "", Err("content type")),
        ("GET", GREET, "", "application/json", Ok((Get, Json))),
        ("HEAD", GREET, "", "", Ok((Get, Json))),
        ("HEAD", GREET, "encoding=proto", "", Ok((Get, Proto))),
        ("GET", GREET, "message={}", "", Err("content type")),
        ("GET", GREET, "service=x", "", Err("content type")),
        ("GET", "/greeter.Odd/One", "encoding=json", "", Err("POST")),
        ("GET", WATCH, "encoding=json", "", Err("POST")),
        ("PUT", GREET, "", "application/json", Err("GET HEAD POST")),
    ];
    for (http_method, path, query, content_type, expected) in table {
        let uri = format!("{path}?{query}");
        let request = Request::builder().method(http_method).uri(&uri).header("content-type", content_type);
        let found = Connect::of(&method(path), &request.body(()).unwrap());
        let found = found.map(|call| (call.form, call.codec)).map_err(|error| match error {
            Error::CharsetUnsupported(name) => format!("charset {name:?}"),
            Error::ContentTypeUnsupported => "content type".to_owned(),
            Error::VerbNotAllowed(verbs) => verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(" "),
            error => panic!("{error}"),
        });
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|told| *told),
            "{http_method} {uri} {content_type:?}"
        );
    }
}

#[test]
fn codes_have_names_and_http_statuses() {
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
        let body = error_json::body(method(GREET).parent_pool(), &status);
        assert_eq!(body, format!(r#"{{"code":"{name}","message":"why"}}"#));
        assert_eq!(json::http_status(code), http_status, "{code:?}");
    }
}
