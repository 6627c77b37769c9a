//! Probes of the real server: ready from the first read on until it begins to stop, on both listeners.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::curl::{Curl, Version};
use crate::support::harness::{Folder, Server, limited};

/// How long a condition may take to come about before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status and the body of a URL; `None` without an answer.
fn get(url: &str) -> Option<(u16, String)> {
    let output = limited("curl").args(["--disable", "--silent", "--write-out", "%{http_code}", url]).output();
    let text = String::from_utf8(output.expect("curl starts").stdout).expect("an answer is text");
    let (body, status) = text.split_at(text.len() - 3);
    Some((status.parse().expect("a status"), body.to_owned())).filter(|(status, _)| *status > 0)
}

#[test]
fn both_listeners_answer_without_a_token() {
    let server = Folder::embedded("").serve();
    let wait = Instant::now() + PATIENCE;
    while get(&format!("{}/readyz", server.monitoring())).is_none_or(|(status, _)| status != 200) {
        assert!(Instant::now() < wait, "the server is not ready");
        thread::sleep(Duration::from_millis(10));
    }
    for base in [server.monitoring().to_owned(), format!("http://{}", server.address())] {
        let ready = r#"{"accepts_writes":true,"newest_event_age_seconds":null,"revision":0,"status":"ready"}"#;
        assert_eq!(get(&format!("{base}/healthz")), Some((200, "{\"status\":\"ok\"}\n".to_owned())), "{base}");
        assert_eq!(get(&format!("{base}/readyz")), Some((200, format!("{ready}\n"))), "{base}");
    }
    let curl = Curl { server: &server, version: Version::Http2 };
    // What probes a server in a cluster calls it by any name.
    assert_eq!(curl.call("GET", "/readyz", &["host: pod.cluster.example"], None).status, 200);
    let refused = curl.call("POST", "/readyz", &[], Some(b"{}"));
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    server.stop();
}

#[test]
fn the_age_of_the_newest_event_outlives_a_restart() {
    let server = Folder::embedded("").serve();
    let token = server.token("--role IAM_OWNER --instance demo");
    let curl = Curl { server: &server, version: Version::Http1 };
    let body = Some(&br#"{"loginDefaultOrg": true}"#[..]);
    assert_eq!(
        curl.call("PUT", "/v2/features/instance", &[&token, "content-type: application/json"], body).status,
        200
    );
    let server = server.kill().serve();
    let report = ready_report(&server);
    assert_eq!(report["revision"], 1, "{report}");
    let age = report["newest_event_age_seconds"].as_f64().expect("there is an event");
    assert!((0.0..600.0).contains(&age), "{report}");
    server.stop();
}

/// What `/readyz` reports once the server is ready.
fn ready_report(server: &Server) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match get(&format!("{}/readyz", server.monitoring())) {
            Some((200, report)) => return serde_json::from_str(&report).expect("a report is JSON"),
            _ => assert!(Instant::now() < deadline, "the server is not ready"),
        }
    }
}

#[test]
fn the_command_probe_says_whether_the_server_is_ready() {
    let server = Server::new();
    ready_report(&server);
    let address = server.monitoring().trim_start_matches("http://").to_owned();
    let table = [
        // arguments, exit code, what is said
        (format!("probe --address {address}"), 0, "\"status\":\"ready\""),
        (format!("probe --address {}", server.address()), 0, "\"status\":\"ready\""),
        ("probe".to_owned(), 1, "the port is 0"),
    ];
    for (line, code, says) in table {
        let output = server.folder().run(&line);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
    let folder = server.stop();
    let output = folder.run(&format!("probe --address {address}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("no answer from {address}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_not_ready_but_alive() {
    let server = Folder::new("[server]\nshutdown_grace_ms = 60000\n").serve();
    ready_report(&server);
    // A stream that is open keeps the server from ending.
    let mut health = HealthClient::new(server.channel().await);
    let stream = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    server.signal(Signal::TERM);
    let probe = |path: &str| get(&format!("{}{path}", server.monitoring())).expect("the server has not ended");
    let deadline = Instant::now() + PATIENCE;
    while probe("/readyz").0 == 200 {
        assert!(Instant::now() < deadline, "the server is still ready");
    }
    for _ in 0..10 {
        assert_eq!(probe("/readyz"), (503, "{\"status\":\"draining\"}\n".to_owned()));
        assert_eq!(probe("/healthz").0, 200);
    }
    drop((stream, health));
    while get(&format!("{}/healthz", server.monitoring())).is_some() {
        assert!(Instant::now() < deadline, "the server does not end");
    }
}
