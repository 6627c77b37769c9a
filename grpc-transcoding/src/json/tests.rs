//! What clients read: the exact paths of violations, messages as JSON, and statuses. The oracle of the end-to-end tests
//! judges which texts are accepted.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use prost_types::Any;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::*;

const REQUEST: &str = "json.Request";
const RESPONSE: &str = "json.Response";

const PROTO: &str = include_str!("tests/messages.proto");

/// The messages of the tests, and those of error details.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("json.proto"), PROTO).unwrap();
    let mut compiler = protox::Compiler::new([folder.path().to_str().unwrap(), "../proto"]).unwrap();
    compiler.include_imports(true).open_file("json.proto").unwrap();
    let mut pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
    pool
});

fn pool() -> &'static DescriptorPool {
    &POOL
}

fn descriptor(name: &str) -> MessageDescriptor {
    pool().get_message_by_name(name).or_else(|| DescriptorPool::global().get_message_by_name(name)).unwrap()
}

fn told(violations: Vec<FieldViolation>) -> Vec<String> {
    violations.into_iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect()
}

fn refused(message: &str, text: &str) -> Vec<String> {
    told(decode(&descriptor(message), text.as_bytes()).expect_err(text))
}

#[test]
fn violations_name_the_exact_path() {
    let table: &[(&str, &str, &[&str])] = &[
        // message, text, violations
        (REQUEST, r#"{"authorV2":{"baseUri":1}}"#, &["authorV2.baseUri: expected a string, found a number"]),
        (REQUEST, r#"{"author_v2":{"base_uri":1}}"#, &["author_v2.base_uri: expected a string, found a number"]),
        (REQUEST, r#"{"authorV2":{"baseURI":""}}"#, &["authorV2.baseURI: unknown field"]),
        (REQUEST, r#"{"authorV2":[]}"#, &["authorV2: expected an object, found an array"]),
        (
            REQUEST,
            r#"{"preferredColors":[1,"NONE",2,true]}"#,
            &[
                r#"preferredColors[1]: "NONE" is no value of json.Color"#,
                "preferredColors[3]: expected the name or number of an enum value, found a boolean",
            ],
        ),
        (REQUEST, r#"{"actions":true,"actions":true}"#, &["actions: the field is given twice"]),
        (REQUEST, r#"{"userSchema":true,"user_schema":null}"#, &["user_schema: the field is given twice"]),
        (
            REQUEST,
            r#"{"updateMask":"actions,author_v2.base_uri,a_b"}"#,
            &[
                r#"updateMask: "author_v2.base_uri": in JSON the paths of a field mask are in lowerCamelCase: send "authorV2.baseUri""#,
            ],
        ),
        (
            REQUEST,
            r#"{"updateMask":"authorV2.base_uri"}"#,
            &[
                r#"updateMask: "authorV2.base_uri": in JSON the paths of a field mask are in lowerCamelCase: send "authorV2.baseUri""#,
            ],
        ),
        (
            REQUEST,
            r#"{"updateMask":"author__v2"}"#,
            &[r#"updateMask: "author__v2": in JSON the paths of a field mask are in lowerCamelCase"#],
        ),
        (
            REQUEST,
            r#"{"updateMask":"a_"}"#,
            &[r#"updateMask: "a_": in JSON the paths of a field mask are in lowerCamelCase"#],
        ),
        (REQUEST, r#"{"updateMask":["a"]}"#, &["updateMask: expected a string, found an array"]),
        (REQUEST, r#"{"expectedSequence":"-1"}"#, &["expectedSequence: -1 is out of range"]),
        (
            REQUEST,
            r#"{"a b":1,"":2,"c":3}"#,
            &[r#"["a b"]: unknown field"#, r#"[""]: unknown field"#, "c: unknown field"],
        ),
        (REQUEST, "[]", &["body: expected an object, found an array"]),
        (REQUEST, "null", &["body: expected an object, found null"]),
        (REQUEST, "", &["body: not readable as JSON: EOF while parsing a value at line 1 column 0"]),
        (REQUEST, "{\n\"actions\":}", &["body: not readable as JSON: expected value at line 2 column 11"]),
        (REQUEST, "{} {}", &["body: not readable as JSON: trailing characters at line 1 column 4"]),
        ("google.rpc.ErrorInfo", r#"{"metadata":{"a":1}}"#, &["metadata.a: expected a string, found a number"]),
        ("google.rpc.ErrorInfo", r#"{"metadata":{"a":"","a":""}}"#, &["metadata.a: the key is given twice"]),
        (
            "google.rpc.BadRequest",
            r#"{"fieldViolations":[{},{"field":[]}]}"#,
            &["fieldViolations[1].field: expected a string, found an array"],
        ),
        ("google.api.HttpRule", r#"{"get":"/a","put":"/b"}"#, &["put: cannot be given together with get"]),
        ("google.rpc.Status", r#"{"details":[{"a":1}]}"#, &[r#"details[0]["@type"]: missing: what type is this?"#]),
        ("google.protobuf.Struct", r#"{"a":[{"b":1,"b":2}]}"#, &["a[0].b: the key is given twice"]),
    ];
    for (message, text, expected) in table {
        assert_eq!(refused(message, text), *expected, "{text}");
    }
    let violations = decode(&descriptor(REQUEST), b"{\"\xff\":1}").unwrap_err();
    assert_eq!(told(violations), ["body: not UTF-8 from byte 2 on"]);
}

#[test]
fn what_is_told_is_bounded() {
    let (long, many) = ("x".repeat(1 << 20), r#"{"y":1},"#.repeat(2_000));
    let table = [
        // text, violations
        (format!(r#"{{"{long}":1}}"#), 1),
        (format!(r#"{{"updateMask":"{long}_"}}"#), 1),
        (format!(r#"{{"expectedSequence":"{long}"}}"#), 1),
        (format!(r#"{{"preferredColors":["{long}"]}}"#), 1),
        (format!(r#"{{"preferredColors":[{many}1]}}"#), 16),
        (format!(r#"{{{}"z":1}}"#, r#""y":1,"#.repeat(4_000)), 16),
        ("[".repeat(1 << 20), 1),
    ];
    for (text, count) in table {
        let violations = refused(REQUEST, &text);
        let beginning = &text[..30];
        assert_eq!(violations.len(), count, "{beginning}");
        assert!(violations.iter().all(|told| told.len() < 300), "{beginning}: {violations:?}");
    }
}

#[test]
fn depth_is_counted_in_arrays_and_objects() {
    let value = descriptor("google.protobuf.Value");
    let text = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode(&value, text(64).as_bytes()).is_ok());
    let violations = decode(&value, text(65).as_bytes()).unwrap_err();
    assert_eq!(told(violations), ["body: not readable as JSON: nested deeper than 64 at line 1 column 66"]);
}

#[test]
fn values_and_paths_are_refused_by_their_number() {
    let (value, mask) = (descriptor("google.protobuf.Value"), descriptor("google.protobuf.FieldMask"));
    let array = |count: usize| format!("[0{}]", ",0".repeat(count - 1));
    let members = |count: usize| format!(r#"{{"a":0{}}}"#, r#","a":0"#.repeat(count - 1));
    let paths = |count: usize| format!(r#""a{}""#, ",a".repeat(count - 1));
    let too_many = "body: not readable as JSON: more than 8192 values";
    let table = [
        // (type, text, violation)
        (&value, array(8_191), None),
        (&value, array(8_192), Some(too_many)),
        (&value, array(524_288), Some(too_many)),
        (&value, members(524_288), Some(too_many)),
        (&mask, paths(1_024), None),
        (&mask, paths(1_025), Some("body: has more than 1024 paths")),
        (&mask, paths(500_000), Some("body: has more than 1024 paths")),
    ];
    for (descriptor, text, expected) in table {
        let found = decode(descriptor, text.as_bytes()).err().map(told).unwrap_or_default();
        assert_eq!(found.len(), expected.iter().len(), "{}: {found:?}", &text[..20]);
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }
}

#[test]
fn the_value_of_one_field_is_read() {
    let request = descriptor(REQUEST);
    let table = [
        // field, text, the request as JSON, or the violation
        ("author_v2", r#"{"required":true}"#, Ok(r#"{"authorV2":{"required":true}}"#)),
        ("preferred_colors", "[1]", Ok(r#"{"preferredColors":["COLOR_RED"]}"#)),
        ("actions", "false", Ok(r#"{"actions":false}"#)),
        ("author_v2", r#"{"baseUri":[]}"#, Err("authorV2.baseUri: expected a string, found an array")),
        ("author_v2", "null", Err("authorV2: expected an object, found null")),
        (
            "preferred_colors",
            "[{}]",
            Err("preferredColors[0]: expected the name or number of an enum value, found an object"),
        ),
    ];
    for (name, text, expected) in table {
        let field = request.get_field_by_name(name).unwrap();
        let read = decode_field(&field, text.as_bytes()).map(|value| {
            let mut message = DynamicMessage::new(request.clone());
            message.set_field(&field, value);
            String::from_utf8(encode(&message)).unwrap()
        });
        let expected = expected.map(str::to_owned).map_err(|error| vec![error.to_owned()]);
        assert_eq!(read.map_err(told), expected, "{name} {text}");
    }
}

#[test]
fn messages_are_written_canonically() {
    let text = concat!(
        r#"{"details":{"sequence":"18446744073709551615","changeDate":"2026-11-05T10:00:00.120Z"},"#,
        r#""userSchema":{"enabled":true,"source":"SOURCE_USER"},"#,
        r#""preferredColors":{"colors":["COLOR_BLUE",99]}}"#,
    );
    let message = decode(&descriptor(RESPONSE), text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(encode(&message)).unwrap(), text);
    assert_eq!(encode(&DynamicMessage::new(descriptor(RESPONSE))), b"{}");
}

#[test]
fn a_message_without_canonical_json_keeps_its_bytes() {
    let mut time = DynamicMessage::new(descriptor("google.protobuf.Timestamp"));
    time.set_field_by_name("seconds", Value::I64(1 << 60));
    let written: serde_json::Value = serde_json::from_slice(&encode(&time)).unwrap();
    assert_eq!(
        written,
        json!({ "@type": "type.googleapis.com/google.protobuf.Timestamp", "value": "CICAgICAgICAEA==" })
    );
}

#[test]
fn statuses_are_written_with_their_details() {
    let mut details = ErrorDetails::with_error_info("FIELD_INVALID", "d", [("k".to_owned(), "v".to_owned())]);
    details.add_bad_request_violation("authorV2.baseUri", "bad").set_request_info("r1", "");
    details.set_retry_info(Some(std::time::Duration::from_millis(1500)));
    let status = Status::with_error_details(Code::InvalidArgument, "a \"bad\" request", details);
    let written: serde_json::Value = serde_json::from_slice(&encode_status(pool(), &status)).unwrap();
    let mut expected = json!({ "code": 3, "message": "a \"bad\" request", "details": [
        { "@type": "google.rpc.RetryInfo", "retryDelay": "1.500s" },
        { "@type": "google.rpc.ErrorInfo", "reason": "FIELD_INVALID", "domain": "d", "metadata": { "k": "v" } },
        { "@type": "google.rpc.BadRequest", "fieldViolations": [{ "field": "authorV2.baseUri", "description": "bad" }] },
        { "@type": "google.rpc.RequestInfo", "requestId": "r1" },
    ]});
    for detail in expected["details"].as_array_mut().unwrap() {
        detail["@type"] = format!("type.googleapis.com/{}", detail["@type"].as_str().unwrap()).into();
    }
    assert_eq!(written, expected);

    let table = [
        // details, as JSON
        (vec![], json!([])),
        (b"\xff".to_vec(), json!([])),
        (packed("x/not.Known", b"abc"), json!([{ "@type": "x/not.Known", "value": "YWJj" }])),
        (
            packed("x/google.rpc.RequestInfo", b"\xff"),
            json!([{ "@type": "x/google.rpc.RequestInfo", "value": "/w==" }]),
        ),
        (packed("", b""), json!([{ "@type": "", "value": "" }])),
    ];
    for (details, expected) in table {
        let status = Status::with_details(Code::Aborted, "m", details.into());
        let written: serde_json::Value = serde_json::from_slice(&encode_status(pool(), &status)).unwrap();
        assert_eq!(written, json!({ "code": 10, "message": "m", "details": expected }));
    }
}

fn packed(type_url: &str, value: &[u8]) -> Vec<u8> {
    let detail = Any { type_url: type_url.to_owned(), value: value.to_vec() };
    tonic_types::pb::Status { code: 10, message: "m".to_owned(), details: vec![detail] }.encode_to_vec()
}
