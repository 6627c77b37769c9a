//! HTTP rules that cannot be served, and their errors.

use super::support::{compile, routes};
use crate::rest::Routes;

#[test]
fn refuses_rules_and_names_the_method() {
    let table = [
        // rule, error
        ("", "test.Test.A: the rule has no verb with a path"),
        (r#"body: "*""#, "test.Test.A: the rule has no verb with a path"),
        (r#"custom: {kind: "NO VERB" path: "/a"}"#, "test.Test.A: the rule has no verb with a path"),
        (r#"get: "a""#, "test.Test.A: the template 'a' does not begin with '/'"),
        (r#"get: "/{nothing}""#, "test.Test.A: the field 'nothing' is unknown: test.Request has no field 'nothing'"),
        (r#"get: "/{}""#, "test.Test.A: the field '' is unknown: test.Request has no field ''"),
        (r#"get: "/{inner.no}""#, "test.Test.A: the field 'inner.no' is unknown: test.Inner has no field 'no'"),
        (r#"get: "/{a.b}""#, "test.Test.A: the field 'a.b' is unknown: 'a' has no fields that can be named"),
        (
            r#"get: "/{inners.name}""#,
            "test.Test.A: the field 'inners.name' is unknown: 'inners' has no fields that can be named",
        ),
        (r#"get: "/{inner}""#, "test.Test.A: the field 'inner' is a message: give its fields, or send it in a body"),
        (r#"get: "/{labels}""#, "test.Test.A: the field 'labels' is a message: give its fields, or send it in a body"),
        (r#"get: "/{numbers}""#, "test.Test.A: the field 'numbers' is no single plain value, so no path can hold it"),
        (r#"get: "/{time}""#, "test.Test.A: the field 'time' is no single plain value, so no path can hold it"),
        (r#"get: "/{a}/{a}""#, "test.Test.A: the field 'a' stands in the path twice"),
        (r#"put: "/x" body: "no""#, "test.Test.A: the field 'no' is unknown: test.Request has no such field"),
        (
            r#"put: "/x" body: "inner.name""#,
            "test.Test.A: the field 'inner.name' is unknown: test.Request has no such field",
        ),
        (r#"put: "/{a}" body: "a""#, "test.Test.A: the field 'a' stands in the path and in the body"),
        (r#"get: "/x" response_body: "no""#, "test.Test.A: the field 'no' is unknown: test.Answer has no such field"),
        (
            r#"get: "/x" additional_bindings {get: "/y" additional_bindings {get: "/z"}}"#,
            "test.Test.A: an additional binding has additional bindings",
        ),
        (r#"get: "/x" additional_bindings {}"#, "test.Test.A: the rule has no verb with a path"),
        (
            r#"get: "/{a}" additional_bindings {get: "/{b=*}"}"#,
            "test.Test.A: the template '/{b=*}' matches what test.Test.A has with the same verb",
        ),
    ];
    for (rule, error) in table {
        assert_eq!(routes(&[("A", rule)]).unwrap_err().to_string(), error, "{rule}");
    }
}

#[test]
fn refuses_two_methods_for_the_same_calls() {
    let table = [
        // first rule, second rule, whether they are for the same calls
        (r#"get: "/x""#, r#"get: "/x""#, true),
        (r#"get: "/x/{a}""#, r#"get: "/x/{b}""#, true),
        (r#"get: "/x/{a}""#, r#"get: "/x/*""#, true),
        (r#"get: "/{a=x/*}""#, r#"get: "/x/{b}""#, true),
        (r#"get: "/x:do""#, r#"get: "/x:do""#, true),
        (r#"get: "/x""#, r#"custom: {kind: "GET" path: "/x"}"#, true),
        (r#"get: "/x""#, r#"custom: {kind: "*" path: "/x"}"#, false),
        (r#"get: "/x""#, r#"put: "/x""#, false),
        (r#"get: "/x:do""#, r#"get: "/x:undo""#, false),
        (r#"get: "/x/{a}""#, r#"get: "/x/{a=**}""#, false),
        (r#"get: "/x/{a}""#, r#"get: "/{a}/x""#, false),
    ];
    for (first, second, same) in table {
        let result = routes(&[("A", first), ("B", second)]);
        let told = result.is_err_and(|error| error.to_string().starts_with("test.Test.B: the template '"));
        assert_eq!(told, same, "{first} {second}");
    }
}

#[test]
fn streams_of_answers_have_routes_and_streams_of_requests_have_none() {
    let method = |kind: &str| {
        let method = r#"rpc A(KIND) { option (google.api.http) = {get: "/x"}; }"#;
        Routes::new(&compile(&method.replace("KIND", kind)))
    };
    let routes = method("Request) returns (stream Answer").unwrap();
    let streaming: Vec<bool> = routes.iter().map(|route| route.method.is_server_streaming()).collect();
    assert_eq!(streaming, [true]);
    let error = method("stream Request) returns (Answer").unwrap_err();
    assert_eq!(error.to_string(), "test.Test.A: a stream of requests can't be sent over plain HTTP");
}
