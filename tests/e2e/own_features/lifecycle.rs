//! The end of a feature, and changes that its values have to follow: deletion, removal of values, tighter constraints,
//! quotas.

use serde_json::json;
use tonic::Code::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound};

use super::*;
use crate::support::PATIENCE;
use crate::support::harness::{Folder, Server};
use crate::support::raw::{Raw, refusal};
use crate::wire::{Row, tell};

const X: &str = "instances/demo/features/x";

/// A server that keeps the values of deleted features for no time.
const AT_ONCE: &str = "[own_features]\nkeep_deleted_days = 0\n";

fn named(name: &str) -> Json {
    json!({"name": name})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_feature_comes_back_with_its_values_until_it_expires() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let failed = |reason: &'static str| Err(refusal(FailedPrecondition, reason, &[]));
    let [archive, unarchive, delete, undelete] = ["Archive", "Unarchive", "Delete", "Undelete"].map(state);
    let rows: &[Row<'_>] = &[
        (iam, CREATE, define("x", boolean()), Ok(json!({}))),
        (iam, UPDATE, change("users/ann", json!({"set": {"x": true}})), Ok(json!({}))),
        (iam, &delete, named(X), failed("FEATURE_NOT_ARCHIVED")),
        (iam, &archive, named(X), Ok(json!({"state": "STATE_ARCHIVED", "deleteTime": null}))),
        (iam, &delete, json!({"name": X, "etag": "\"1\""}), Err(refusal(tonic::Code::Aborted, "ETAG_MISMATCH", &[]))),
        (iam, &delete, json!({"name": X, "validateOnly": true}), Ok(json!({"state": "STATE_DELETED"}))),
        (iam, GET_DEFINITION, named(X), Ok(json!({"state": "STATE_ARCHIVED"}))),
        (iam, &delete, json!({"name": X, "comment": "out of use"}), Ok(json!({"state": "STATE_DELETED"}))),
        (iam, &delete, named(X), Ok(json!({"state": "STATE_DELETED"}))),
        (iam, GET_DEFINITION, named(X), Ok(json!({"state": "STATE_DELETED", "defaultValue": false}))),
        (iam, LIST, json!({"parent": "instances/demo"}), Ok(json!({"featureDefinitions": null}))),
        (iam, GET, inherited("users/ann", &["x"]), Err(refusal(NotFound, "FEATURE_ARCHIVED", &[]))),
        (iam, GET, inherited("users/ann", &[]), Ok(json!({"values": {"x": null}}))),
        (iam, UPDATE, change("", json!({"set": {"x": true}})), failed("FEATURE_ARCHIVED")),
        (iam, &archive, named(X), failed("FEATURE_DELETED")),
        (iam, &unarchive, named(X), failed("FEATURE_DELETED")),
        (iam, &state("Deprecate"), named(X), failed("FEATURE_DELETED")),
        (iam, UPDATE_DEFINITION, json!({"featureDefinition": {"name": X, "owner": "a"}}), failed("FEATURE_DELETED")),
        (iam, CREATE, define("X", boolean()), Err(refusal(AlreadyExists, "FEATURE_EXISTS", &[]))),
        (iam, &undelete, named(X), Ok(json!({"state": "STATE_ARCHIVED", "deleteTime": null, "expireTime": null}))),
        (iam, &undelete, named(X), Ok(json!({"state": "STATE_ARCHIVED"}))),
        (iam, &unarchive, named(X), Ok(json!({"state": "STATE_ACTIVE"}))),
        (iam, GET, inherited("users/ann", &["x"]), Ok(json!({"values": {"x": value(true, "USER")}}))),
        (iam, &archive, named(X), Ok(json!({}))),
        (iam, &delete, named(X), Ok(json!({}))),
    ];
    tell(&server, rows).await;
    let raw = Raw::new(&server).await;
    let deleted = raw.call(LIST, json!({"parent": "instances/demo", "filter": "state = STATE_DELETED"}), iam).await;
    let deleted = deleted.unwrap()["featureDefinitions"][0].clone();
    let time = |field: &str| deleted[field].as_str().unwrap().parse::<prost_types::Timestamp>().unwrap();
    assert_eq!(time("expireTime").seconds - time("deleteTime").seconds, 30 * 24 * 3_600);
    server.stop();
}

/// Waits until the values of a deleted feature are removed.
async fn wait_until_removed(raw: &Raw, iam: &[&str], feature: &str) {
    wait_until(raw, iam, feature, |definition| definition.is_none_or(|it| it["expireTime"].is_null())).await;
}

/// Waits until there is nothing under a key any more.
async fn wait_until_gone(raw: &Raw, iam: &[&str], feature: &str) {
    wait_until(raw, iam, feature, |definition| definition.is_none()).await;
}

async fn wait_until(raw: &Raw, iam: &[&str], feature: &str, holds: impl Fn(Option<&Json>) -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !holds(raw.call(GET_DEFINITION, named(feature), iam).await.ok().as_ref()) {
        assert!(std::time::Instant::now() < end, "the values of {feature} are not removed");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_removed_when_a_deleted_feature_expires_and_the_key_stays_reserved_unless_it_may_be_used_again() {
    let mut server = Folder::new(AT_ONCE).serve();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let mut raw = Raw::new(&server).await;
    for key in ["x", "y", "z"] {
        raw.call(CREATE, define(key, boolean()), iam).await.unwrap();
    }
    for hundred in 0..6 {
        let user =
            |number| change(&format!("users/u{}", 100 * hundred + number), json!({"set": {"x": true, "y": true}}));
        let requests: Vec<_> = (0..100).map(user).collect();
        raw.call(BATCH_UPDATE, json!({"requests": requests}), iam).await.unwrap();
    }
    raw.call(UPDATE, change("", json!({"set": {"x": true, "y": true, "z": true}})), iam).await.unwrap();
    // Now the values are on the disk, and what removes them is not there at once.
    server = server.stop().serve();
    raw = Raw::new(&server).await;
    for (key, allow_reuse) in [("x", false), ("y", true)] {
        let name = format!("instances/demo/features/{key}");
        raw.call(&state("Archive"), named(&name), iam).await.unwrap();
        raw.call(&state("Delete"), json!({"name": name, "allowReuse": allow_reuse}), iam).await.unwrap();
        wait_until_removed(&raw, iam, &name).await;
    }
    let scopes = raw.call(SCOPES, json!({"parent": "instances/demo"}), iam).await.unwrap();
    assert_eq!(scopes["scopes"].as_array().unwrap().len(), 1, "only the instance still sets something: {scopes}");
    assert_eq!(scopes["scopes"][0]["features"], json!(["z"]));
    for _ in 0..2 {
        let rows: &[Row<'_>] = &[
            (iam, GET_DEFINITION, named(X), Ok(json!({"state": "STATE_DELETED", "expireTime": null}))),
            (iam, &state("Undelete"), named(X), Err(refusal(FailedPrecondition, "FEATURE_EXPIRED", &[]))),
            (iam, CREATE, define("x", boolean()), Err(refusal(AlreadyExists, "FEATURE_EXISTS", &[]))),
            (iam, GET_DEFINITION, named("instances/demo/features/y"), Err(refusal(NotFound, "FEATURE_UNKNOWN", &[]))),
        ];
        tell(&server, rows).await;
        server = server.kill().serve();
    }
    raw = Raw::new(&server).await;
    let number = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 7});
    raw.call(CREATE, define("Y", number), iam).await.unwrap();
    let settings = raw.call(GET, inherited("users/u1", &["y"]), iam).await.unwrap();
    assert_eq!(settings["values"]["Y"], value(7.0, "DEFAULT"));
    // The key of the other one is free when it is deleted once more, with reuse.
    raw.call(&state("Delete"), json!({"name": X, "allowReuse": true}), iam).await.unwrap();
    wait_until_gone(&raw, iam, X).await;
    raw.call(CREATE, define("x", boolean()), iam).await.unwrap();
    server.stop();
}

/// A wrapper that puts the clock of a process ahead.
fn a_month_later() -> [String; 4] {
    let libraries = std::fs::read_dir("/usr/lib").expect("a system has libraries");
    let mut libraries =
        libraries.map(|folder| folder.expect("the folder can be read").path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|path| path.is_file()).expect("Debian's faketime is installed");
    let variables = [&format!("LD_PRELOAD={}", library.display()), "FAKETIME=+31d", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    let [library, time, monotonic] = variables.map(str::to_owned);
    ["env".to_owned(), library, time, monotonic]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_while_the_server_was_down_is_removed_at_its_start() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let rows: &[Row<'_>] = &[
        (iam, CREATE, define("x", boolean()), Ok(json!({}))),
        (iam, UPDATE, change("users/ann", json!({"set": {"x": true, "actions": true}})), Ok(json!({}))),
        (iam, &state("Archive"), named(X), Ok(json!({}))),
        (iam, &state("Delete"), named(X), Ok(json!({}))),
        (
            iam,
            OVERRIDES,
            json!({"parent": X}),
            Ok(json!({"overrides": [{"settings": "instances/demo/users/ann/settings"}]})),
        ),
    ];
    tell(&server, rows).await;
    let folder = server.stop();
    let later = a_month_later();
    let later: Vec<_> = later.iter().map(String::as_str).collect();
    let server = folder.serve_by(&later);
    let owner = String::from_utf8(folder.run_by(&later, "token --role IAM_OWNER --instance demo").stdout).unwrap();
    let iam: &[&str] = &[owner.trim_end()];
    let raw = Raw::new(&server).await;
    // Whether its values are removed by now or not, the time is over.
    let undeleted = raw.call(&state("Undelete"), named(X), iam).await;
    assert_eq!(undeleted.unwrap_err(), refusal(FailedPrecondition, "FEATURE_EXPIRED", &[]));
    wait_until_removed(&raw, iam, X).await;
    let rows: &[Row<'_>] = &[
        (iam, OVERRIDES, json!({"parent": X}), Ok(json!({"overrides": null}))),
        (iam, GET, inherited("users/ann", &["actions"]), Ok(json!({"values": {"actions": value(true, "USER")}}))),
    ];
    tell(&server, rows).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn tighter_constraints_say_what_happens_to_values_that_break_them() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let seats = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 5, "visibility": "VISIBILITY_CLIENT"});
    let name = "instances/demo/features/seats";
    let minimum = |minimum: i32, violations: &str| {
        json!({"featureDefinition": {"name": name, "constraints": {"minimum": minimum}}, "updateMask": "constraints",
            "violations": format!("VIOLATIONS_{violations}")})
    };
    let violate = || Err(refusal(FailedPrecondition, "VALUES_VIOLATE", &[]));
    let seats_of = |of: &str| inherited(of, &["seats"]);
    let is = |number: f64, source: &str| Ok(json!({"values": {"seats": value(number, source)}}));
    let explained = |outcome: &str| Ok(json!({"levels": [{"outcome": format!("OUTCOME_{outcome}")}, {}]}));
    let ann = || json!({"name": settings("users/ann"), "feature": "seats"});
    let mut only_validated = minimum(2, "UNSPECIFIED");
    only_validated["validateOnly"] = true.into();
    let rows: &[Row<'_>] = &[
        (iam, CREATE, define("seats", seats), Ok(json!({}))),
        (iam, UPDATE_DEFINITION, minimum(0, "UNSPECIFIED"), Ok(json!({"constraints": {"minimum": 0.0}}))),
        (iam, UPDATE, change("", json!({"set": {"seats": 3}})), Ok(json!({}))),
        (iam, UPDATE, change("users/ann", json!({"set": {"seats": 1}})), Ok(json!({}))),
        (iam, UPDATE, change("users/bob", json!({"set": {"seats": 9}})), Ok(json!({}))),
        (iam, UPDATE_DEFINITION, minimum(1, "UNSPECIFIED"), Ok(json!({"constraints": {"minimum": 1.0}}))),
        (iam, UPDATE_DEFINITION, only_validated, violate()),
        (iam, UPDATE_DEFINITION, minimum(2, "REFUSE"), violate()),
        (iam, GET, seats_of("users/ann"), is(1.0, "USER")),
        // Kept, and left out of account.
        (iam, UPDATE_DEFINITION, minimum(2, "KEEP"), Ok(json!({"constraints": {"minimum": 2.0}}))),
        (iam, GET, seats_of("users/ann"), is(3.0, "INSTANCE")),
        (iam, EXPLAIN, ann(), explained("INVALID_IGNORED")),
        (iam, GET, seats_of("users/bob"), is(9.0, "USER")),
        (
            iam,
            OVERRIDES,
            json!({"parent": name, "filter": "counts = false"}),
            Ok(json!({"overrides": [{"settings": "instances/demo/users/ann/settings", "value": 1.0}]})),
        ),
        (
            iam,
            UPDATE,
            change("users/ann", json!({"set": {"seats": 1}})),
            Err(refusal(InvalidArgument, "FIELD_INVALID", &["set.seats"])),
        ),
        // Looser again: the value counts as before.
        (iam, UPDATE_DEFINITION, minimum(1, "UNSPECIFIED"), Ok(json!({}))),
        (iam, GET, seats_of("users/ann"), is(1.0, "USER")),
        // Unset with the change.
        (iam, UPDATE_DEFINITION, minimum(4, "UNSET"), Ok(json!({"constraints": {"minimum": 4.0}}))),
        (iam, GET, seats_of("users/ann"), is(5.0, "DEFAULT")),
        (iam, EXPLAIN, ann(), explained("UNSET")),
        (iam, GET, seats_of("users/bob"), is(9.0, "USER")),
        (iam, UPDATE_DEFINITION, minimum(0, "UNSPECIFIED"), Ok(json!({}))),
        (iam, GET, seats_of(""), is(5.0, "DEFAULT")),
    ];
    tell(&server, rows).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_quotas() {
    let server = Folder::new("[own_features]\ndefinitions = 2\nvalues_per_scope = 2\n").serve();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let system = server.token("--role SYSTEM_OWNER");
    let (iam, system): (&[&str], &[&str]) = (&[&owner], &[&system]);
    let of_system = |key: &str| json!({"featureDefinitionId": key, "featureDefinition": boolean()});
    let reached = || Err(refusal(FailedPrecondition, "LIMIT_REACHED", &[]));
    let rows: &[Row<'_>] = &[
        (iam, CREATE, define("x", boolean()), Ok(json!({}))),
        (iam, CREATE, define("y", boolean()), Ok(json!({}))),
        (iam, CREATE, define("z", boolean()), reached()),
        (system, CREATE, of_system("s1"), Ok(json!({}))),
        (system, CREATE, of_system("s2"), Ok(json!({}))),
        (system, CREATE, of_system("s3"), reached()),
        (iam, UPDATE, change("", json!({"set": {"x": true, "y": true, "actions": true}})), reached()),
        (iam, UPDATE, change("", json!({"set": {"x": true, "y": true}})), Ok(json!({}))),
        (iam, UPDATE, change("", json!({"set": {"actions": true}, "unset": ["y"]})), Ok(json!({}))),
        (iam, UPDATE, change("", json!({"set": {"y": true}})), reached()),
    ];
    tell(&server, rows).await;
    server.stop();
}
