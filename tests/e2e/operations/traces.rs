//! Traces by OpenTelemetry: a client with a trace of its own, the real server, and a collector in the test.

mod collector;
mod secured;

use std::collections::BTreeMap;
use std::fs;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde::Deserialize;
use serde_json::json;

use self::collector::{Collector, hex};
use crate::support::client_programs::{python, run};
use crate::support::harness::{Folder, Server};
use crate::support::raw::Raw;

const SERVICE: &str = "zitadel.feature.v2.FeatureService";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// The line that says that spans were lost.
const LOST: &str = "spans did not reach the collector";

fn attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("no attribute is {other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), text(&attribute.value))).collect()
}

/// A span of the client.
#[derive(Deserialize)]
struct ClientSpan {
    name: String,
    trace: String,
    id: String,
}

/// The spans below another one, by name.
fn below<'s>(spans: &'s [Span], parent: &str) -> BTreeMap<&'s str, &'s Span> {
    let children = spans.iter().filter(|span| hex(&span.parent_span_id) == parent);
    children.map(|span| (span.name.as_str(), span)).collect()
}

fn tracing_to(url: &str, more: &str) -> Server {
    Folder::new(&format!("[traces]\nendpoint = '{url}'\n{more}")).serve()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_reaches_from_the_client_to_the_sync_and_tells_no_secret() {
    let (collector, url) = Collector::start().await;
    let server = tracing_to(&url, "service_name = 'features'");
    let (user, value) = ("user-in-no-trace", "https://login.example.com/in-no-trace");
    let mut client = python(&server, "traces.py");
    let said = run(client.env("FEATURE_USER", user).env("FEATURE_VALUE", value));
    let client: Vec<ClientSpan> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let trace = &client[0].trace;
    assert!(client.iter().all(|span| span.trace == *trace), "{said}");
    // The line of a call comes after its answer.
    server.wait_for_lines(&["call finished", trace], 4);
    let log = server.log();
    let token = server.token("--role IAM_OWNER --instance demo");
    // The end of the server sends what waits.
    server.stop();

    let spans = collector.spans_of(trace);
    let calls: Vec<_> = client.iter().filter(|span| span.name.contains(SERVICE)).collect();
    let expected = [
        // method, names of the spans below it
        ("SetInstanceFeatures", vec!["authentication", "group commit"]),
        ("SetUserFeatures", vec!["authentication", "group commit"]),
        ("GetUserFeatures", vec!["authentication", "store read"]),
        ("GetUserFeatures", vec!["authentication"]),
    ];
    assert_eq!(calls.len(), expected.len(), "{said}");
    let mut revisions = Vec::new();
    for (call, (method, names)) in calls.into_iter().zip(expected) {
        let method = format!("{SERVICE}/{method}");
        let server_spans = below(&spans, &call.id);
        let server_span = server_spans.get(&*method).unwrap_or_else(|| panic!("{method}: {spans:#?}"));
        assert_eq!(server_span.kind(), SpanKind::Server);
        assert_eq!(
            attributes(&server_span.attributes),
            BTreeMap::from([
                ("rpc.method", method.clone()),
                ("rpc.response.status_code", "OK".to_owned()),
                ("rpc.system.name", "grpc".to_owned()),
            ])
        );
        let id = hex(&server_span.span_id);
        assert!(log.lines().any(|line| line.contains("call finished") && line.contains(trace) && line.contains(&id)));
        let parts = below(&spans, &id);
        assert_eq!(parts.keys().copied().collect::<Vec<_>>(), names, "{method}");
        for part in parts.values() {
            let within = server_span.start_time_unix_nano..=server_span.end_time_unix_nano;
            assert!(within.contains(&part.start_time_unix_nano) && within.contains(&part.end_time_unix_nano));
        }
        let credential = &attributes(&parts["authentication"].attributes)["feature.credential"];
        assert!(["verified", "remembered"].contains(&&**credential), "{credential}");
        if let Some(read) = parts.get("store read") {
            assert!(attributes(&read.attributes).contains_key("feature.queue_us"));
        }
        if let Some(commit) = parts.get("group commit") {
            let of_group = attributes(&commit.attributes);
            assert_eq!(of_group["feature.group_writes"], "1");
            revisions.push(of_group["feature.revision"].clone());
            let below_commit = below(&spans, &hex(&commit.span_id));
            assert_eq!(below_commit.keys().copied().collect::<Vec<_>>(), ["sync"]);
            assert!(below_commit["sync"].end_time_unix_nano <= commit.end_time_unix_nano);
        }
    }
    assert_eq!(revisions, ["1", "2"]);

    let requests = collector.requests();
    let resource = requests[0].resource_spans[0].resource.as_ref().expect("spans come with their resource");
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "features");
    assert!(resource.contains_key("service.version"), "{resource:?}");
    let everything = format!("{requests:?}");
    let secrets = token.split('.').chain([user, value, "in-no-trace", "demo", "IAM_OWNER"]);
    let told: Vec<_> = secrets.filter(|secret| everything.contains(secret)).collect();
    assert!(told.is_empty(), "{told:?} in {everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_decides_and_only_known_methods_become_names() {
    let (collector, url) = Collector::start().await;
    let server = tracing_to(&url, "sampler = 'parentbased_always_off'");
    let token = server.token("--role IAM_OWNER --instance demo");
    let traceparent = |trace: &str, flags: &str| format!("traceparent = 00-{trace}-{SPAN}-{flags}");
    let raw = Raw::new(&server).await;
    let request = || json!({"inheritance": true});
    let unsampled = TRACE.replace('0', "1");
    raw.call("GetInstanceFeatures", request(), &[&token]).await.expect("the call succeeds");
    raw.call("GetInstanceFeatures", request(), &[&token, &traceparent(&unsampled, "00")]).await.expect("it succeeds");
    raw.call("GetInstanceFeatures", request(), &[&traceparent(TRACE, "01")]).await.expect_err("no token");
    raw.send("NoSuchMethod", Vec::new(), &[&traceparent(TRACE, "01")]).await.expect_err("no such method");
    server.stop();

    let spans = collector.spans_of(TRACE);
    let requests = format!("{:?}", collector.requests());
    let mut calls: Vec<_> = below(&spans, SPAN).into_iter().collect();
    calls.sort_unstable_by_key(|(name, _)| *name);
    let table = calls.iter().map(|(name, span)| {
        let code = attributes(&span.attributes)["rpc.response.status_code"].clone();
        (*name, code, span.status.as_ref().is_some_and(|status| status.code == 2))
    });
    let method = format!("{SERVICE}/GetInstanceFeatures");
    let expected = [("_OTHER", "UNIMPLEMENTED".to_owned(), true), (&*method, "UNAUTHENTICATED".to_owned(), false)];
    assert_eq!(table.collect::<Vec<_>>(), expected, "{spans:#?}");
    assert!(!requests.contains("NoSuchMethod"), "{requests}");
    let all = collector.requests().into_iter().flat_map(|request| request.resource_spans);
    let all = all.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
    assert!(all.into_iter().all(|span| hex(&span.trace_id) == TRACE), "nothing else is sampled: {requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_or_a_sampled_call_nothing_is_connected() {
    let (collector, url) = Collector::start().await;
    let table = [
        // (the endpoint, the sampler)
        ("", "always_on"),
        (&*url, "always_off"),
    ];
    for (endpoint, sampler) in table {
        let server = tracing_to(endpoint, &format!("sampler = '{sampler}'"));
        let token = server.token("--role IAM_OWNER --instance demo");
        let raw = Raw::new(&server).await;
        let traceparent = format!("traceparent = 00-{TRACE}-{SPAN}-01");
        raw.call("GetInstanceFeatures", json!({"inheritance": true}), &[&token, &traceparent])
            .await
            .expect("it succeeds");
        assert_eq!(connections_to_others(&server), [""; 0], "{endpoint} {sampler}");
        server.stop();
        assert!(collector.requests().is_empty(), "{endpoint} {sampler}");
    }
}

/// The connections of a server that it has opened itself: their local port is not the one that it listens on.
fn connections_to_others(server: &Server) -> Vec<String> {
    let process = format!("/proc/{}", server.process());
    let files = fs::read_dir(format!("{process}/fd")).expect("the process is ours").flatten();
    let links =
        files.filter_map(|file| fs::read_link(file.path()).ok()).map(|link| link.to_string_lossy().into_owned());
    let links: Vec<_> = links.collect();
    let port = server.address().rsplit(':').next().expect("an address has a port").parse::<u16>().expect("a port");
    let of_listener = format!(":{port:04X}");
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("{process}/net/{name}")).unwrap_or_default());
    let rows =
        tables.iter().flat_map(|table| table.lines().skip(1)).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let own = rows.filter(|row| links.contains(&format!("socket:[{}]", row[9])));
    // 0A: the socket listens.
    own.filter(|row| row[3] != "0A" && !row[1].ends_with(&of_listener)).map(|row| row.join(" ")).collect()
}
