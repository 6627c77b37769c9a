//! Which hosts are read, and which one a request is for.

use super::*;

mod instances;

#[test]
fn hosts_are_read_and_have_one_spelling() {
    let longest = format!("{}.example:65535", "a".repeat(253 - ".example".len()));
    let (too_long, digits) = (format!("a{longest}"), format!("localhost:{}", "0".repeat(300)));
    let longest_name = longest.strip_suffix(":65535").unwrap();
    let (malformed, user_info) = (Err(HostError::Malformed), Err(HostError::UserInfo));
    let table = [
        // text, name and port
        ("demo.example.com", Ok(("demo.example.com", None))),
        ("Demo.EXAMPLE.com:8080", Ok(("demo.example.com", Some(8080)))),
        ("demo.example.com.", Ok(("demo.example.com", None))),
        ("demo.example.com.:443", Ok(("demo.example.com", Some(443)))),
        ("demo.example.com..", Ok(("demo.example.com.", None))),
        ("localhost.", Ok(("localhost", None))),
        ("127.0.0.1.", Ok(("127.0.0.1", None))),
        ("[::1]:8080", Ok(("[::1]", Some(8080)))),
        ("localhost:", Ok(("localhost", None))),
        (&*longest, Ok((longest_name, Some(65535)))),
        ("", malformed),
        (".", malformed),
        (":8080", malformed),
        ("localhost:65536", malformed),
        ("localhost:+80", malformed),
        ("[::1]80", malformed),
        ("a b", malformed),
        ("a/b", malformed),
        ("[", malformed),
        (&*too_long, malformed),
        (&*digits, malformed),
        ("me@localhost", user_info),
        ("me:secret@localhost:8080", user_info),
        ("@localhost", user_info),
        ("localhost@evil.example", user_info),
    ];
    for (text, expected) in table {
        let actual = Host::parse(text.as_bytes());
        let actual = actual.as_ref().map(|host| (host.name(), host.port())).map_err(|error| *error);
        assert_eq!(actual, expected.map(|(name, port)| (name.into(), port)), "{text}");
    }
}

#[test]
fn a_request_is_for_one_host() {
    let user_info = "must be a host without user information: remove the '@' and what is in front of it";
    let malformed = "must be a host, with or without a port";
    let other = "must be the same as the request's target";
    type Outcome = Result<Option<&'static str>, &'static str>;
    let table: [(&str, &[&str], Outcome); 18] = [
        // target, Host headers, the host or what is wrong
        ("/", &["localhost"], Ok(Some("localhost"))),
        ("/", &["localhost:8080"], Ok(Some("localhost:8080"))),
        ("/", &[], Ok(None)),
        ("http://localhost:8080/", &[], Ok(Some("localhost:8080"))),
        ("http://localhost:8080/", &["LocalHost:8080"], Ok(Some("localhost:8080"))),
        ("http://demo.example.com./", &["demo.example.com"], Ok(Some("demo.example.com."))),
        ("http://demo.example.com/", &["DEMO.example.com."], Ok(Some("demo.example.com"))),
        ("/", &["localhost", "localhost"], Err("must be given once")),
        ("http://localhost/", &["localhost", "evil.example"], Err("must be given once")),
        ("http://localhost/", &["evil.example"], Err(other)),
        ("http://localhost:8080/", &["localhost"], Err(other)),
        ("/", &[""], Err(malformed)),
        ("/", &["a/b"], Err(malformed)),
        ("http://localhost/", &["a/b"], Err(malformed)),
        ("/", &["me@localhost"], Err(user_info)),
        ("http://me@localhost/", &[], Err(user_info)),
        ("http://me@localhost/", &["localhost"], Err(user_info)),
        ("http://localhost/", &["me@localhost"], Err(user_info)),
    ];
    for (target, given, expected) in table {
        let headers = given.iter().map(|value| (HOST, value.parse().unwrap())).collect();
        let actual = host_of(&target.parse().unwrap(), &headers).map_err(|error| error.to_string());
        let actual = actual.as_ref().map(|host| host.as_ref().map(Host::as_str)).map_err(String::as_str);
        assert_eq!(actual, expected, "{target} {given:?}");
    }
}
