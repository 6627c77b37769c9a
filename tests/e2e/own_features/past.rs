//! What was once: reads at a revision and at a time, and reverts.

use serde_json::json;
use tonic::Code::{Aborted, FailedPrecondition, InvalidArgument, PermissionDenied};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};
use crate::wire::tell;

const REVERT: &str = "SettingsService/RevertSettings";
const CHANGES: &str = "HistoryService/ListChanges";

fn revert_definition(fields: Json) -> Json {
    let mut request = fields;
    request["name"] = "instances/current/features/seats".into();
    request
}

fn at(mut request: Json, revision: u64) -> Json {
    request["at"] = json!({"revision": revision});
    request
}

/// Revisions: 1 defines `seats`, 2 sets it for the instance, 3 for acme, 4 allows organizations to set it no longer,
/// 5 changes the default, 6 resets the instance, 7 archives the feature.
async fn story(raw: &Raw, iam: &[&str]) {
    let seats = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 1, "displayName": "Seats"});
    raw.call(CREATE, define("seats", seats), iam).await.expect("the call succeeds");
    raw.call(UPDATE, change("", json!({"set": {"seats": 5}})), iam).await.expect("the call succeeds");
    raw.call(UPDATE, change("organizations/acme", json!({"set": {"seats": 7}})), iam).await.expect("the call succeeds");
    let update = |fields: Json, mask: &str| {
        let mut definition = fields;
        definition["name"] = "instances/current/features/seats".into();
        json!({"featureDefinition": definition, "updateMask": mask})
    };
    raw.call(UPDATE_DEFINITION, update(json!({"levels": ["LEVEL_INSTANCE"]}), "levels"), iam)
        .await
        .expect("the call succeeds");
    raw.call(UPDATE_DEFINITION, update(json!({"defaultValue": 2}), "defaultValue"), iam)
        .await
        .expect("the call succeeds");
    raw.call(RESET, json!({"name": settings("")}), iam).await.expect("the call succeeds");
    raw.call(&state("Archive"), revert_definition(json!({})), iam).await.expect("the call succeeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_show_what_was_at_a_revision_and_at_a_time() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    story(&raw, iam).await;
    let acme = || inherited("organizations/acme", &["seats"]);
    let shows = |number: f64, source: &str| Ok(json!({"values": {"seats": value(number, source)}}));
    let unknown = || Err(refusal(tonic::Code::NotFound, "FEATURE_UNKNOWN", &[]));
    tell(
        &server,
        &[
            (iam, GET, at(acme(), 0), unknown()),
            (iam, GET, at(acme(), 1), shows(1.0, "DEFAULT")),
            (iam, GET, at(acme(), 2), shows(5.0, "INSTANCE")),
            (iam, GET, at(acme(), 3), shows(7.0, "ORGANIZATION")),
            (iam, GET, at(acme(), 4), shows(5.0, "INSTANCE")),
            (iam, GET, at(acme(), 6), shows(2.0, "DEFAULT")),
            (iam, GET, acme(), Err(refusal(tonic::Code::NotFound, "FEATURE_ARCHIVED", &[]))),
            (iam, GET, at(inherited("", &[]), 2), Ok(json!({"etag": "\"1\"", "values": {"seats": value(5.0, "INSTANCE")}}))),
            (iam, GET, at(inherited("", &[]), 1), Ok(json!({"etag": "\"0\"", "updateTime": null}))),
            (
                iam,
                BATCH_GET,
                at(json!({"names": [settings(""), settings("organizations/acme")]}), 3),
                Ok(json!({"settings": [
                    {"values": {"seats": value(5.0, "INSTANCE")}},
                    {"values": {"seats": value(7.0, "ORGANIZATION")}},
                ]})),
            ),
            (
                iam,
                EXPLAIN,
                at(json!({"name": settings("organizations/acme"), "feature": "seats"}), 4),
                Ok(json!({"result": value(5.0, "INSTANCE"), "levels": [
                    {"outcome": "OUTCOME_NOT_ALLOWED", "lastChange": {"revision": "3"}},
                    {"outcome": "OUTCOME_WINS", "lastChange": {"revision": "2"}},
                ]})),
            ),
            (
                iam,
                GET_DEFINITION,
                at(revert_definition(json!({})), 4),
                Ok(json!({"defaultValue": 1.0, "levels": ["LEVEL_INSTANCE"], "state": "STATE_ACTIVE", "etag": "\"5\""})),
            ),
            (
                iam,
                LIST,
                at(json!({"parent": "instances/demo"}), 3),
                Ok(json!({"featureDefinitions": [{"displayName": "Seats", "levels": null}]})),
            ),
            (iam, LIST, at(json!({"parent": "instances/demo"}), 0), Ok(json!({"featureDefinitions": null}))),
            (
                iam,
                SCOPES,
                at(json!({"parent": "instances/demo"}), 5),
                Ok(json!({"scopes": [{"settings": "instances/demo/settings"},
                    {"settings": "instances/demo/organizations/acme/settings"}]})),
            ),
            (
                iam,
                OVERRIDES,
                at(json!({"parent": "instances/demo/features/seats"}), 2),
                Ok(json!({"overrides": [{"settings": "instances/demo/settings", "value": 5.0, "counts": true}]})),
            ),
            // What is refused.
            (iam, GET, at(acme(), 8), Err(refusal(FailedPrecondition, "REVISION_UNKNOWN", &[]))),
            (iam, LIST, at(json!({"parent": "instances/demo"}), 8), Err(refusal(FailedPrecondition, "REVISION_UNKNOWN", &[]))),
            (iam, GET, json!({"name": settings(""), "at": {}}), Err(refusal(InvalidArgument, "FIELD_INVALID", &["at"]))),
        ],
    )
    .await;
    // A time stands for the last change up to it.
    let page = raw.call(CHANGES, json!({"parent": "instances/demo"}), iam).await.unwrap();
    let times: Vec<_> = page["changes"].as_array().unwrap().iter().rev().map(|it| it["createTime"].clone()).collect();
    for (time, expected) in [(&times[2], "7.0"), (&times[1], "5.0"), (&times[0], "1.0")] {
        let mut request = acme();
        request["at"] = json!({"time": time});
        let read = raw.call(GET, request, iam).await.unwrap();
        assert_eq!(read["values"]["seats"]["value"].to_string(), expected, "{time}");
    }
    let mut request = acme();
    request["at"] = json!({"time": "2020-01-01T00:00:00Z"});
    assert_eq!(raw.call(GET, request, iam).await.unwrap_err(), unknown().unwrap_err());
    // The past is for those who may read the history.
    let login = server.token("--role IAM_LOGIN_CLIENT --instance demo");
    let denied = refusal(PermissionDenied, "PERMISSION_MISSING", &["feature.history.read"]);
    for (method, request) in [
        (GET, at(acme(), 3)),
        (BATCH_GET, at(json!({"names": [settings("")]}), 3)),
        (EXPLAIN, at(json!({"name": settings(""), "feature": "seats"}), 3)),
        (SCOPES, at(json!({"parent": "instances/demo"}), 3)),
        (OVERRIDES, at(json!({"parent": "instances/demo/features/seats"}), 3)),
        (LIST, at(json!({"parent": "instances/demo"}), 3)),
        (GET_DEFINITION, at(revert_definition(json!({})), 3)),
    ] {
        assert_eq!(raw.call(method, request, &[&login]).await.unwrap_err(), denied, "{method}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_become_what_they_were_and_one_change_is_taken_back() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    for key in ["a", "b", "c"] {
        raw.call(CREATE, define(key, boolean()), iam).await.unwrap();
    }
    // 4 and 5 and 6 change the instance.
    raw.call(UPDATE, change("", json!({"set": {"a": true, "b": true}})), iam).await.unwrap();
    raw.call(UPDATE, change("", json!({"set": {"a": false, "c": true}, "unset": ["b"]})), iam).await.unwrap();
    raw.call(UPDATE, change("", json!({"set": {"b": false}})), iam).await.unwrap();
    let revert = |fields: Json| change("", fields);
    let set = |values: Json| Ok(json!({"values": values}));
    let own = || json!({"name": settings("")});
    let only = |flag: bool| value(flag, "INSTANCE");
    let etag = |sequence: u64| Ok(json!({"settings": {"etag": format!("\"{sequence}\"")}}));
    tell(
        &server,
        &[
            // 5 has set a and c, and unset b, which 6 has set since.
            (iam, REVERT, revert(json!({"undo": "changes/5"})), Err(refusal(Aborted, "CHANGE_OVERWRITTEN", &[]))),
            (iam, REVERT, revert(json!({"undo": "changes/5", "validateOnly": true, "features": ["c"]})), etag(6)),
            (iam, REVERT, revert(json!({"undo": "changes/6"})), etag(7)),
            (iam, GET, own(), set(json!({"a": only(false), "b": null, "c": only(true)}))),
            // Taking the taking back back.
            (iam, REVERT, revert(json!({"undo": "changes/7"})), etag(8)),
            (iam, GET, own(), set(json!({"a": only(false), "b": only(false), "c": only(true)}))),
            (iam, REVERT, revert(json!({"revision": 4, "features": ["A"]})), etag(9)),
            (iam, GET, own(), set(json!({"a": only(true), "b": only(false), "c": only(true)}))),
            (iam, REVERT, revert(json!({"revision": 4, "validateOnly": true})), etag(9)),
            (iam, REVERT, revert(json!({"revision": 4, "comment": "as it was"})), etag(11)),
            (iam, GET, own(), set(json!({"a": only(true), "b": only(true), "c": null}))),
            // Nothing to do makes no change.
            (iam, REVERT, revert(json!({"revision": 4})), etag(11)),
            (iam, REVERT, revert(json!({"revision": 0})), etag(13)),
            (iam, GET, own(), Ok(json!({"values": null}))),
            // What is refused.
            (iam, REVERT, revert(json!({})), Err(refusal(InvalidArgument, "FIELD_INVALID", &["to"]))),
            (iam, REVERT, revert(json!({"revision": 99})), Err(refusal(FailedPrecondition, "REVISION_UNKNOWN", &[]))),
            (
                iam,
                REVERT,
                revert(json!({"undo": "changes/1"})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["undo"])),
            ),
            (iam, REVERT, revert(json!({"undo": "5"})), Err(refusal(InvalidArgument, "FIELD_INVALID", &["undo"]))),
            (
                iam,
                REVERT,
                revert(json!({"revision": 4, "features": ["gone"]})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["features[0]"])),
            ),
            (iam, REVERT, revert(json!({"revision": 4, "etag": "\"1\""})), Err(refusal(Aborted, "ETAG_MISMATCH", &[]))),
            // A feature that is not in use any more.
            (iam, &state("Archive"), json!({"name": "instances/current/features/b"}), Ok(json!({}))),
            (iam, REVERT, revert(json!({"revision": 4})), Err(refusal(FailedPrecondition, "FEATURE_ARCHIVED", &[]))),
            (iam, REVERT, revert(json!({"revision": 4, "features": ["a"]})), etag(14)),
        ],
    )
    .await;
    let newest = raw.call(CHANGES, json!({"parent": "instances/demo", "filter": "comment:*"}), iam).await.unwrap();
    assert_eq!(newest["changes"][0]["comment"], "as it was");
    let manager = server.token("--role IAM_ORG_MANAGER --instance demo");
    let acme = json!({"name": settings("organizations/acme"), "revision": 1});
    let denied = refusal(PermissionDenied, "PERMISSION_MISSING", &["feature.history.read"]);
    assert_eq!(raw.call(REVERT, acme, &[&manager]).await.unwrap_err(), denied);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_becomes_what_it_was_its_state_too() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    story(&raw, iam).await;
    let revert = "DefinitionService/RevertFeatureDefinition";
    let to = |revision: u64| revert_definition(json!({"revision": revision}));
    let undo = |name: &str| revert_definition(json!({"undo": name}));
    tell(
        &server,
        &[
            (
                iam,
                revert,
                undo("changes/4"),
                Ok(json!({"state": "STATE_ARCHIVED", "levels": null, "defaultValue": 2.0})),
            ),
            (iam, revert, undo("changes/7"), Ok(json!({"state": "STATE_ACTIVE", "levels": null}))),
            (iam, revert, undo("changes/9"), Ok(json!({"state": "STATE_ARCHIVED"}))),
            (
                iam,
                GET,
                inherited("organizations/acme", &["seats"]),
                Err(refusal(tonic::Code::NotFound, "FEATURE_ARCHIVED", &[])),
            ),
            (
                iam,
                revert,
                to(4),
                Ok(json!({"state": "STATE_ACTIVE", "levels": ["LEVEL_INSTANCE"], "defaultValue": 1.0})),
            ),
            (
                iam,
                GET,
                inherited("organizations/acme", &["seats"]),
                Ok(json!({"values": {"seats": value(1.0, "DEFAULT")}})),
            ),
            (iam, revert, to(1), Ok(json!({"levels": null, "defaultValue": 1.0}))),
            (
                iam,
                GET,
                inherited("organizations/acme", &["seats"]),
                Ok(json!({"values": {"seats": value(7.0, "ORGANIZATION")}})),
            ),
            (iam, revert, undo("changes/1"), Err(refusal(Aborted, "CHANGE_OVERWRITTEN", &[]))),
            (iam, revert, to(0), Err(refusal(InvalidArgument, "FIELD_INVALID", &["revision"]))),
            (iam, revert, undo("changes/2"), Err(refusal(InvalidArgument, "FIELD_INVALID", &["undo"]))),
            (iam, revert, revert_definition(json!({})), Err(refusal(InvalidArgument, "FIELD_INVALID", &["to"]))),
        ],
    )
    .await;
    // Constraints that were looser meanwhile are tight again: values are checked.
    let update = json!({"featureDefinition": {"name": "instances/current/features/seats",
        "constraints": {"maximum": 8}}, "updateMask": "constraints"});
    raw.call(UPDATE_DEFINITION, update, iam).await.unwrap();
    let tight = raw.call(CHANGES, json!({"parent": "instances/demo", "pageSize": 1}), iam).await.unwrap();
    let tight: u64 = tight["changes"][0]["revision"].as_str().unwrap().parse().unwrap();
    raw.call(revert, to(1), iam).await.unwrap();
    raw.call(UPDATE, change("organizations/acme", json!({"set": {"seats": 9}})), iam).await.unwrap();
    let violations = |violations: &str| revert_definition(json!({"revision": tight, "violations": violations}));
    tell(
        &server,
        &[
            (iam, revert, to(tight), Err(refusal(FailedPrecondition, "VALUES_VIOLATE", &[]))),
            (iam, revert, violations("VIOLATIONS_KEEP"), Ok(json!({"constraints": {"maximum": 8.0}}))),
            (
                iam,
                GET,
                inherited("organizations/acme", &["seats"]),
                Ok(json!({"values": {"seats": value(1.0, "DEFAULT")}})),
            ),
        ],
    )
    .await;
    server.stop();
}
