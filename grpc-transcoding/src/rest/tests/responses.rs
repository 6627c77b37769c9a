//! The JSON of answers, whole and of one field.

use prost_reflect::DynamicMessage;

use super::support::routes;
use crate::json;

const FULL: &str = r#"{"inner":{"name":"x","tags":["y"]},"names":["b","a"],"total":"5","note":"n","labels":{"k":"v"},"colorName":"COLOR_RED","time":"2026-01-02T03:04:05Z","real":0.1}"#;

#[test]
fn answers_with_the_response_or_one_field_of_it() {
    let table = [
        // field, of the full answer, of an empty one
        ("", FULL, "{}"),
        ("inner", r#"{"name":"x","tags":["y"]}"#, "null"),
        ("names", r#"["b","a"]"#, "[]"),
        ("total", r#""5""#, r#""0""#),
        ("note", r#""n""#, "null"),
        ("labels", r#"{"k":"v"}"#, "{}"),
        ("color_name", r#""COLOR_RED""#, r#""COLOR_UNSPECIFIED""#),
        ("time", r#""2026-01-02T03:04:05Z""#, "null"),
        ("real", "0.1", "0.0"),
    ];
    for (field, full, empty) in table {
        let routes = routes(&[("A", &format!(r#"get: "/x" response_body: "{field}""#))]).unwrap();
        let route = routes.iter().next().unwrap();
        let answer = |message: &DynamicMessage| String::from_utf8(route.response(message)).unwrap();
        assert_eq!(answer(&json::decode(&route.method.output(), FULL.as_bytes()).unwrap()), full, "{field}");
        assert_eq!(answer(&DynamicMessage::new(route.method.output())), empty, "{field}");
    }
}
