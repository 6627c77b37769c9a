//! Query parameters of every kind.

use super::support::{call, check, routes};

#[test]
fn reads_parameters() {
    let routes = routes(&[("A", r#"get: "/x""#)]).unwrap();
    let table = [
        // query, the request or a violation
        ("", "A {}"),
        ("&&", "A {}"),
        ("a=1", r#"A {"a":"1"}"#),
        ("a=", "A {}"),
        ("note=", r#"A {"note":""}"#),
        ("note", r#"A {"note":""}"#),
        ("a=x=y", r#"A {"a":"x=y"}"#),
        ("a=x+y%2Bz%26%3D", r#"A {"a":"x y+z&="}"#),
        ("%61=%C3%A4", r#"A {"a":"ä"}"#),
        ("a=%22%5C%00", r#"A {"a":"\"\\\u0000"}"#),
        ("a=null", r#"A {"a":"null"}"#),
        ("a=1&b=2", r#"A {"a":"1","b":"2"}"#),
        ("snake_case=1", r#"A {"snakeCase":"1"}"#),
        ("snakeCase=1", r#"A {"snakeCase":"1"}"#),
        ("inner.name=x&inner.size=2", r#"A {"inner":{"name":"x","size":2}}"#),
        ("inner.inner.inner.required=false", r#"A {"inner":{"inner":{"inner":{"required":false}}}}"#),
        ("inner.tags=x&inner.tags=y", r#"A {"inner":{"tags":["x","y"]}}"#),
        ("flag=true", r#"A {"flag":true}"#),
        ("flag=false", "A {}"),
        ("flag=True&maybe=False", r#"A {"flag":true,"maybe":false}"#),
        ("flag=TRUE&maybe=FALSE", r#"A {"flag":true,"maybe":false}"#),
        ("flag=t&maybe=f", r#"A {"flag":true,"maybe":false}"#),
        ("flag=T&maybe=F", r#"A {"flag":true,"maybe":false}"#),
        ("flag=1&maybe=0", r#"A {"flag":true,"maybe":false}"#),
        ("number=-5", r#"A {"number":-5}"#),
        ("large=18446744073709551615", r#"A {"large":"18446744073709551615"}"#),
        ("real=1.5", r#"A {"real":1.5}"#),
        ("real=-Infinity", r#"A {"real":"-Infinity"}"#),
        ("data=AQID", r#"A {"data":"AQID"}"#),
        ("color=COLOR_RED", r#"A {"color":"COLOR_RED"}"#),
        ("color=2", r#"A {"color":"COLOR_BLUE"}"#),
        ("color=%2B2", r#"A {"color":"COLOR_BLUE"}"#),
        ("numbers=3&a=x&numbers=1&numbers=2", r#"A {"a":"x","numbers":[3,1,2]}"#),
        ("colors=COLOR_RED&colors=2", r#"A {"colors":["COLOR_RED","COLOR_BLUE"]}"#),
        ("time=2026-01-02T03:04:05Z", r#"A {"time":"2026-01-02T03:04:05Z"}"#),
        ("times=2026-01-02T03:04:05Z", r#"A {"times":["2026-01-02T03:04:05Z"]}"#),
        ("span=1.5s", r#"A {"span":"1.500s"}"#),
        ("mask=snakeCase,a", r#"A {"mask":"snakeCase,a"}"#),
        ("maybe=false", r#"A {"maybe":false}"#),
        ("text=x", r#"A {"text":"x"}"#),
        ("count=7", r#"A {"count":"7"}"#),
        ("left=x", r#"A {"left":"x"}"#),
        ("labels[team]=web", r#"A {"labels":{"team":"web"}}"#),
        ("labels%5Bteam%5D=w+eb", r#"A {"labels":{"team":"w eb"}}"#),
        ("labels[a.b]=1", r#"A {"labels":{"a.b":"1"}}"#),
        ("labels[a[0]]=1", r#"A {"labels":{"a[0]":"1"}}"#),
        ("labels[]=", r#"A {"labels":{"":""}}"#),
        ("sizes[7]=true", r#"A {"sizes":{"7":true}}"#),
        ("inner.counts[x]=3", r#"A {"inner":{"counts":{"x":3}}}"#),
        ("deep.name=x&deep.size=1", r#"A {"deep":{"name":"x","size":1}}"#),
    ];
    for (query, outcome) in table {
        check(&routes, &[(&format!("GET /x?{query}"), "", outcome)]);
    }
}

#[test]
fn refuses_parameters_and_names_them_as_they_were_written() {
    let routes = routes(&[("A", r#"get: "/x""#)]).unwrap();
    let table = [
        // query, the violation or its beginning
        ("no=1", "! no: is unknown: test.Request has no field 'no'"),
        ("=1", "! : is unknown"),
        ("A=1", "! A: is unknown"),
        ("inner.no=1", "! inner.no: is unknown: test.Inner has no field 'no'"),
        ("inner.=1", "! inner.: is unknown"),
        (".a=1", "! .a: is unknown"),
        ("a.b=1", "! a.b: is unknown: 'a' has no fields that can be named"),
        ("time.seconds=1", "! time.seconds: is unknown"),
        ("maybe.value=true", "! maybe.value: is unknown"),
        ("inners.name=1", "! inners.name: is unknown"),
        ("labels.x=1", "! labels.x: is unknown"),
        ("extra.x=1", "! extra.x: is unknown"),
        ("any.type_url=x", "! any.type_url: is unknown"),
        ("inner=x", "! inner: is a message"),
        ("inners=x", "! inners: is a message"),
        ("labels=x", "! labels: is a message"),
        ("labels[x]=1&labels[x]=2", "! labels[x]: is given more than once"),
        ("labels[x=1", "! labels[x: is unknown: test.Request has no field 'labels[x'"),
        ("labels[x].y=1", "! labels[x].y: is unknown"),
        ("no[x]=1", "! no[x]: is unknown: test.Request has no field 'no'"),
        ("a[x]=1", "! a[x]: has a key, which only the entry of a map has"),
        ("numbers[0]=1", "! numbers[0]: has a key, which only the entry of a map has"),
        ("extra[x]=1", "! extra[x]: has a key, which only the entry of a map has"),
        ("parts[x]=1", "! parts[x]: is a message: send it in a body"),
        ("sizes[x]=true", "! sizes[x]: the key is wrong: expected an integer, found"),
        ("sizes[1]=x", "! sizes[1]: must be true or false"),
        ("extra={}", "! extra: is a message"),
        ("any={}", "! any: is a message"),
        ("flag=2", "! flag: must be true or false"),
        ("flag=yes", "! flag: must be true or false"),
        ("flag=tRUE", "! flag: must be true or false"),
        ("flag=+1", "! flag: must be true or false"),
        ("flag=", "! flag: must be true or false"),
        ("flag", "! flag: must be true or false"),
        ("number=x", "! number: "),
        ("number=", "! number: "),
        ("number=2147483648", "! number: "),
        ("number=1.5", "! number: "),
        ("number=null", "! number: "),
        ("large=-1", "! large: "),
        ("real=x", "! real: "),
        ("data=*", "! data: "),
        ("color=RED", "! color: "),
        ("numbers=1&numbers=x", "! numbers: "),
        ("numbers=1,2", "! numbers: "),
        ("numbers=[1]", "! numbers: "),
        ("time=x", "! time: "),
        ("time=null", "! time: "),
        (
            "mask=snake_case",
            r#"! mask: "snake_case": in JSON the paths of a field mask are in lowerCamelCase: send "snakeCase""#,
        ),
        ("a=1&a=1", "! a: is given more than once"),
        ("snakeCase=1&snake_case=2", "! snake_case: is given more than once"),
        ("a=&a=1", "! a: is given more than once"),
        ("inner.name=1&inner.name=2", "! inner.name: is given more than once"),
        ("left=1&right=2", "! right: can't be given together with 'left'"),
        ("left=1&deep.name=2", "! deep.name: can't be given together with 'left'"),
        ("a=%", "! a: has a '%' that two hexadecimal digits don't follow"),
        ("a=%ff", "! a: is not UTF-8 once it is percent-decoded"),
        ("%zz=1", "! %zz: has a '%' that two hexadecimal digits don't follow"),
        ("%69nner=1", "! inner: is a message"),
        ("no=1&number=x&a=1", "! no: is unknown: test.Request has no field 'no'; number: "),
    ];
    for (query, outcome) in table {
        check(&routes, &[(&format!("GET /x?{query}"), "", outcome)]);
    }
}

#[test]
fn names_of_parameters_are_cut_off_in_violations() {
    let routes = routes(&[("A", r#"get: "/x""#)]).unwrap();
    let (long, cut) = ("ü".repeat(20_000), format!("{}…", "ü".repeat(64)));
    let table = [
        // query, the violation
        (format!("{long}=1"), format!("! {cut}: is unknown: test.Request has no field '{cut}'")),
        (
            format!("inner.{long}=1"),
            format!("! inner.{}…: is unknown: test.Inner has no field '{cut}'", "ü".repeat(58)),
        ),
        (format!("{long}%=1"), format!("! {cut}: has a '%' that two hexadecimal digits don't follow")),
    ];
    for (query, violation) in table {
        assert_eq!(call(&routes, &format!("GET /x?{query}"), ""), violation);
    }
}

#[test]
fn refuses_parameters_of_what_stands_elsewhere() {
    let routes = routes(&[
        ("Path", r#"get: "/path/{a}/{inner.name}""#),
        ("Whole", r#"put: "/whole/{a}" body: "*""#),
        ("Field", r#"put: "/field/{a}" body: "inner""#),
    ])
    .unwrap();
    check(
        &routes,
        &[
            // call, body, outcome
            ("GET /path/1/2?inner.size=3", "", r#"Path {"a":"1","inner":{"name":"2","size":3}}"#),
            ("GET /path/1/2?a=1", "", "! a: is a part of the path"),
            ("GET /path/1/2?inner.name=2", "", "! inner.name: is a part of the path"),
            ("PUT /whole/1?a=1", "", "! a: is a part of the path"),
            ("PUT /whole/1?b=1", "", "! b: belongs into the body"),
            ("PUT /whole/1?no=1", "", "! no: is unknown"),
            ("PUT /field/1?b=2", "{}", r#"Field {"a":"1","b":"2","inner":{}}"#),
            ("PUT /field/1?inner.name=1", "", "! inner.name: belongs into the body"),
            ("PUT /field/1?inner.counts[x]=1", "", "! inner.counts[x]: belongs into the body"),
            ("PUT /whole/1?labels[x]=1", "", "! labels[x]: belongs into the body"),
        ],
    );
}

#[test]
fn bounds_the_parameters() {
    let routes = routes(&[("A", r#"get: "/x""#)]).unwrap();
    let query = |count: usize, name: &str| format!("GET /x?{}", vec![format!("{name}=1"); count].join("&"));
    assert!(call(&routes, &query(1_000, "numbers"), "").starts_with("A "));
    assert_eq!(call(&routes, &query(1_001, "numbers"), ""), "! numbers: is one too many: 1000 can be given");
    assert_eq!(call(&routes, &query(1_000, "no"), "").matches("is unknown").count(), 16);
    let deep = |depth: usize| format!("GET /x?{}name=1", "inner.".repeat(depth));
    assert!(call(&routes, &deep(64), "").starts_with("A "));
    assert!(call(&routes, &deep(65), "").ends_with("inner.inne…: leads too deep"));
}
