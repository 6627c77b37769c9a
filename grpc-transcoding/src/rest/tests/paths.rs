//! Several routes: which of them a verb and a path lead to.

use super::support::{check, routes};

#[test]
fn finds_the_route_that_says_most() {
    let routes = routes(&[
        // Named in the reverse order of precedence, where there is one.
        ("All", r#"get: "/{a=**}""#),
        ("Any", r#"custom: {kind: "*" path: "/books/{a}"}"#),
        ("Book", r#"get: "/books/{a}""#),
        ("Own", r#"get: "/books/own""#),
        ("Move", r#"post: "/books/{a}:move" body: "*""#),
        ("Purge", r#"custom: {kind: "PURGE" path: "/caches/{a}"}"#),
        ("Change", r#"patch: "/shelves/{a}" body: "inner""#),
        (
            "Many",
            r#"get: "/one/{a}" additional_bindings {get: "/two/{a}/{b}"} additional_bindings {delete: "/two/{b}/{a}"}"#,
        ),
        ("Left", r#"put: "/l/{a}/r""#),
        ("Right", r#"put: "/l/m/{a}""#),
    ])
    .unwrap();
    check(
        &routes,
        &[
            // call, body, outcome
            ("GET /books/own", "", "Own {}"),
            ("GET /books/%6Fwn", "", "Own {}"),
            ("GET /books/other", "", r#"Book {"a":"other"}"#),
            ("PUT /books/other", "", r#"Any {"a":"other"}"#),
            ("PUT /books/own", "", r#"Any {"a":"own"}"#),
            ("get /books/other", "", r#"Any {"a":"other"}"#),
            ("POST /books/x:move", "", r#"Move {"a":"x"}"#),
            ("POST /books/x:y:move", "", r#"Move {"a":"x:y"}"#),
            ("POST /books/x%3Amove", "", r#"Any {"a":"x:move"}"#),
            ("POST /books/x:lend", "", r#"Any {"a":"x:lend"}"#),
            ("GET /books/x:move", "", r#"Book {"a":"x:move"}"#),
            ("GET /books/x/y", "", r#"All {"a":"books/x/y"}"#),
            ("GET /", "", "All {}"),
            ("GET /books/", "", "404"),
            ("PURGE /caches/1", "", r#"Purge {"a":"1"}"#),
            ("purge /caches/1", "", "405 GET PURGE"),
            ("PATCH /shelves/1", "", r#"Change {"a":"1"}"#),
            ("PUT /shelves/1", "", "405 GET PATCH"),
            ("HEAD /one/1", "", "405 GET"),
            ("GET /one/1", "", r#"Many {"a":"1"}"#),
            ("GET /two/1/2", "", r#"Many {"a":"1","b":"2"}"#),
            ("DELETE /two/1/2", "", r#"Many {"a":"2","b":"1"}"#),
            ("PUT /l/m/r", "", r#"Right {"a":"r"}"#),
            ("PUT /l/n/r", "", r#"Left {"a":"n"}"#),
            ("PUT /l/n/s", "", "405 GET"),
            ("PUT l/m/r", "", "404"),
        ],
    );
    let templates: Vec<&str> = routes.iter().map(|route| route.template.text.as_str()).collect();
    assert_eq!(templates.first(), Some(&"/books/{a}:move"));
    assert_eq!(templates.last(), Some(&"/{a=**}"));
}

#[test]
fn finds_nothing_without_rules() {
    check(&routes(&[]).unwrap(), &[("GET /", "", "404"), ("GET /a", "", "404")]);
}
