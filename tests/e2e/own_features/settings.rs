//! Settings: presence, inheritance, sources, and what both services see.

use serde_json::json;
use tonic::Code::{Aborted, InvalidArgument, NotFound};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::refusal;
use crate::wire::{on, tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_level_inherits_what_it_has_not_set() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner, "x-zitadel-orgid = acme"];
    let ann = |source: &str, is: bool| Ok(json!({"values": {"x": value(is, source)}}));
    let read = || inherited("users/ann", &["x"]);
    tell(
        &server,
        &[
            (iam, CREATE, define("x", boolean()), Ok(json!({"name": "instances/demo/features/x"}))),
            (iam, GET, read(), ann("DEFAULT", false)),
            (iam, UPDATE, change("", json!({"set": {"x": true}})), Ok(json!({"settings": {"etag": "\"1\""}}))),
            (iam, GET, read(), ann("INSTANCE", true)),
            (iam, UPDATE, change("organizations/acme", json!({"set": {"x": false}})), Ok(json!({}))),
            (iam, GET, read(), ann("ORGANIZATION", false)),
            (iam, UPDATE, change("users/ann", json!({"set": {"x": true}})), Ok(json!({}))),
            (iam, GET, read(), ann("USER", true)),
            // What a scope sets itself, and nothing else.
            (iam, GET, json!({"name": settings("users/ann")}), Ok(json!({"values": {"x": value(true, "USER")}}))),
            (iam, GET, json!({"name": settings("users/bob")}), Ok(json!({"values": null, "etag": "\"0\""}))),
            // Setting what is set changes nothing, and so does unsetting what is unset.
            (iam, UPDATE, change("users/ann", json!({"set": {"x": true}})), Ok(json!({"settings": {"etag": "\"1\""}}))),
            (iam, UPDATE, change("users/ann", json!({"unset": ["x"]})), Ok(json!({"settings": {"etag": "\"2\""}}))),
            (iam, UPDATE, change("users/ann", json!({"unset": ["x"]})), Ok(json!({"settings": {"etag": "\"2\""}}))),
            (iam, GET, read(), ann("ORGANIZATION", false)),
            (iam, RESET, json!({"name": settings("organizations/acme")}), Ok(json!({"settings": {"etag": "\"2\""}}))),
            (iam, GET, read(), ann("INSTANCE", true)),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_write_and_read_the_same_settings() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let paths = json!(["IMPROVED_PERFORMANCE_PROJECT", "IMPROVED_PERFORMANCE_ORG_BY_ID"]);
    let login = json!({"required": false, "base_uri": "https://login.example.com"});
    tell(
        &server,
        &[
            (iam, "SetInstanceFeatures", json!({"actions": true, "improvedPerformance": [3, 1]}), Ok(json!({}))),
            (
                iam,
                GET,
                inherited("", &["actions", "improved_performance", "user_schema", "login_v2"]),
                Ok(json!({"etag": "\"2\"", "values": {
                    "actions": value(true, "INSTANCE"),
                    "improved_performance": {"value": paths, "source": "VALUE_SOURCE_INSTANCE"},
                    "user_schema": value(false, "DEFAULT"),
                    "login_v2": value(json!({"required": false}), "DEFAULT"),
                }})),
            ),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"user_schema": true, "login_v2": login}, "unset": ["actions"]})),
                Ok(json!({"settings": {"etag": "\"5\""}})),
            ),
            (
                iam,
                "GetInstanceFeatures",
                json!({"inheritance": true}),
                Ok(json!({
                    "actions": {"source": null},
                    "userSchema": on("INSTANCE"),
                    "loginV2": {"baseUri": "https://login.example.com", "source": "SOURCE_INSTANCE"},
                    "details": {"sequence": "5"},
                })),
            ),
            (iam, CREATE, define("own", boolean()), Ok(json!({}))),
            (iam, UPDATE, change("users/ann", json!({"set": {"own": true}})), Ok(json!({}))),
            // The user has set none of the features that the typed service knows.
            (iam, "GetUserFeatures", json!({"userId": "ann"}), Err(refusal(NotFound, "NO_FEATURES_SET", &[]))),
            (iam, "ResetUserFeatures", json!({"userId": "ann"}), Ok(json!({}))),
            (iam, GET, inherited("users/ann", &["own"]), Ok(json!({"values": {"own": value(false, "DEFAULT")}}))),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"improved_performance": ["FAST"], "login_v2": {"base_uri": "login"}}})),
                Err(refusal(
                    InvalidArgument,
                    "FIELD_INVALID",
                    &["set.improved_performance[0]", "set.login_v2.base_uri"],
                )),
            ),
        ],
    )
    .await;
    server.stop();
}

/// Objects within each other.
fn nested(depth: usize) -> Json {
    (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_breaks_the_definition_is_refused_with_its_place() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let seats = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 5, "constraints": {"minimum": 1}});
    let plan = json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": "free",
        "constraints": {"allowedValues": ["free", "team"]}, "levels": ["LEVEL_INSTANCE"]});
    let hosts = json!({"valueType": "VALUE_TYPE_STRING_LIST", "defaultValue": [],
        "constraints": {"pattern": "[a-z.]+", "maxItems": 2}});
    let limits = json!({"valueType": "VALUE_TYPE_OBJECT", "defaultValue": {}, "constraints": {"jsonSchema":
        {"properties": {"cpu": {"type": "integer"}}, "additionalProperties": false}}});
    let bad = |set: Json, fields: &[&str]| {
        (iam, UPDATE, change("", json!({"set": set})), Err(refusal(InvalidArgument, "FIELD_INVALID", fields)))
    };
    let good = |set: Json| (iam, UPDATE, change("", json!({"set": set})), Ok(json!({})));
    tell(
        &server,
        &[
            (iam, CREATE, define("limits.seats", seats), Ok(json!({}))),
            (iam, CREATE, define("plan", plan), Ok(json!({}))),
            (iam, CREATE, define("hosts", hosts), Ok(json!({}))),
            (iam, CREATE, define("limits", limits), Ok(json!({}))),
            bad(json!({"limits.seats": 0}), &["set.limits.seats"]),
            bad(json!({"limits.seats": 1.5}), &["set.limits.seats"]),
            bad(json!({"limits.seats": "1"}), &["set.limits.seats"]),
            bad(json!({"limits.seats": null}), &["set.limits.seats"]),
            bad(json!({"plan": "gold", "limits.seats": -1}), &["set.limits.seats", "set.plan"]),
            bad(json!({"hosts": ["a", "B"]}), &["set.hosts[1]"]),
            bad(json!({"hosts": ["a", "b", "c"]}), &["set.hosts"]),
            bad(json!({"limits": {"cpu": "1"}}), &["set.limits.cpu"]),
            bad(json!({"limits": {"memory": 1}}), &["set.limits"]),
            bad(json!({"unknown": true}), &["set.unknown"]),
            bad(json!({"plan": "free", "PLAN": "team"}), &["set.plan"]),
            bad(json!({"hosts": ["x".repeat(33 * 1024)]}), &["set.hosts"]),
            bad(json!({"limits": nested(17)}), &["set.limits"]),
            bad((0..1001).map(|n| (format!("f{n}"), json!(true))).collect(), &["set"]),
            (
                iam,
                UPDATE,
                change("users/ann", json!({"set": {"plan": "team"}, "unset": ["unknown"]})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["set.plan", "unset[0]"])),
            ),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"plan": "team"}, "unset": ["plan"]})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["unset[0]"])),
            ),
            (iam, UPDATE, change("", json!({})), Err(refusal(InvalidArgument, "FIELD_INVALID", &["set"]))),
            // None of these has written anything.
            (iam, GET, json!({"name": settings("")}), Ok(json!({"values": null, "etag": "\"0\""}))),
            good(json!({"limits.seats": 1, "plan": "team", "hosts": ["a.b"], "limits": {"cpu": 2}})),
            (
                iam,
                GET,
                inherited("users/ann", &["limits.seats", "plan", "hosts", "limits"]),
                Ok(json!({"values": {
                    "limits.seats": value(1.0, "INSTANCE"),
                    "plan": value("team", "INSTANCE"),
                    "hosts": value(json!(["a.b"]), "INSTANCE"),
                    "limits": value(json!({"cpu": 2.0}), "INSTANCE"),
                }})),
            ),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_all_leaves_what_is_archived_and_etags_guard_against_other_writes() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let archived = json!({"name": "instances/demo/features/old"});
    tell(
        &server,
        &[
            (iam, CREATE, define("old", boolean()), Ok(json!({}))),
            (iam, CREATE, define("a", boolean()), Ok(json!({}))),
            (iam, CREATE, define("b", boolean()), Ok(json!({}))),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"old": true, "a": true, "actions": true}})),
                Ok(json!({"settings": {"etag": "\"3\""}})),
            ),
            (iam, &state("Archive"), archived.clone(), Ok(json!({"state": "STATE_ARCHIVED"}))),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"b": false}, "replaceAll": true, "etag": "\"2\""})),
                Err(refusal(Aborted, "ETAG_MISMATCH", &[])),
            ),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"b": false}, "etag": "3"})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["etag"])),
            ),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"b": false}, "replaceAll": true, "validateOnly": true})),
                Ok(json!({"settings": {"etag": "\"3\""}})),
            ),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"b": false}, "replaceAll": true, "etag": "\"3\""})),
                Ok(json!({"settings": {"etag": "\"6\""}})),
            ),
            (iam, &state("Unarchive"), archived, Ok(json!({"state": "STATE_ACTIVE"}))),
            (
                iam,
                GET,
                json!({"name": settings("")}),
                Ok(json!({"values": {
                    "a": null, "actions": null, "b": value(false, "INSTANCE"), "old": value(true, "INSTANCE"),
                }})),
            ),
        ],
    )
    .await;
    server.stop();
}
