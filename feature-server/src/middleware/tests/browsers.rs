//! Requests of pages of other origins.

use http::Request;
use tonic::body::Body;
use tower::ServiceExt;

use super::support::*;
use crate::config::settings::Settings;
use crate::middleware::browsers::AllowedHosts;
use crate::middleware::stack::layers;
use crate::net::shutdown::Drain;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.cors.allowed_origins =
        vec!["https://console.example.com".to_owned(), "http://App.example:8080/".to_owned()];
    settings
}

fn preflight(origin: &str, host: &str) -> Request<Body> {
    Request::options(CHECK)
        .header("host", host)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-grpc-web,authorization,x-zitadel-orgid")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn origins() {
    let server = "features.example.com";
    let table = [
        // origin, host of the server, allowed
        ("https://console.example.com", server, true),
        ("https://CONSOLE.example.com:443", server, true),
        ("http://app.example:8080", server, true),
        ("http://console.example.com", server, false),
        ("https://console.example.com:8443", server, false),
        ("https://console.example.com.evil.org", server, false),
        ("https://evil.org", server, false),
        ("null", server, false),
        ("", server, false),
        ("https://features.example.com", server, true),
        ("https://features.example.com", "features.example.com:443", true),
        ("http://features.example.com:8080", "features.example.com:8080", true),
        ("http://features.example.com:8080", server, false),
        ("https://features.example.com.", server, true),
        ("https://features.example.com", "features.example.com.", true),
        ("https://me@features.example.com", server, false),
        ("https://console.example.com.", server, true),
        ("http://localhost", server, true),
        ("http://localhost.", server, true),
        ("http://localhost:5173", server, true),
        ("https://app.localhost:5173", server, true),
        ("http://localhost.evil.org", server, false),
        ("http://notlocalhost", server, false),
        ("http://127.0.0.1:3000", server, true),
        ("http://127.8.9.10", server, true),
        ("http://127.0.0.1.evil.org", server, false),
        ("http://127.0.0.1@evil.org", server, false),
        ("http://evil.org@localhost", server, false),
        ("http://128.0.0.1", server, false),
        ("http://[::1]:3000", server, true),
        ("http://[::2]:3000", server, false),
        ("http://0.0.0.0", server, false),
        ("chrome-extension://localhost", server, false),
        ("file://", server, false),
    ];
    for (origin, host, allowed) in table {
        let answer = call(&settings(), preflight(origin, host)).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed.then_some(origin), "{origin} at {host}");
        let cors_headers = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).count();
        assert_eq!(cors_headers > 0, allowed, "{origin} at {host}: {answer:?}");
    }
}

#[tokio::test]
async fn the_servers_own_origin_is_recognised_over_http2() {
    let page = |origin| with_message(grpc(CHECK).header("origin", origin));
    let own = call(&settings(), page("http://server")).await;
    assert_eq!(own.header("access-control-allow-origin"), Some("http://server"));
    let other = call(&settings(), page("http://other")).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_preflight_allows_what_calls_need() {
    let answer = call(&settings(), preflight("http://localhost", "server")).await;
    assert_eq!(answer.http, 200);
    for method in ["POST", "GET", "PATCH", "PUT", "DELETE"] {
        assert!(answer.header("access-control-allow-methods").unwrap().contains(method));
    }
    for header in ["content-type", "x-grpc-web", "authorization", "x-zitadel-orgid"] {
        assert!(answer.header("access-control-allow-headers").unwrap().contains(header));
    }
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert!(answer.header("vary").unwrap().contains("origin"));
}

#[tokio::test]
async fn pages_can_read_failures_of_every_layer() {
    let mut settings = settings();
    settings.limits.calls = 0;
    for limits in [settings, self::settings()] {
        let answer = call(&limits, with_message(web("/none.Such/Method").header("origin", "http://localhost"))).await;
        assert_ne!(answer.code(), tonic::Code::Ok);
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost"));
        for header in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"] {
            assert!(answer.header("access-control-expose-headers").unwrap().contains(header), "{header}");
            assert!(answer.header(header).is_some() || header == "grpc-message", "{header}");
        }
    }
}

#[tokio::test]
async fn calls_without_an_origin_get_no_cors_headers() {
    let answer = call(&settings(), with_message(grpc(CHECK))).await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-") || name == "vary"));
}

#[tokio::test]
async fn a_page_that_points_its_own_name_to_the_server_is_refused_in_every_protocol() {
    let settings = Settings::default();
    let on_loopback = || {
        let recogniser = recogniser_of(crate::services::descriptors::pool(), AllowedHosts::new(&settings));
        layers(service(), recogniser, &settings.limits, &[], Drain::new(), None)
    };
    let json = "application/json";
    let table = [
        // verb, path, content type, HTTP status
        ("POST", CHECK, "application/grpc-web", 200),
        ("POST", CHECK, json, 403),
        ("POST", WATCH, "application/connect+json", 200),
        ("GET", "/v2/features/system", json, 403),
        ("PUT", "/v2/features/system", json, 403),
        ("GET", "/", json, 403),
        ("GET", "/openapi.json", json, 403),
        ("GET", "/nowhere", json, 403),
    ];
    for (verb, path, content_type, status) in table {
        for origin in [None, Some("http://evil.example:8080")] {
            let request = Request::builder().method(verb).uri(path).header("content-type", content_type);
            let request = request.header("host", "evil.example:8080");
            let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
            let request = sent_by([127, 0, 0, 1].into(), request.body(Body::empty()).unwrap());
            let Ok(answer) = on_loopback().oneshot(request).await;
            let answer = Answer::read(answer).await;
            assert_eq!(answer.http, status, "{verb} {path} {origin:?}: {answer:?}");
            if answer.headers.contains_key("grpc-status") {
                assert_eq!(answer.reason(), "HOST_UNKNOWN", "{verb} {path} {origin:?}");
            } else {
                let told = String::from_utf8_lossy(&answer.body);
                assert!(told.contains("HOST_UNKNOWN") && told.contains("evil.example"), "{verb} {path}: {told}");
            }
        }
    }
    let request = sent_by([127, 0, 0, 1].into(), with_message(grpc(CHECK)));
    let Ok(answer) = on_loopback().oneshot(request).await;
    assert_eq!(Answer::read(answer).await.code(), tonic::Code::Ok, "plain gRPC names hosts as it likes");
}
