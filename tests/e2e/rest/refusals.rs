//! Refused requests, with their status and error: `{"code", "message", "details": [{"@type": …}]}`.

use serde_json::{Value as Json, json};

use super::{JSON, with_each_version};

const OWNER: &str = "--role IAM_OWNER --instance demo";
const VIEWER: &str = "--role IAM_OWNER_VIEWER --instance demo";
const EVERYWHERE: &str = "--role SYSTEM_OWNER";

#[test]
fn a_bad_body_is_refused_with_the_exact_field() {
    let large = format!(r#"{{"actions":true{}}}"#, " ".repeat(1 << 20));
    let deep_objects = format!("{}1{}", r#"{"loginV2":"#.repeat(65), "}".repeat(65));
    let deep_arrays = format!(r#"{{"improvedPerformance":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let rows: [(&str, &[u8], &str); 27] = [
        // name, body of a PUT to the instance, error: code, reason, field
        ("a wrong type", br#"{"loginV2":{"baseUri":5}}"#, "3 FIELD_INVALID loginV2.baseUri"),
        ("the other spelling", br#"{"login_v2":{"base_uri":5}}"#, "3 FIELD_INVALID login_v2.base_uri"),
        ("a text as a flag", br#"{"actions":"true"}"#, "3 FIELD_INVALID actions"),
        ("a flag as a message", br#"{"loginV2":true}"#, "3 FIELD_INVALID loginV2"),
        ("a message as a flag", br#"{"actions":{"enabled":true}}"#, "3 FIELD_INVALID actions"),
        ("a mask as in protos", br#"{"updateMask":"actions,login_v2.base_uri"}"#, "3 FIELD_INVALID updateMask"),
        ("an unknown path", br#"{"updateMask":"nope"}"#, "3 FIELD_INVALID update_mask.paths[0]"),
        ("an empty mask alone", br#"{"updateMask":""}"#, "3 NO_CHANGES"),
        ("no list", br#"{"improvedPerformance":1}"#, "3 FIELD_INVALID improvedPerformance"),
        ("an unknown name", br#"{"improvedPerformance":[1,"NOPE"]}"#, "3 FIELD_INVALID improvedPerformance[1]"),
        ("a null in a list", br#"{"improvedPerformance":[null]}"#, "3 FIELD_INVALID improvedPerformance[0]"),
        ("no number", br#"{"expectedSequence":"x"}"#, "3 FIELD_INVALID expectedSequence"),
        ("an unknown key", br#"{"actions":true,"nope":1}"#, "3 FIELD_INVALID nope"),
        ("an unknown key inside", br#"{"loginV2":{"nope":1}}"#, "3 FIELD_INVALID loginV2.nope"),
        ("a key twice", br#"{"actions":true,"actions":false}"#, "3 FIELD_INVALID actions"),
        ("a key in two spellings", br#"{"userSchema":true,"user_schema":true}"#, "3 FIELD_INVALID user_schema"),
        ("a bad value", br#"{"loginV2":{"baseUri":"ftp://x"}}"#, "3 FIELD_INVALID login_v2.base_uri"),
        ("nothing to change", b"{}", "3 NO_CHANGES"),
        ("an empty body", b"", "3 NO_CHANGES"),
        ("an array", b"[]", "3 FIELD_INVALID body"),
        ("a truncated body", br#"{"actions":tr"#, "3 FIELD_INVALID body"),
        ("more than the body", br#"{"actions":true}{}"#, "3 FIELD_INVALID body"),
        ("a comma too many", br#"{"actions":true,}"#, "3 FIELD_INVALID body"),
        ("not UTF-8", b"{\"\xff\":true}", "3 FIELD_INVALID body"),
        ("over 1 MiB", large.as_bytes(), "11 MESSAGE_TOO_LARGE"),
        ("objects in objects", deep_objects.as_bytes(), "3 FIELD_INVALID body"),
        ("lists in lists", deep_arrays.as_bytes(), "3 FIELD_INVALID body"),
    ];
    with_each_version(|curl| {
        let token = curl.server.token(OWNER);
        for (what, body, error) in rows {
            let answer = curl.call("PUT", "/v2/features/instance", &[&token, JSON], Some(body));
            assert_eq!(answer.status, 400, "{what}: {answer:?}");
            check(what, &answer.json(), error);
        }
        let read = curl.call("GET", "/v2/features/instance?inheritance=true", &[&token], None);
        assert_eq!(read.json()["details"]["sequence"], Json::Null, "nothing was written: {read:?}");
    });
}

#[test]
fn a_refusal_says_what_to_send_instead() {
    let put = "PUT instance";
    let rows = [
        // request below /v2/features/, content type, body, part of the message
        (put, JSON, r#"{"updateMask":"actions,login_v2.base_uri"}"#, r#"lowerCamelCase: send "loginV2.baseUri""#),
        (put, "content-type: application/json; charset=ISO-8859-1", "{}", r#"charset "iso-8859-1""#),
        (put, "content-type: application/json; charset=ISO-8859-1", "{}", "send the content in UTF-8"),
        (put, "content-type: text/plain", "{}", "send application/json"),
        ("DELETE instance", JSON, r#"{"actions":true}"#, "takes its fields from the path and the query"),
        ("GET instance?inheritance=2", JSON, "", "inheritance: must be true or false"),
    ];
    with_each_version(|curl| {
        let token = curl.server.token(OWNER);
        for (request, content_type, body, said) in rows {
            let (verb, path) = request.split_once(' ').expect("a request is a verb and a path");
            let body = (!body.is_empty()).then_some(body.as_bytes());
            let answer = curl.call(verb, &format!("/v2/features/{path}"), &[&token, content_type], body);
            let message = answer.json()["message"].to_string().replace("\\\"", "\"");
            assert!(message.contains(said), "{request} {body:?}: {answer:?}");
        }
    });
}

#[test]
fn a_bad_request_gets_its_status() {
    let long = format!("GET user/{}", "u".repeat(201));
    let rows = [
        // name, caller, request below /v2/features/ (a PUT has a body), header, status, error: code, reason, field
        ("a bad parameter", OWNER, "GET instance?inheritance=maybe", "", 400, "3 FIELD_INVALID inheritance"),
        ("an unknown parameter", OWNER, "GET instance?nope=1", "", 400, "3 FIELD_INVALID nope"),
        ("bad percent-encoding", OWNER, "GET user/%zz", "", 400, "3 FIELD_INVALID userId"),
        ("a long id", OWNER, &long, "", 400, "3 FIELD_INVALID user_id"),
        ("another id than the path's", OWNER, "PUT user/bob", JSON, 400, "3 FIELD_INVALID userId"),
        ("no instance", EVERYWHERE, "GET instance", "", 400, "9 INSTANCE_UNKNOWN"),
        ("no token", "", "GET instance", "", 401, "16 TOKEN_MISSING"),
        ("no token of ours", "x.y.z", "PUT instance", JSON, 401, "16 TOKEN_INVALID"),
        ("no permission", VIEWER, "DELETE user/ada", "", 403, "7 PERMISSION_MISSING"),
        ("nothing set", OWNER, "GET user/ada", "", 404, "5 NO_FEATURES_SET"),
        ("an unknown path", OWNER, "GET nothing", "", 404, ""),
        ("more than a path", OWNER, "GET instance/demo", "", 404, ""),
        ("no id", OWNER, "GET user/", "", 404, ""),
        ("another method", OWNER, "POST instance", JSON, 405, ""),
        ("another method, no token", "", "PATCH instance", JSON, 405, ""),
        ("an answer in XML", OWNER, "GET instance", "accept: application/xml", 406, ""),
        ("an answer not in JSON", OWNER, "GET instance", "accept: application/json;q=0, text/*", 406, ""),
        ("another sequence", OWNER, "PUT user/ada", JSON, 409, "10 SEQUENCE_MISMATCH"),
        ("another charset", OWNER, "PUT instance", "content-type: application/json; charset=iso-8859-1", 415, ""),
        ("a form", OWNER, "PUT instance", "content-type: application/x-www-form-urlencoded", 415, ""),
    ];
    let body = br#"{"userId":"ada","actions":true,"expectedSequence":"7"}"#;
    with_each_version(|curl| {
        let tokens = [OWNER, VIEWER, EVERYWHERE].map(|options| (options, curl.server.token(options)));
        for (what, who, request, header, status, error) in rows {
            let token = tokens.iter().find(|(options, _)| *options == who).map_or(who, |(_, token)| token);
            let (method, path) = request.split_once(' ').expect("a request is a method and a path");
            let body = header.contains("content-type").then_some(body.as_slice());
            let answer = curl.call(method, &format!("/v2/features/{path}"), &[token, header], body);
            assert_eq!(answer.status, status, "{what}: {answer:?}");
            check(what, &answer.json(), error);
            let challenge = (status == 401).then_some("Bearer");
            assert_eq!(answer.header("www-authenticate"), challenge, "{what}: {answer:?}");
            if status == 405 {
                let mut allowed: Vec<_> = answer.header("allow").unwrap_or_default().split(", ").collect();
                allowed.sort_unstable();
                assert_eq!(allowed, ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"], "{what}: {answer:?}");
            }
        }
    });
}

/// Checks an error's code, its reason and the fields in its `BadRequest`, as far as `expected` names them.
fn check(what: &str, error: &Json, expected: &str) {
    check_form(what, error);
    let mut expected = expected.split_whitespace();
    let Some(code) = expected.next() else { return };
    assert_eq!(error["code"].to_string(), code, "{what}: {error}");
    assert_eq!(detail(error, "ErrorInfo")["reason"].as_str(), expected.next(), "{what}: {error}");
    let violations = detail(error, "BadRequest")["fieldViolations"].as_array().cloned().unwrap_or_default();
    let fields: Vec<_> = violations.iter().filter_map(|violation| violation["field"].as_str()).collect();
    assert_eq!(fields, expected.collect::<Vec<_>>(), "{what}: {error}");
}

/// Every error has the same fields as an error of the published service, with our domain and a request id in its
/// details.
pub(super) fn check_form(what: &str, error: &Json) {
    let fields: Vec<_> = error.as_object().expect("an error is an object").keys().collect();
    assert_eq!(fields, ["code", "details", "message"], "{what}: {error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {error}");
    assert_eq!(detail(error, "ErrorInfo")["domain"], json!("zitadel.feature.v2"), "{what}: {error}");
    assert!(detail(error, "RequestInfo")["requestId"].is_string(), "{what}: {error}");
}

/// The detail of a type; null if there is none.
fn detail(error: &Json, name: &str) -> Json {
    let details = error["details"].as_array().expect("the details are a list");
    let of_type = |detail: &&Json| detail["@type"] == format!("type.googleapis.com/google.rpc.{name}");
    details.iter().find(of_type).cloned().unwrap_or_default()
}
