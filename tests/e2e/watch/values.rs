//! Streams of values.

use serde_json::{Value as Json, json};
use tonic::Code::{FailedPrecondition, InvalidArgument, PermissionDenied};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};

/// The values of a message as `KEY=VALUE@SOURCE`, each with its scope if there are several, and removed keys as `-KEY`.
pub fn shown(message: &Json, event: &str) -> Vec<String> {
    let scopes = message[event]["scopes"].as_array().unwrap_or_else(|| panic!("no {event}: {message}"));
    let mut all = Vec::new();
    for scope in scopes {
        let name = text(&scope["settings"]).trim_end_matches("/settings").trim_start_matches("instances/demo/");
        for (key, value) in scope["values"].as_object().into_iter().flatten() {
            let source = text(&value["source"]).trim_start_matches("VALUE_SOURCE_");
            all.push(format!("{name} {key}={}@{source}", value["value"]));
        }
        let removed = scope["removed"].as_array().into_iter().flatten();
        all.extend(removed.map(|key| format!("{name} -{}", text(key))));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_all_values_and_tells_what_differs_whatever_level_has_changed() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let user = json!({"parent": "instances/demo", "names": ["instances/demo/users/ann/settings"],
        "features": ["actions", "own"]});
    let metadata: &[&str] = &[&owner, "x-zitadel-orgid = acme"];
    let mut stream = raw.stream(VALUES, user.clone(), metadata).await.unwrap();
    let first = stream.next().await.unwrap();
    assert_eq!(shown(&first, "snapshot"), ["users/ann actions=false@DEFAULT"]);
    assert_eq!((&first["synced"], &first["partial"]), (&json!(true), &Json::Null));
    let define = json!({"parent": "instances/demo", "featureDefinitionId": "own", "featureDefinition": {
        "valueType": "VALUE_TYPE_STRING", "defaultValue": "a"}});
    raw.call("DefinitionService/CreateFeatureDefinition", define, metadata).await.unwrap();
    assert_eq!(shown(&told(&mut stream).await, "delta"), ["users/ann own=\"a\"@DEFAULT"]);
    let flag = |flag: bool| json!({"actions": flag});
    // scope, set, unset, the next message
    let table: [(&str, Json, &[&str], &[&str]); 8] = [
        ("system", flag(true), &[], &["users/ann actions=true@SYSTEM"]),
        ("instances/demo", flag(true), &[], &["users/ann actions=true@INSTANCE"]),
        ("instances/demo/organizations/acme", json!({"own": "b"}), &[], &["users/ann own=\"b\"@ORGANIZATION"]),
        (
            "instances/demo/users/ann",
            json!({"own": "c", "actions": false}),
            &[],
            &["users/ann actions=false@USER", "users/ann own=\"c\"@USER"],
        ),
        // The user sees nothing of the next three.
        ("instances/demo", json!({"own": "hidden"}), &[], &[]),
        ("instances/demo/organizations/other", json!({"own": "x"}), &[], &[]),
        ("instances/other", json!({"actions": true}), &[], &[]),
        ("instances/demo/users/ann", json!({}), &["own"], &["users/ann own=\"b\"@ORGANIZATION"]),
    ];
    for (scope, values, unset, expected) in table {
        set(&raw, scope, values, unset, &owner).await;
        if !expected.is_empty() {
            assert_eq!(shown(&told(&mut stream).await, "delta"), expected, "{scope}");
        }
    }
    let archive = json!({"name": "instances/demo/features/own"});
    raw.call("DefinitionService/ArchiveFeatureDefinition", archive.clone(), metadata).await.unwrap();
    assert_eq!(shown(&told(&mut stream).await, "delta"), ["users/ann -own"]);
    raw.call("DefinitionService/UnarchiveFeatureDefinition", archive, metadata).await.unwrap();
    assert_eq!(shown(&told(&mut stream).await, "delta"), ["users/ann own=\"b\"@ORGANIZATION"]);
    // The state that the stream has told is what a read answers.
    let mut again = raw.stream(VALUES, user, metadata).await.unwrap();
    let values = shown(&again.next().await.unwrap(), "snapshot");
    assert_eq!(values, ["users/ann actions=false@USER", "users/ann own=\"b\"@ORGANIZATION"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_watches_many_scopes_and_a_write_elsewhere_only_moves_its_heartbeat() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let names: Vec<_> = (0..1_000).map(|number| format!("instances/demo/users/u{number:03}/settings")).collect();
    let request = json!({"names": names, "features": ["actions"], "heartbeat": "1s"});
    let mut stream = raw.stream(VALUES, request.clone(), &[&owner]).await.unwrap();
    let first = stream.next().await.unwrap();
    assert_eq!(shown(&first, "snapshot").len(), 1_000);
    set(&raw, "instances/demo/users/u007", json!({"actions": true}), &[], &owner).await;
    let delta = told(&mut stream).await;
    assert_eq!(shown(&delta, "delta"), ["users/u007 actions=true@USER"]);
    set(&raw, "instances/other", json!({"actions": true}), &[], &owner).await;
    // Without a change, the next message is a heartbeat that has seen the write.
    let mut beat = stream.next().await.unwrap();
    while revision(&beat) == revision(&delta) {
        assert!(beat["heartbeat"].is_object(), "{beat}");
        beat = stream.next().await.unwrap();
    }
    assert!(beat["heartbeat"].is_object() && revision(&beat) == 2, "{beat}");
    // All of them again, of an instance.
    set(&raw, "instances/demo", json!({"actions": true}), &[], &owner).await;
    assert_eq!(shown(&told(&mut stream).await, "delta").len(), 999);
    let one_too_many: Vec<_> = (0..=1_000).map(|number| format!("instances/demo/users/u{number}/settings")).collect();
    let refused = raw.stream(VALUES, json!({"names": one_too_many}), &[&owner]).await;
    assert_eq!(refused.err(), Some(refusal(InvalidArgument, "FIELD_INVALID", &["names"])));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_continued_by_its_token() {
    let mut server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let mut raw = Raw::new(&server).await;
    set(&raw, "instances/demo", json!({"actions": true}), &[], &owner).await;
    let request =
        |token: &str| json!({"names": ["instances/current/settings"], "features": ["actions"], "resumeToken": token});
    let mut stream = raw.stream(VALUES, request(""), &[&owner]).await.unwrap();
    let first = stream.next().await.unwrap();
    let token = text(&first["resumeToken"]).to_owned();
    {
        let mut stream = raw.stream(VALUES, request(&token), &[&owner]).await.unwrap();
        let first = stream.next().await.unwrap();
        assert!(first["heartbeat"].is_object() && first["synced"] == json!(true), "{first}");
        set(&raw, "instances/demo", json!({"actions": false}), &[], &owner).await;
        assert_eq!(shown(&told(&mut stream).await, "delta").len(), 1);
        set(&raw, "instances/demo", json!({"actions": true}), &[], &owner).await;
        // The value is as before, but another change has set it.
        let delta = told(&mut stream).await;
        assert_eq!(shown(&delta, "delta"), ["instances/demo actions=true@INSTANCE"]);
        let resumed = raw.stream(VALUES, request(&token), &[&owner]).await.unwrap().next().await.unwrap();
        assert_eq!(shown(&resumed, "snapshot"), ["instances/demo actions=true@INSTANCE"]);
        let newer = text(&delta["resumeToken"]).to_owned();
        server = server.kill().serve();
        raw = Raw::new(&server).await;
        let resumed = raw.stream(VALUES, request(&newer), &[&owner]).await.unwrap().next().await.unwrap();
        assert!(resumed["heartbeat"].is_object(), "{resumed}");
    }
    let field = |name: &'static str| refusal(InvalidArgument, "FIELD_INVALID", &[name]);
    let other_request = json!({"names": ["instances/current/settings"], "resumeToken": token});
    for (request, expected) in [
        (request("x"), field("resume_token")),
        (other_request, field("resume_token")),
        (json!({}), field("names")),
        (json!({"names": ["demo"]}), field("names[0]")),
        (json!({"names": ["instances/current/settings"], "heartbeat": "0.5s"}), field("heartbeat")),
        (json!({"names": ["instances/current/settings"], "heartbeat": "61s"}), field("heartbeat")),
    ] {
        assert_eq!(raw.stream(VALUES, request.clone(), &[&owner]).await.err(), Some(expected), "{request}");
    }
    // A token of another store, and one of a future.
    let other = Server::new();
    let foreign = Raw::new(&other).await;
    let of_other = other.token("--role IAM_OWNER --instance demo");
    let refused = foreign.stream(VALUES, request(&token), &[&of_other]).await.err();
    assert_eq!(refused, Some(refusal(FailedPrecondition, "STORE_CHANGED", &[])));
    other.stop();
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_what_its_caller_may_read() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let ann = server.token("--instance demo --user ann --organization acme");
    let watch = |name: &str| json!({"names": [name], "features": ["actions"]});
    let denied = |permission: &'static str| Some(refusal(PermissionDenied, "PERMISSION_MISSING", &[permission]));
    let table = [
        ("instances/demo/users/ann/settings", None),
        ("instances/demo/organizations/acme/settings", None),
        ("instances/demo/settings", None),
        ("instances/demo/users/bob/settings", denied("user.feature.read")),
        ("instances/demo/organizations/other/settings", denied("org.feature.read")),
        ("instances/other/settings", denied("authenticated")),
    ];
    for (name, expected) in table {
        assert_eq!(raw.stream(VALUES, watch(name), &[&ann]).await.err(), expected, "{name}");
    }
    let mixed = json!({"names": ["instances/demo/users/ann/settings", "instances/demo/users/bob/settings"]});
    assert_eq!(raw.stream(VALUES, mixed, &[&ann]).await.err(), denied("user.feature.read"));
    // What is for servers only is hidden.
    let owner = server.token("--role IAM_OWNER --instance demo");
    let secret = json!({"parent": "instances/demo", "featureDefinitionId": "secret", "featureDefinition": {
        "valueType": "VALUE_TYPE_BOOLEAN", "defaultValue": true}});
    raw.call("DefinitionService/CreateFeatureDefinition", secret, &[&owner]).await.unwrap();
    let request = json!({"names": ["instances/demo/users/ann/settings"]});
    for (token, shows) in [(&ann, false), (&owner, true)] {
        let first = raw.stream(VALUES, request.clone(), &[token]).await.unwrap().next().await.unwrap();
        let values = shown(&first, "snapshot");
        assert_eq!(values.iter().any(|value| value.contains("secret")), shows, "{values:?}");
    }
    server.stop();
}
