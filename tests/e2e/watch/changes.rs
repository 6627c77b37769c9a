//! Streams of changes.

use serde_json::{Value as Json, json};
use tonic::Code::{FailedPrecondition, InvalidArgument, PermissionDenied};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{JsonStream, Raw, refusal};

/// The revisions of so many changes.
async fn revisions(stream: &mut JsonStream, count: usize) -> Vec<u64> {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        let message = told(stream).await;
        let changes = message["changes"]["changes"].as_array().unwrap_or_else(|| panic!("no changes: {message}"));
        revisions.extend(changes.iter().map(revision));
        assert!(Some(&revision(&message)) >= revisions.last(), "{message}");
    }
    revisions
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_once_and_in_order_from_wherever_the_stream_begins() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    for number in 0..250 {
        let scope = ["instances/demo", "instances/other"][number % 2];
        set(&raw, scope, json!({"actions": number % 4 < 2}), &[], &owner).await;
    }
    let stream = async |request: Json| raw.stream(CHANGES, request, &[&owner]).await.unwrap();
    let mut all = stream(json!({"afterRevision": "0"})).await;
    assert_eq!(revisions(&mut all, 250).await, (1..=250).collect::<Vec<_>>());
    let mut demo = stream(json!({"parent": "instances/demo", "afterRevision": "200"})).await;
    assert_eq!(revisions(&mut demo, 25).await, (201..=249).step_by(2).collect::<Vec<_>>());
    let mut new = stream(json!({"filter": "feature:actions AND level = LEVEL_INSTANCE"})).await;
    // The first message comes at once, also without a change.
    let first = new.next().await.unwrap();
    assert!(first["heartbeat"].is_object() && revision(&first) == 250, "{first}");
    set(&raw, "instances/demo/users/ann", json!({"actions": true}), &[], &owner).await;
    set(&raw, "instances/demo", json!({"user_schema": true}), &[], &owner).await;
    set(&raw, "instances/other", json!({"actions": false}), &[], &owner).await;
    assert_eq!(revisions(&mut new, 1).await, [253]);
    assert_eq!(revisions(&mut all, 3).await, [251, 252, 253]);
    assert_eq!(revisions(&mut demo, 2).await, [251, 252]);
    let told = stream(json!({"afterRevision": "252"})).await.next().await.unwrap();
    let change = &told["changes"]["changes"][0];
    assert_eq!((text(&change["resource"]), text(&change["actor"])), ("instances/other/settings", "operator"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_without_a_gap_through_kills_and_restarts() {
    let mut server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let mut raw = Raw::new(&server).await;
    let (mut token, mut seen) = (String::new(), Vec::new());
    for round in 0..6 {
        let mut request = json!({"parent": "instances/demo", "resumeToken": token});
        if token.is_empty() {
            request = json!({"parent": "instances/demo", "afterRevision": "0"});
        }
        let mut stream = raw.stream(CHANGES, request, &[&owner]).await.unwrap();
        for number in 0..5 {
            set(&raw, "instances/demo", json!({"actions": (round + number) % 2 == 0}), &[], &owner).await;
        }
        // The stream is cut off after some of them.
        let wanted = seen.len() + 1 + round % 4;
        while seen.len() < wanted {
            let message = told(&mut stream).await;
            seen.extend(message["changes"]["changes"].as_array().unwrap().iter().map(revision));
            token = text(&message["resumeToken"]).to_owned();
        }
        server = if round % 2 == 0 { server.kill().serve() } else { server.stop().serve() };
        raw = Raw::new(&server).await;
    }
    let request = json!({"parent": "instances/demo", "pageSize": 1});
    let newest = raw.call("HistoryService/ListChanges", request, &[&owner]).await.unwrap();
    let newest = revision(&newest["changes"][0]);
    let mut stream =
        raw.stream(CHANGES, json!({"parent": "instances/demo", "resumeToken": token}), &[&owner]).await.unwrap();
    while seen.last() != Some(&newest) {
        let message = told(&mut stream).await;
        seen.extend(message["changes"]["changes"].as_array().unwrap().iter().map(revision));
    }
    assert_eq!(seen, (1..=newest).collect::<Vec<_>>());
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_start_has_a_clear_code_and_nothing_shows_of_another_instance() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::new(&server).await;
    set(&raw, "instances/demo", json!({"actions": true}), &[], &owner).await;
    let parent = "instances/demo";
    let first = raw.stream(CHANGES, json!({"parent": parent}), &[&owner]).await.unwrap().next().await.unwrap();
    let token = text(&first["resumeToken"]);
    let field = |name: &'static str| refusal(InvalidArgument, "FIELD_INVALID", &[name]);
    let denied = || refusal(PermissionDenied, "PERMISSION_MISSING", &["feature.history.read"]);
    for (request, expected) in [
        (json!({"parent": parent, "resumeToken": "x"}), field("resume_token")),
        (json!({"parent": parent, "resumeToken": token, "filter": "actor = x"}), field("resume_token")),
        (json!({"parent": parent, "filter": "actor ="}), field("filter")),
        (json!({"parent": "x"}), field("parent")),
        (json!({"parent": parent, "heartbeat": "100s"}), field("heartbeat")),
        (json!({"parent": parent, "afterRevision": "9"}), refusal(FailedPrecondition, "REVISION_UNKNOWN", &[])),
        (json!({"parent": "instances/other"}), denied()),
        (json!({}), denied()),
    ] {
        assert_eq!(raw.stream(CHANGES, request.clone(), &[&owner]).await.err(), Some(expected), "{request}");
    }
    let login = server.token("--role IAM_LOGIN_CLIENT --instance demo");
    assert_eq!(raw.stream(CHANGES, json!({"parent": parent}), &[&login]).await.err(), Some(denied()));
    server.stop();
}
