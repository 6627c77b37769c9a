//! HTTP byte by byte: the host of a request, the end of its body, and the answers to malformed requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::curl::{Curl, Version};
use crate::support::harness::{Folder, Server};

const JSON: &str = "content-type: application/json";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Sends bytes over a new connection, and reads until the server closes it.
fn exchange(server: &Server, sent: &str) -> String {
    let mut connection = TcpStream::connect(server.address()).expect("the server accepts a connection");
    connection.write_all(sent.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("the answer is not cut off");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn hosts_with_user_information_are_refused_in_every_protocol() {
    let config = "[server]\nallowed_hosts = ['localhost']\n[instances.hosts]\n'demo.example.com' = 'demo'\n";
    let (system, instance) = ("/v2/features/system", "/v2/features/instance?inheritance=true");
    let set = "/zitadel.feature.v2.FeatureService/GetSystemFeatures";
    let table = [
        // method, path, header with the host, content type, status, part of the answer
        ("GET", system, "host: me@localhost", "", 400, "host:"),
        ("GET", "/", "host: me@localhost", "", 400, "host:"),
        ("GET", "/nowhere", "host: me@localhost", "", 400, "host:"),
        ("POST", set, "host: me@localhost", JSON, 400, "host:"),
        ("POST", CHECK, "host: me:secret@localhost:80", JSON, 400, "host:"),
        ("POST", CHECK, "host: me@localhost", "content-type: application/grpc-web+proto", 200, "host:"),
        ("GET", instance, "x-zitadel-instance-host: me@demo.example.com", "", 400, "x-zitadel-instance-host:"),
    ];
    for version in Version::ALL {
        let server = Folder::new(config).serve();
        let token = server.token("--role SYSTEM_OWNER");
        let curl = Curl { server: &server, version };
        for (verb, path, host, content_type, status, field) in table {
            let body = (verb == "POST").then_some(b"{}".as_slice());
            let answer = curl.call(verb, path, &[&token, host, content_type], body);
            assert_eq!(answer.status, status, "{verb} {path} {host}: {answer:?}");
            // gRPC-Web has the message in a header, percent-encoded.
            let said = match answer.header("grpc-message") {
                Some(message) => message.to_owned(),
                None => answer.json()["message"].as_str().expect("an error has a message").to_owned(),
            };
            assert!(said.starts_with(field) && said.contains("user"), "{verb} {path} {host}: {answer:?}");
        }
        server.stop();
    }
}

#[test]
fn one_final_dot_of_a_host_makes_no_difference() {
    let config =
        "[server]\nallowed_hosts = ['features.example.com.']\n[instances.hosts]\n'demo.example.com' = 'demo'\n";
    let path = "/v2/features/instance?inheritance=true";
    let (on_loopback, elsewhere) = ("host: localhost.", "host: features.example.com");
    let table = [
        // headers with hosts, status: 400 if no instance is found, 403 for a host that is not allowed
        (["host: demo.example.com", ""], 200),
        (["host: demo.example.com.", ""], 200),
        (["host: Demo.example.com.:8080", ""], 200),
        (["host: demo.example.com..", ""], 403),
        ([elsewhere, ""], 400),
        ([on_loopback, ""], 400),
        ([elsewhere, "x-zitadel-instance-host: demo.example.com."], 200),
        ([on_loopback, "x-zitadel-instance-host: DEMO.example.com.:443"], 200),
        ([elsewhere, "x-zitadel-instance-host: demo.example.com.."], 400),
    ];
    for version in Version::ALL {
        let server = Folder::new(config).serve();
        let token = server.token("--role SYSTEM_OWNER");
        let curl = Curl { server: &server, version };
        for (hosts, status) in table {
            let answer = curl.call("GET", path, &[&token, hosts[0], hosts[1]], None);
            assert_eq!(answer.status, status, "{hosts:?}: {answer:?}");
        }
        server.stop();
    }
}

#[test]
fn bodies_end_where_every_proxy_sees_their_end() {
    // Two requests in one write. The server answers the second one only if the end of the first is unambiguous.
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    let table = [
        // version, headers of the first request, statuses of all answers
        ("1.1", "transfer-encoding: chunked", &[200, 404][..]),
        ("1.1", "transfer-encoding: Chunked ", &[200, 404]),
        ("1.1", "transfer-encoding: chunked, chunked", &[400]),
        ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: chunked", &[400]),
        ("1.1", "transfer-encoding: ,chunked", &[400]),
        ("1.1", "transfer-encoding: gzip, chunked", &[501]),
        ("1.1", "transfer-encoding: gzip\r\ntransfer-encoding: chunked", &[501]),
        ("1.1", "transfer-encoding: identity, chunked", &[501]),
        ("1.1", "transfer-encoding: \u{b}chunked, chunked", &[400]),
        ("1.1", "transfer-encoding: gzip", &[400]),
        ("1.1", "transfer-encoding: identity", &[400]),
        ("1.1", "transfer-encoding: chunked, gzip", &[400]),
        ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: identity", &[400]),
        ("1.1", "transfer-encoding: chunked;a=b", &[400]),
        ("1.1", "transfer-encoding: xchunked", &[400]),
        ("1.1", "transfer-encoding : chunked", &[400]),
        ("1.0", "transfer-encoding: chunked\r\nconnection: keep-alive", &[400]),
        // Transfer-Encoding takes precedence, and the server closes the connection (RFC 9112, section 6.1).
        ("1.1", "transfer-encoding: chunked\r\ncontent-length: 2", &[200]),
        ("1.1", "content-length: 12\r\ntransfer-encoding: chunked", &[200]),
        ("1.1", "content-length: 12\r\ncontent-length: 12", &[200, 404]),
        ("1.1", "content-length: 12\r\ncontent-length: 2", &[400]),
        ("1.1", "content-length: 12, 12", &[400]),
        ("1.1", "content-length: +12", &[400]),
    ];
    let server = Server::new();
    for (version, headers, statuses) in table {
        let body =
            if headers.contains("chunked") || !headers.contains("content-length") { chunks } else { "{}          " };
        let first = format!("POST {CHECK} HTTP/{version}\r\nhost: localhost\r\n{JSON}\r\n{headers}\r\n\r\n{body}");
        let second = "GET /second HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answered = exchange(&server, &(first + second));
        let answered = answered.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok());
        assert_eq!(answered.collect::<Vec<u16>>(), statuses, "HTTP/{version} {headers:?}");
    }
    server.stop();
}

#[test]
fn answers_do_not_grow_with_requests() {
    let server = Server::new();
    let long = "x".repeat(12_000);
    let check = format!("POST {CHECK} HTTP/1.1\r\nhost: localhost");
    let system = "GET /v2/features/system";
    let table = [
        // request without the end of its headers, HTTP status
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost"), 404),
        (format!("GET /v2/features/{long} HTTP/1.1\r\nhost: localhost"), 404),
        (format!("GET / HTTP/1.1\r\nhost: {long}"), 400),
        (format!("GET / HTTP/1.1\r\nhost: {}.example", "x".repeat(240)), 403),
        (format!("{system}?{long}=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer x.y.z"), 401),
        (format!("{check}\r\n{JSON}; charset={long}"), 415),
        (format!("{check}\r\ncontent-type: {long}"), 415),
        (format!("{check}\r\n{JSON}\r\ncontent-encoding: {long}"), 501),
        (format!("{system} HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: {long}"), 415),
        (format!("GET {CHECK}?encoding={long} HTTP/1.1\r\nhost: localhost"), 415),
        (format!("GET {CHECK}?encoding=json&message={{}}&compression={long} HTTP/1.1\r\nhost: localhost"), 501),
        (format!("GET {CHECK}?encoding=json&message={{\"{long}\":1}} HTTP/1.1\r\nhost: localhost"), 400),
        (format!("{check}\r\ncontent-type: application/grpc-web\r\ngrpc-encoding: {long}"), 200),
        (format!("POST /{long}/X HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web"), 200),
    ];
    for (request, status) in table {
        let answer = exchange(&server, &format!("{request}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
        let start = &request[..request.len().min(80)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {answer}");
        assert!(answer.len() < 2_000, "{start}: {} bytes: {answer}", answer.len());
    }
    server.stop();
}

#[test]
fn health_is_available_over_get_and_head() {
    let feature_service = r#"encoding=json&message={"service":"zitadel.feature.v2.FeatureService"}"#;
    let feature_service = feature_service.replace('"', "%22");
    let table = [
        // query, status, content type, whether the answer says SERVING
        ("", 200, "application/json", true),
        ("?", 200, "application/json", true),
        ("?encoding=json&message={}", 200, "application/json", true),
        ("?encoding=proto&message=", 200, "application/proto", false),
        (&*format!("?connect=v1&{feature_service}"), 200, "application/json", true),
        ("?encoding=json&message={%22service%22:%22none%22}", 404, "application/json", false),
        ("?message={}", 415, "application/json", false),
        ("?service=zitadel.feature.v2.FeatureService", 415, "application/json", false),
    ];
    for version in Version::ALL {
        let server = Server::new();
        let curl = Curl { server: &server, version };
        for (query, status, content_type, serving) in table {
            let [get, head] = ["GET", "HEAD"].map(|verb| curl.call(verb, &format!("{CHECK}{query}"), &[], None));
            assert_eq!((get.status, head.status), (status, status), "{query}: {get:?}");
            assert_eq!(get.header("content-type"), Some(content_type), "{query}: {get:?}");
            assert_eq!(head.header("content-type"), Some(content_type), "{query}: {head:?}");
            assert_eq!(get.body == br#"{"status":"SERVING"}"#, serving, "{query}: {get:?}");
        }
        server.stop();
    }
    // haproxy's default check: HTTP/1.0 without a Host.
    let server = Server::new();
    let answer = exchange(&server, &format!("GET {CHECK} HTTP/1.0\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(r#"{"status":"SERVING"}"#), "{answer}");
    server.stop();
}

#[test]
fn every_answer_forbids_content_sniffing() {
    let server = Server::new();
    let curl = Curl { server: &server, version: Version::Http2 };
    let token = server.token("--role SYSTEM_OWNER");
    for path in ["/", "/openapi.json", "/nowhere", "/v2/features/system", "/v2/features/system?x=1", CHECK] {
        for verb in ["GET", "PATCH", "HEAD"] {
            let answer = curl.call(verb, path, &[&token], None);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{verb} {path}: {answer:?}");
        }
    }
    server.stop();
}

#[test]
fn malformed_messages_are_client_errors_and_not_logged_as_failures() {
    let server = Server::new();
    let table = [
        // path, content type, body, HTTP status, part of the answer
        (CHECK, "application/proto", "\u{1}", 400, "invalid_argument"),
        (REFLECTION, "application/connect+proto", "\0\0\0\0\u{1}\u{1}", 200, "invalid_argument"),
        (REFLECTION, "application/connect+proto", "\0\0\0\0\u{2}\u{1}", 200, "invalid_argument"),
        (REFLECTION, "application/grpc-web+proto", "\0\0\0\0\u{1}\u{1}", 200, "grpc-status:3"),
        (REFLECTION, "application/grpc-web+proto", "\u{7}\0\0\0\0", 200, "grpc-status:3"),
        (CHECK, "application/grpc-web+proto", "\0\0\0\0\u{1}\u{1}", 200, "grpc-status: 3"),
        ("/grpc.health.v1.Health/Watch", "application/connect+proto", "\0\0\0\0\u{1}\u{1}", 200, "invalid_argument"),
        ("/grpc.health.v1.Health/Watch", "application/grpc-web+proto", "\0\0\0\0\u{1}\u{1}", 200, "grpc-status: 3"),
    ];
    for (path, content_type, body, status, has) in table {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {content_type}");
        let answer = exchange(&server, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(has), "{path}: {answer}");
    }
    // The log is in order: once this line is there, all lines of the earlier calls are.
    exchange(&server, "GET /the-last-one HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    server.wait_for_log("/the-last-one", 1);
    assert!(!server.log().contains("call failed inside the server"), "{}", server.log());
    server.stop();
}
