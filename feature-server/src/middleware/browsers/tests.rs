//! Which requests are refused for the host that they name.

use super::*;

fn hosts(listen: &str, tls: bool, allowed: &[&str]) -> AllowedHosts {
    let mut settings = Settings::default();
    settings.server.listen = listen.parse().unwrap();
    settings.server.allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
    settings.instances.hosts.insert("demo.example.com".to_owned(), "demo".to_owned());
    settings.tls.certificate_file = tls.then(|| "cert.pem".into());
    AllowedHosts::new(&settings)
}

fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
    headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

#[test]
fn on_loopback_only_known_names_are_answered() {
    let (closed, named) = (hosts("127.0.0.1:8080", false, &[]), hosts("0.0.0.0:8080", true, &["features.example.com"]));
    let table = [
        // host, answered on loopback, answered where features.example.com is the one allowed host
        ("127.0.0.1:8080", true, true),
        ("10.0.0.1", true, true),
        ("[::1]:8080", true, true),
        ("[2001:db8::1]", true, true),
        ("localhost:8080", true, true),
        ("LOCALHOST", true, true),
        ("app.localhost", true, true),
        ("demo.example.com:443", true, true),
        ("Demo.Example.com", true, true),
        ("features.example.com", false, true),
        ("features.example.com:8443", false, true),
        ("evil.example", false, false),
        ("evil.example:8080", false, false),
        ("localhost.evil.example", false, false),
        ("127.0.0.1.evil.example", false, false),
        ("demo.example.com.", true, true),
        ("demo.example.com.:443", true, true),
        ("features.example.com.", false, true),
        ("features.example.com..", false, false),
        ("localhost.", true, true),
        ("127.0.0.1.", true, true),
        ("evil.example.", false, false),
        ("demo.example.com.evil.example", false, false),
    ];
    for (host, on_loopback, where_named) in table {
        for (hosts, answered) in [(&closed, on_loopback), (&named, where_named)] {
            for request in [request("/", &[("host", host)]), request(&format!("http://{host}/"), &[])] {
                let refused = hosts.check(&request, false).is_err();
                assert_eq!(refused, !answered, "{request:?}");
                assert!(hosts.check(&request, true).is_ok(), "gRPC: {request:?}");
            }
        }
    }
    let failure = closed.check(&request("/", &[("host", "evil.example:1")]), false).unwrap_err();
    assert!(matches!(failure, Failure::HostUnknown(host) if host == "evil.example"));
}

#[test]
fn elsewhere_a_page_that_takes_itself_for_one_of_the_server_is_refused() {
    let table = [
        // host, origin, answered
        ("evil.example:8080", "", true),
        ("evil.example:8080", "http://evil.example:8080", false),
        ("evil.example:8080", "http://EVIL.example:8080", false),
        ("evil.example", "http://evil.example", false),
        ("evil.example:80", "http://evil.example", false),
        ("evil.example.", "http://evil.example.", false),
        ("evil.example.:8080", "http://evil.example:8080", false),
        // Of another origin: what it can read is for CORS.
        ("evil.example:8080", "http://evil.example", true),
        ("features.lan:8080", "http://console.lan", true),
        // Over TLS a name is what it says, also if a proxy ends the TLS.
        ("features.example.com", "https://features.example.com", true),
        ("demo.example.com:8080", "http://demo.example.com:8080", true),
        ("10.0.0.1:8080", "http://10.0.0.1:8080", true),
        ("evil.example", "null", true),
    ];
    for (listen, tls) in [("0.0.0.0:8080", false), ("0.0.0.0:8443", true), ("127.0.0.1:8443", true)] {
        let hosts = hosts(listen, tls, &[]);
        for (host, origin, answered) in table {
            let headers = [("host", host), ("origin", origin)];
            let headers = if origin.is_empty() { &headers[..1] } else { &headers[..] };
            assert_eq!(hosts.check(&request("/", headers), false).is_ok(), answered, "{listen}: {host} {origin}");
        }
    }
}

#[test]
fn a_request_is_for_exactly_one_host() {
    let (given, once) = ("host: must be given", "host: must be given once");
    let user_info = "host: must be a host without user information: remove the '@' and what is in front of it";
    let table: [(&str, &[&str], Option<&str>); 7] = [
        // target, Host headers, what is said
        ("/", &["localhost"], None),
        ("http://localhost:8080/", &[], None),
        ("/", &[], Some(given)),
        ("/", &["localhost", "localhost"], Some(once)),
        ("/", &["me@localhost"], Some(user_info)),
        ("/", &["me@127.0.0.1:8080"], Some(user_info)),
        ("http://localhost@evil.example/", &["evil.example"], Some(user_info)),
    ];
    let hosts = hosts("127.0.0.1:8080", false, &[]);
    for (target, headers, said) in table {
        let headers: Vec<_> = headers.iter().map(|host| ("host", *host)).collect();
        for grpc in [false, true] {
            let actual = hosts.check(&request(target, &headers), grpc).err().map(|failure| failure.to_string());
            assert_eq!(actual.as_deref(), said, "{target} {headers:?}");
        }
    }
    let mut old = request("/", &[]);
    *old.version_mut() = Version::HTTP_10;
    assert!(hosts.check(&old, false).is_ok(), "HTTP/1.0 knows no Host");
}
