//! Requests of path, query and body together.

use super::support::{check, routes};
use crate::rest::Body;

#[test]
fn reads_variables_of_every_type() {
    let routes = routes(&[
        ("Text", r#"get: "/text/{a}""#),
        ("Deep", r#"get: "/deep/{inner.inner.name}/{inner.size}""#),
        ("Many", r#"get: "/many/{a=x/**}""#),
        ("Number", r#"get: "/number/{number}""#),
        ("Large", r#"get: "/large/{large}""#),
        ("Flag", r#"get: "/flag/{flag}""#),
        ("Color", r#"get: "/color/{color}""#),
        ("Data", r#"get: "/data/{data}""#),
        ("Choice", r#"get: "/choice/{left}""#),
        ("Camel", r#"get: "/camel/{snake_case}/{number}""#),
    ])
    .unwrap();
    check(
        &routes,
        &[
            // call, body, outcome
            ("GET /text/a%20b+c", "", r#"Text {"a":"a b+c"}"#),
            ("GET /text/a%2Fb", "", r#"Text {"a":"a/b"}"#),
            ("GET /text/%22", "", r#"Text {"a":"\""}"#),
            ("GET /text/%", "", "! a: has a '%' that two hexadecimal digits don't follow"),
            ("GET /text/%ff", "", "! a: is not UTF-8 once it is percent-decoded"),
            ("GET /deep/x/3", "", r#"Deep {"inner":{"size":3,"inner":{"name":"x"}}}"#),
            ("GET /deep/x/y", "", "! inner.size: "),
            ("GET /many/x", "", r#"Many {"a":"x"}"#),
            ("GET /many/x/y/%7A/a%2Fb%2f", "", r#"Many {"a":"x/y/z/a%2Fb%2f"}"#),
            ("GET /number/-1", "", r#"Number {"number":-1}"#),
            ("GET /number/0", "", "Number {}"),
            ("GET /number/x", "", "! number: "),
            ("GET /large/9007199254740993", "", r#"Large {"large":"9007199254740993"}"#),
            ("GET /flag/true", "", r#"Flag {"flag":true}"#),
            ("GET /flag/1", "", r#"Flag {"flag":true}"#),
            ("GET /flag/2", "", "! flag: must be true or false"),
            ("GET /color/COLOR_RED", "", r#"Color {"color":"COLOR_RED"}"#),
            ("GET /color/1", "", r#"Color {"color":"COLOR_RED"}"#),
            ("GET /color/RED", "", "! color: "),
            ("GET /data/AQID", "", r#"Data {"data":"AQID"}"#),
            ("GET /choice/x", "", r#"Choice {"left":"x"}"#),
            ("GET /choice/x?right=y", "", "! right: can't be given together with 'left'"),
            ("GET /camel/x/y", "", "! number: "),
            ("GET /camel/%/y?no=1", "", "! snakeCase: has a '%' that two hexadecimal digits don't follow; number: "),
        ],
    );
}

#[test]
fn reads_bodies() {
    let routes = routes(&[
        ("None", r#"delete: "/none""#),
        ("Whole", r#"put: "/whole/{a}/{inner.name}" body: "*""#),
        ("Other", r#"put: "/other/{left}/{note}" body: "*""#),
        ("Message", r#"put: "/message/{a}" body: "inner""#),
        ("List", r#"put: "/list" body: "numbers""#),
        ("Text", r#"put: "/text" body: "snake_case""#),
        ("Choice", r#"put: "/choice/{left}" body: "deep""#),
    ])
    .unwrap();
    check(
        &routes,
        &[
            // call, body, outcome
            ("DELETE /none", "", "None {}"),
            ("DELETE /none", "{}", "None {}"),
            ("DELETE /none", " {\r\n} ", "None {}"),
            ("DELETE /none", r#"{"a":"1"}"#, "! body: must be empty or {}: this call takes its fields from the path"),
            ("DELETE /none", "{", "! body: must be empty or {}"),
            ("DELETE /none", "{}{}", "! body: must be empty or {}"),
            ("DELETE /none", "[]", "! body: must be empty or {}"),
            ("DELETE /none", "null", "! body: must be empty or {}"),
            ("DELETE /none", " ", "! body: must be empty or {}"),
            ("PUT /whole/1/2", "", r#"Whole {"a":"1","inner":{"name":"2"}}"#),
            ("PUT /whole/1/2", "{}", r#"Whole {"a":"1","inner":{"name":"2"}}"#),
            (
                "PUT /whole/1/2",
                r#"{"b":"3","inner":{"size":4}}"#,
                r#"Whole {"a":"1","b":"3","inner":{"name":"2","size":4}}"#,
            ),
            ("PUT /whole/1/2", r#"{"a":"1","inner":{"name":"2"}}"#, r#"Whole {"a":"1","inner":{"name":"2"}}"#),
            // An empty text without presence is one that is not there.
            ("PUT /whole/1/2", r#"{"a":"","inner":null}"#, r#"Whole {"a":"1","inner":{"name":"2"}}"#),
            ("PUT /whole/1/2", r#"{"a":"3"}"#, "! a: has another value in the body than in the path"),
            (
                "PUT /whole/1/2",
                r#"{"inner":{"name":"3"}}"#,
                "! inner.name: has another value in the body than in the path",
            ),
            ("PUT /whole/1/2", " ", "! "),
            ("PUT /whole/1/2", "{", "! "),
            (
                "PUT /whole/%/2",
                r#"{"inner":{"name":"3"}}"#,
                "! a: has a '%' that two hexadecimal digits don't follow; inner.name: ",
            ),
            ("PUT /other/1/2", r#"{"note":"2","left":"1"}"#, r#"Other {"left":"1","note":"2"}"#),
            ("PUT /other/1/2", r#"{"note":""}"#, "! note: has another value in the body than in the path"),
            ("PUT /other/1/2", r#"{"right":"1"}"#, "! left: can't be given together with 'right'"),
            ("PUT /message/1", "", r#"Message {"a":"1"}"#),
            ("PUT /message/1", "{}", r#"Message {"a":"1","inner":{}}"#),
            ("PUT /message/1?b=2", r#"{"size":3}"#, r#"Message {"a":"1","b":"2","inner":{"size":3}}"#),
            ("PUT /message/1", "3", "! "),
            ("PUT /list", "[1,2]", r#"List {"numbers":[1,2]}"#),
            ("PUT /list", "1", "! "),
            ("PUT /text", r#""x""#, r#"Text {"snakeCase":"x"}"#),
            ("PUT /choice/1", "", r#"Choice {"left":"1"}"#),
            ("PUT /choice/1", "{}", "! left: can't be given together with 'deep'"),
        ],
    );
    let takes_body = |name: &str| routes.iter().find(|route| route.method.name() == name).unwrap().body != Body::None;
    assert_eq!(["None", "Whole", "Message"].map(takes_body), [false, true, true]);
}
