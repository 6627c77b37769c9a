//! Traces for a collector that wants TLS and a key: they reach it, and what is wrong with either costs no call.

use std::fs;
use std::net::TcpListener as StdListener;

use rustix::process::Signal;
use serde_json::json;

use super::collector::{Collector, KEY_HEADER, hex};
use super::{LOST, SPAN, TRACE};
use crate::support::harness::{Folder, Server};
use crate::support::log_audit;
use crate::support::raw::Raw;
use crate::tls::authority::Authority;

/// Long enough for the audit of logs to look for it.
const KEY: &str = "c2VjcmV0-of-the-collector";

/// A folder with a file of headers and the certificates of an authority.
fn folder_with(traces: &str, key: &str, authority: &Authority) -> Folder {
    log_audit::note_secret(key);
    let folder = Folder::new(&format!("[traces]\n{traces}\n"));
    fs::write(folder.file("ca.pem"), authority.pem()).expect("the file is written");
    fs::write(folder.file("headers"), format!("# for the collector\n{KEY_HEADER}: {key}\n")).expect("it is written");
    folder
}

/// Calls a method with a trace of the client.
async fn call(server: &Server) {
    let token = server.token("--role IAM_OWNER --instance demo");
    let traceparent = format!("traceparent = 00-{TRACE}-{SPAN}-01");
    let raw = Raw::new(server).await;
    raw.call("GetInstanceFeatures", json!({"inheritance": true}), &[&token, &traceparent]).await.expect("it succeeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_reach_a_collector_with_tls_that_wants_a_key() {
    let authority = Authority::new();
    let (collector, url) = Collector::start_secured(&authority.server(), KEY).await;
    let files = "ca_file = 'ca.pem'\nheaders_file = 'headers'";
    let (endpoint, headers) = (format!("OTEL_EXPORTER_OTLP_ENDPOINT={url}"), "OTEL_EXPORTER_OTLP_HEADERS=");
    // `%2D` is a hyphen.
    let of_variable = format!("{headers}{}", format!("{KEY_HEADER}={KEY}").replace("-of-", "%2Dof-"));
    let certificate = "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem";
    let (not_valid, of_others) = (format!("{headers}{KEY_HEADER}={KEY},b"), format!("{headers}{KEY_HEADER}=other"));
    let own_file = "FEATURE_SERVER__TRACES__HEADERS_FILE=headers";
    let table = [
        // lines of the file, variables
        (format!("endpoint = '{url}'\n{files}"), vec![]),
        (String::new(), vec![&*endpoint, &*of_variable, certificate]),
        (files.to_owned(), vec![&*endpoint, &*not_valid]),
        (files.to_owned(), vec![&*endpoint, &*of_others, own_file]),
    ];
    for (row, (lines, variables)) in table.into_iter().enumerate() {
        let folder = folder_with(&lines, KEY, &authority);
        let server = folder.serve_by(&[&["env"], &variables[..]].concat());
        call(&server).await;
        // The end of the server sends what waits.
        server.stop();
        let spans = collector.spans_of(TRACE).into_iter();
        assert_eq!(spans.filter(|span| hex(&span.parent_span_id) == SPAN).count(), row + 1, "{variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_gets_no_spans_costs_one_line_a_minute_and_no_call() {
    let (authority, other) = (Authority::new(), Authority::named("another authority"));
    let (collector, secured) = Collector::start_secured(&authority.server(), KEY).await;
    let closed = StdListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let table = [
        // endpoint, the authority and the key in its files, the reason in the log
        (format!("http://{closed}"), &authority, KEY, "Connection refused"),
        (secured.clone(), &other, KEY, "UnknownIssuer"),
        (secured.clone(), &authority, "another-key-than-that", "Unauthenticated"),
        (secured.replace("https:", "http:"), &authority, KEY, "gRPC code"),
    ];
    for (endpoint, authority, key, reason) in table {
        let ca_file = if endpoint.starts_with("https:") { "ca_file = 'ca.pem'\n" } else { "" };
        let lines = format!("endpoint = '{endpoint}'\n{ca_file}headers_file = 'headers'");
        let server = folder_with(&lines, key, authority).serve();
        costs_one_line_and_no_call(&server, reason).await;
        assert!(collector.requests().is_empty(), "{endpoint}");
    }
}

async fn costs_one_line_and_no_call(server: &Server, reason: &str) {
    let token = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(server).await;
    for round in 0..2 {
        for actions in [true, false] {
            raw.call("SetInstanceFeatures", json!({"actions": actions}), &[&token]).await.expect("it succeeds");
            raw.call("GetInstanceFeatures", json!({"inheritance": true}), &[&token]).await.expect("it succeeds");
        }
        if round == 0 {
            server.wait_for_log(LOST, 1);
        }
    }
    server.signal(Signal::TERM);
    // The second line is the one at the end.
    server.wait_for_log(LOST, 2);
    server.wait_for_log("shutting down", 1);
    let log = server.log();
    let place = |text: &str| log.rfind(text);
    assert!(place(LOST) > place("shutting down"), "{log}");
    let lost: Vec<_> = log.lines().filter(|line| line.contains(LOST)).collect();
    assert!(lost.len() == 2 && lost.iter().all(|line| line.contains(reason)), "{reason}: {log}");
}

#[test]
fn headers_that_cannot_be_used_end_the_start_with_64() {
    let folder = folder_with("endpoint = 'http://127.0.0.1:1'\nheaders_file = 'headers'", KEY, &Authority::new());
    fs::write(folder.file("headers"), format!("\n{KEY_HEADER}={KEY}\n")).expect("the file is written");
    let output = folder.run("serve --listen 127.0.0.1:0");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{words}");
    assert!(
        words.contains("traces.headers_file = \"headers\": line 2: must be a name") && !words.contains(KEY),
        "{words}"
    );
    assert!(!folder.data().exists(), "a data folder was made");
}
