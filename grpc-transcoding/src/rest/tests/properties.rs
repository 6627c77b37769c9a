//! Any request gets an answer, and the values in a path arrive at the method unchanged.

use std::sync::LazyLock;

use http::Method;
use proptest::prelude::*;
use prost_reflect::Value;

use super::support::{call, routes};
use crate::rest::Routes;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    routes(&[
        ("One", r#"get: "/one/{a}/{b}""#),
        ("Verb", r#"get: "/one/{a}/{b}:do""#),
        ("Many", r#"get: "/many/{a=**}:all""#),
        ("Mixed", r#"get: "/mixed/{a}/x/{inner.name=y/*/z}/{b=**}""#),
        ("Whole", r#"put: "/whole/{a}" body: "*""#),
        ("Field", r#"put: "/field/{number}" body: "inner""#),
    ])
    .unwrap()
});

/// Encodes all but what never needs it, as the definition of `google.api.http` asks of clients.
fn encode(text: &str, kept: &str) -> String {
    let encoded = |byte: u8| match char::from(byte) {
        sign if sign.is_ascii_alphanumeric() || "-_.~".contains(sign) || kept.contains(sign) => sign.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

/// The method of a path, and its values of `a`, `b` and `inner.name`.
fn found(path: &str) -> Option<(String, [String; 3])> {
    let call = ROUTES.find(&Method::GET, path).ok()?;
    let message = call.request(None, b"").ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let inner = message.get_field_by_name("inner")?;
    let name = inner.as_message()?.get_field_by_name("name")?.into_owned();
    let own = |name: &str| message.get_field_by_name(name).map(|value| text(&value)).unwrap_or_default();
    Some((call.route.method.name().to_owned(), [own("a"), own("b"), text(&name)]))
}

/// Pieces with a meaning, mixed with any others.
fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "/one", "/many", "/mixed", "/whole", "/field", "/x", "/y", "/z", ":do", ":all", ":", "%", "%2F", "%ff",
            "&", "=", "+", "a", "b", "inner", ".", "name", "number", "colors", "time", "labels", "1", "true",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics(
        verb in prop::sample::select(vec!["GET", "PUT", "POST"]),
        path in target(),
        query in target(),
        body in prop_oneof![Just(String::new()), target()],
    ) {
        call(&ROUTES, &format!("{verb} {path}"), &body);
        for path in ["/one/a/b", "/many/x:all", "/field/1", "/whole/1"] {
            call(&ROUTES, &format!("{verb} {path}?{query}"), &body);
        }
    }

    #[test]
    fn variables_come_back(
        a in ".+",
        b in ".+",
        name in ".+",
        many in prop::collection::vec("[^/]+", 0..5).prop_map(|segments| segments.join("/")),
    ) {
        let (a, b, one) = (a.as_str(), b.as_str(), |text: &str| encode(text, ""));
        let slash = if many.is_empty() { "" } else { "/" };
        let rest = format!("{slash}{}", encode(&many, "/"));
        // Of several segments, a slash within one stays encoded.
        let name_seen = format!("y/{}/z", name.replace('/', "%2F"));
        let table = [
            // path, method, a, b, inner.name
            (format!("/one/{}/{}", one(a), one(b)), "One", [a, b, ""]),
            (format!("/one/{}/{}:do", one(a), one(b)), "Verb", [a, b, ""]),
            (format!("/many{rest}:all"), "Many", [&many, "", ""]),
            (format!("/mixed/{}/x/y/{}/z{rest}", one(a), one(&name)), "Mixed", [a, &many, &name_seen]),
        ];
        for (path, method, variables) in table {
            let expected = Some((method.to_owned(), variables.map(str::to_owned)));
            prop_assert_eq!(found(&path), expected, "{}", path);
        }
    }
}
