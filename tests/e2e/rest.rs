//! The features over REST: plain HTTP and JSON, called with curl over HTTP/1.1 and HTTP/2.

mod openapi;
mod refusals;

use serde_json::json;

use crate::support::curl::{Curl, Version, gzipped};
use crate::support::harness::Server;

/// The header of a request with a JSON body.
const JSON: &str = "content-type: application/json";
const UTF_8: &str = "content-type: application/json; charset=UTF-8";

/// The levels: path, owner, source.
const LEVELS: [(&str, &str, &str); 4] = [
    ("/v2/features/system", "SYSTEM", "SOURCE_SYSTEM"),
    ("/v2/features/instance", "demo", "SOURCE_INSTANCE"),
    ("/v2/features/organization/acme", "demo", "SOURCE_ORGANIZATION"),
    ("/v2/features/user/ada", "acme", "SOURCE_USER"),
];

#[test]
fn levels_are_written_read_and_reset() {
    with_each_version(|curl| {
        let token = curl.server.token("--role SYSTEM_OWNER");
        let headers = [token.as_str(), "x-zitadel-instance-id: demo", "x-zitadel-orgid: acme", JSON];
        let ok = |method: &str, path: &str, body: Option<&[u8]>| {
            let answer = curl.call(method, path, &headers, body);
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
            answer.json()
        };
        let user_gets = || ok("GET", "/v2/features/user/ada?inheritance=true", None)["actions"].clone();
        for (path, owner, source) in LEVELS {
            let set = ok("PUT", path, Some(br#"{"actions":true,"loginDefaultOrg":false}"#));
            assert_eq!(set["details"]["sequence"], "2", "{path}: {set}");
            assert_eq!(set["details"]["resourceOwner"], owner, "{path}: {set}");
            let read = ok("GET", path, None);
            assert_eq!(read["actions"], json!({"enabled": true, "source": source}), "{path}");
            assert_eq!(read["loginDefaultOrg"], json!({"source": source}), "{path}: what is false is left out");
            assert_eq!(read["details"], set["details"], "{path}");
            assert_eq!(user_gets()["source"], source, "what the user inherits from {path}");
        }
        for (path, ..) in LEVELS.iter().rev() {
            assert_eq!(user_gets()["enabled"], true, "before the reset of {path}");
            let reset = ok("DELETE", path, None);
            assert_eq!(reset["details"]["sequence"], "3", "{path}: {reset}");
        }
        assert_eq!(user_gets(), json!({}), "nothing is set anywhere");
    });
}

#[test]
fn head_is_get_without_its_content() {
    let table = [
        // path, status
        ("/v2/features/instance?inheritance=true", 200),
        ("/v2/features/instance", 404),
        ("/v2/features/instance?nope=1", 400),
        ("/v2/nowhere", 404),
        ("/openapi.json", 200),
    ];
    with_each_version(|curl| {
        let token = curl.server.token("--role IAM_OWNER --instance demo");
        for (path, status) in table {
            // Both requests have the same id, since errors contain it and the lengths are compared.
            let [get, head] =
                ["GET", "HEAD"].map(|method| curl.call(method, path, &[&token, "x-request-id: r1"], None));
            assert_eq!((get.status, head.status), (status, status), "{path}: {head:?}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}: {head:?}");
            assert_eq!(head.header("content-length"), Some(&*get.body.len().to_string()), "{path}: {head:?}");
        }
    });
}

#[test]
fn requests_may_have_several_forms() {
    let masked = r#"{"updateMask":"actions,userSchema","actions":false}"#;
    let rows = [
        // name, user, header, body, answer to a read of the user
        ("a charset", "ada", UTF_8, r#"{"actions":true}"#, json!({"actions": true})),
        (
            "another name of it",
            "ada",
            "content-type: application/json; charset=\"utf8\"",
            r#"{"actions":true}"#,
            json!({}),
        ),
        ("no content type", "ada", "content-type:", r#"{"webKey":true}"#, json!({"webKey": true})),
        ("the other spelling", "ada", JSON, r#"{"user_schema":true}"#, json!({"userSchema": true})),
        ("null is absent", "ada", JSON, r#"{"actions":null,"webKey":true}"#, json!({"actions": true, "webKey": true})),
        ("a mask", "ada", JSON, masked, json!({"actions": false, "userSchema": null, "webKey": true})),
        ("an empty mask", "ada", JSON, r#"{"updateMask":"","actions":true}"#, json!({"actions": true, "webKey": true})),
        ("a number", "ada", JSON, r#"{"expectedSequence":6,"webKey":false}"#, json!({"webKey": false})),
        ("an id in the body too", "ada", JSON, r#"{"userId":"ada","actions":true}"#, json!({"actions": true})),
        ("an encoded id", "a%2Fb%20%C3%A4", JSON, r#"{"actions":true}"#, json!({"actions": true})),
    ];
    with_each_version(|curl| {
        let token = curl.server.token("--role IAM_OWNER --instance demo");
        for (what, user, header, body, expected) in &rows {
            let path = format!("/v2/features/user/{user}");
            let set = curl.call("PUT", &path, &[&token, header], Some(body.as_bytes()));
            assert_eq!(set.status, 200, "{what}: {set:?}");
            for accept in ["", "accept: */*", "accept: application/*;q=0.5, text/html", "accept: application/json"] {
                let read = curl.call("GET", &path, &[&token, accept], None);
                assert_eq!(read.status, 200, "{what}, {accept}: {read:?}");
                let read = read.json();
                for (flag, value) in expected.as_object().expect("a table has objects") {
                    let set = (!read[flag].is_null()).then(|| read[flag]["enabled"].as_bool().unwrap_or(false));
                    assert_eq!(set, value.as_bool(), "{what}: {flag} of {read}");
                }
            }
        }
    });
}

#[test]
fn booleans_in_queries_and_bodies_without_fields_are_read_as_libraries_send_them() {
    let rows = [
        // request below /v2/features/, body, status
        ("PUT instance", r#"{"actions":true}"#, 200),
        ("GET user/ada?inheritance=true", "", 200),
        ("GET user/ada?inheritance=True", "", 200),
        ("GET user/ada?inheritance=TRUE", "", 200),
        ("GET user/ada?inheritance=t", "", 200),
        ("GET user/ada?inheritance=1", "{}", 200),
        ("GET user/ada?inheritance=False", "", 404),
        ("GET user/ada?inheritance=0", "", 404),
        ("GET user/ada?inheritance=2", "", 400),
        ("GET user/ada?inheritance=yes", "", 400),
        ("GET user/ada?inheritance=", "", 400),
        ("GET instance", "{}", 200),
        ("GET instance", " { } ", 200),
        ("GET instance", r#"{"inheritance":true}"#, 400),
        ("DELETE instance", r#"{"actions":true}"#, 400),
        ("DELETE instance", "null", 400),
        ("GET instance", "", 200),
        ("DELETE instance", "{}", 200),
        ("GET instance", "", 404),
        ("PUT instance", r#"{"actions":"True"}"#, 400),
        ("PUT instance", r#"{"actions":1}"#, 400),
    ];
    with_each_version(|curl| {
        let token = curl.server.token("--role IAM_OWNER --instance demo");
        for (request, body, status) in rows {
            let (verb, path) = request.split_once(' ').expect("a request is a verb and a path");
            let body = (!body.is_empty()).then_some(body.as_bytes());
            // With "content-type:", curl sends no content type; by default it would send that of a form.
            for content_type in [JSON, "content-type:"] {
                let headers = [&*token, content_type];
                let answer = curl.call(verb, &format!("/v2/features/{path}"), &headers, body);
                // A second reset has nothing to unset and succeeds, too.
                assert_eq!(answer.status, status, "{request} {body:?} {content_type}: {answer:?}");
            }
        }
    });
}

#[test]
fn enums_are_read_by_name_and_by_number() {
    with_each_version(|curl| {
        let token = curl.server.token("--role IAM_OWNER --instance demo");
        let body = br#"{"improvedPerformance":[1,"IMPROVED_PERFORMANCE_PROJECT"]}"#;
        let set = curl.call("PUT", "/v2/features/instance", &[&token, JSON], Some(body));
        assert_eq!(set.status, 200, "{set:?}");
        let read = curl.call("GET", "/v2/features/instance", &[&token], None).json();
        let paths = ["IMPROVED_PERFORMANCE_ORG_BY_ID", "IMPROVED_PERFORMANCE_PROJECT"];
        assert_eq!(read["improvedPerformance"]["executionPaths"], json!(paths), "{read}");
    });
}

#[test]
fn both_directions_take_gzip() {
    with_each_version(|curl| {
        let token = curl.server.token("--role IAM_OWNER --instance demo");
        let path = "/v2/features/instance";
        let put = |encoding: &str, body: &[u8]| curl.call("PUT", path, &[&token, JSON, encoding], Some(body));
        let base_uri = format!("https://login.example.com/{}", "a".repeat(2000));
        let body = json!({"loginV2": {"baseUri": base_uri}}).to_string();
        let set = put("content-encoding: gzip", &gzipped(body.as_bytes()));
        assert_eq!(set.status, 200, "{set:?}");

        let read = curl.call("GET", path, &[&token, "compressed"], None);
        assert_eq!(read.header("content-encoding"), Some("gzip"), "{read:?}");
        assert_eq!(read.json()["loginV2"]["baseUri"], base_uri);
        let plain = curl.call("GET", path, &[&token], None);
        assert_eq!(plain.header("content-encoding"), None, "{plain:?}");
        assert_eq!(plain.json(), read.json());

        let bomb = gzipped(&vec![b' '; 2 << 20]);
        assert!(bomb.len() < 10_000, "what unpacks to two megabytes is small itself");
        for (what, encoding, body, status) in [
            ("no gzip at all", "content-encoding: gzip", b"{}".as_slice(), 400),
            ("a truncated gzip", "content-encoding: gzip", &gzipped(body.as_bytes())[..30], 400),
            ("over 1 MiB when unpacked", "content-encoding: gzip", &bomb, 400),
            ("another encoding", "content-encoding: br", b"{}", 415),
        ] {
            let answer = put(encoding, body);
            assert_eq!(answer.status, status, "{what}: {answer:?}");
            refusals::check_form(what, &answer.json());
        }
    });
}

/// Runs a test with each version of HTTP, each time with a new server.
fn with_each_version(test: impl Fn(Curl)) {
    for version in Version::ALL {
        println!("{version:?}");
        let server = Server::new();
        test(Curl { server: &server, version });
        server.stop();
    }
}
