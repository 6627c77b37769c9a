//! What is answered to whom, without a server.

use http::header::ALLOW;
use serde_json::Value;

use super::*;

mod openapi;

const ADDRESS: &str = "127.0.0.1:8080";

fn pages() -> Pages {
    Pages::new(&crate::services::descriptors::pool(), ADDRESS.parse().unwrap(), false)
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri(uri);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

#[test]
fn only_the_two_pages_are_answered() {
    let pages = pages();
    for (method, uri, answered) in [
        ("GET", "/", true),
        ("HEAD", "/", true),
        ("GET", "/?x=1", true),
        ("GET", "/openapi.json", true),
        ("HEAD", "/openapi.json", true),
        ("POST", "/", false),
        ("OPTIONS", "/openapi.json", false),
        ("GET", "/openapi.json/", false),
        ("GET", "/index.html", false),
        ("GET", "/v2/features/system", false),
    ] {
        let answer = pages.answer(&request(method, uri, &[]));
        assert_eq!(answer.is_some(), answered, "{method} {uri}");
    }
}

#[test]
fn head_tells_the_length_and_sends_nothing() {
    let pages = pages();
    for path in ["/", "/openapi.json"] {
        let get = pages.answer(&request("GET", path, &[])).unwrap();
        let head = pages.answer(&request("HEAD", path, &[])).unwrap();
        assert_eq!(head.headers(), get.headers(), "{path}");
        assert_eq!(head.headers()[CONTENT_LENGTH], get.body().len().to_string(), "{path}");
        assert!(head.body().is_empty() && !head.headers().contains_key(ALLOW), "{path}");
    }
}

#[test]
fn a_caller_who_has_the_document_does_not_get_it_again() {
    let pages = pages();
    let first = pages.answer(&request("GET", "/openapi.json", &[])).unwrap();
    assert!(serde_json::from_slice::<Value>(first.body()).is_ok());
    let tag = first.headers()[ETAG].to_str().unwrap();
    for (given, status) in [
        (tag.to_owned(), 304),
        (format!("\"other\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        (String::new(), 200),
    ] {
        let again = pages.answer(&request("GET", "/openapi.json", &[("if-none-match", &given)])).unwrap();
        assert_eq!(again.status(), status, "{given}");
        assert_eq!(again.body().is_empty(), status == 304, "{given}");
        assert_eq!(again.headers()[ETAG], tag, "{given}");
    }
}

#[test]
fn the_page_calls_the_server_what_the_caller_calls_it_if_that_is_harmless() {
    let pages = pages();
    let check = |uri: &str, host: Option<&str>, shown: &str| {
        let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let answer = pages.answer(&request("GET", uri, &headers)).unwrap();
        let page = std::str::from_utf8(answer.body()).unwrap();
        assert!(page.contains(&format!("'http://{shown}/v2/features/system'")), "{uri} {host:?}:\n{page}");
        assert_eq!(page.matches(shown).count(), 6, "{uri} {host:?}:\n{page}");
    };
    //    target                     Host                             what the page shows
    check("/", None, ADDRESS);
    check("/", Some("features.example.com"), "features.example.com");
    check("/", Some("localhost:9000"), "localhost:9000");
    check("/", Some("[::1]:9000"), "[::1]:9000");
    check("http://h2.example:81/", None, "h2.example:81");
    check("http://h2.example:81/", Some("other"), ADDRESS);
    check("/", Some(""), ADDRESS);
    check("/", Some("a b"), ADDRESS);
    check("/", Some("user@host"), ADDRESS);
    check("/", Some("a';touch${IFS}x;'"), ADDRESS);
    check("/", Some("$(id).example"), ADDRESS);
    check("/", Some("<script>alert(1)</script>"), ADDRESS);
    check("/", Some("host:99999"), ADDRESS);
    check("/", Some("host:x"), ADDRESS);
    check("/", Some("[::1"), ADDRESS);
}

#[test]
fn the_page_runs_and_loads_nothing() {
    let answer = pages().answer(&request("GET", "/", &[])).unwrap();
    let page = std::str::from_utf8(answer.body()).unwrap();
    assert!(page.contains(API.version));
    for absent in ["{version}", "{address}", "<script", "<img", "<link", "<form", "src=", "style="] {
        assert!(!page.contains(absent), "{absent}");
    }
    let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[test]
fn the_calls_to_paste_are_those_of_a_server_with_tls_or_without() {
    let shown = |tls| {
        let pages = Pages::new(&crate::services::descriptors::pool(), ADDRESS.parse().unwrap(), tls);
        let answer = pages.answer(&request("GET", "/", &[("host", "features.example.com")])).unwrap();
        String::from_utf8(answer.into_body().to_vec()).unwrap()
    };
    let table = [
        // what is shown, with TLS, without
        ("https://features.example.com/", true, false),
        ("http://features.example.com/", false, true),
        ("grpcurl -plaintext ", false, true),
        ("buf curl --http2-prior-knowledge ", false, true),
        ("grpcurl -H ", true, false),
    ];
    for (text, with, without) in table {
        assert_eq!((shown(true).contains(text), shown(false).contains(text)), (with, without), "{text}");
    }
}
