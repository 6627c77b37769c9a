//! Batches, explanations, and features that are out of use.

use serde_json::json;
use tonic::Code::{Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};
use crate::wire::{Row, tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_happens_whole_or_not_at_all() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let batch = |requests: Json| json!({"parent": "instances/demo", "requests": requests});
    let names = || json!({"names": [settings(""), settings("users/ann"), settings("users/bob")]});
    let set = |of: &str, to: bool| change(of, json!({"set": {"x": to}}));
    tell(
        &server,
        &[
            (iam, CREATE, define("x", boolean()), Ok(json!({}))),
            (
                iam,
                BATCH_UPDATE,
                batch(json!([set("", true), change("users/ann", json!({"set": {"x": 1}}))])),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["requests[1].set.x"])),
            ),
            (
                iam,
                BATCH_UPDATE,
                batch(json!([set("", true), change("users/ann", json!({"set": {"x": true}, "etag": "\"7\""}))])),
                Err(refusal(Aborted, "ETAG_MISMATCH", &[])),
            ),
            (
                iam,
                BATCH_UPDATE,
                batch(json!([set("", true), set("users/ann", true), set("", false)])),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["requests[2].name"])),
            ),
            (
                iam,
                BATCH_UPDATE,
                json!({"parent": "instances/other", "requests": [set("", true)]}),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["requests[0].name"])),
            ),
            (
                iam,
                BATCH_GET,
                names(),
                Ok(json!({"settings": [
                    {"name": "instances/demo/settings", "etag": "\"0\""},
                    {"name": "instances/demo/users/ann/settings", "etag": "\"0\""},
                    {"name": "instances/demo/users/bob/settings", "etag": "\"0\""},
                ]})),
            ),
            (
                iam,
                BATCH_UPDATE,
                batch(json!([set("", true), set("users/ann", false)])),
                Ok(json!({"responses": [{"settings": {
                    "name": "instances/demo/settings", "etag": "\"1\"",
                }}, {"settings": {"name": "instances/demo/users/ann/settings", "etag": "\"1\""}}]})),
            ),
        ]
        .map(|row| row),
    )
    .await;
    let raw = Raw::new(&server).await;
    let request =
        json!({"names": [settings("users/ann"), settings("users/bob")], "inheritance": true, "features": ["x"]});
    let read = raw.call(BATCH_GET, request, iam).await.unwrap();
    let values: Vec<_> = read["settings"].as_array().unwrap().iter().map(|one| one["values"]["x"].clone()).collect();
    let with_revision = |mut value: Json, revision: &str| {
        value["revision"] = revision.into();
        value
    };
    // The batch has the revisions 2 and 3.
    let expected = [with_revision(value(false, "USER"), "3"), with_revision(value(true, "INSTANCE"), "2")];
    assert_eq!(values, expected);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_what_each_level_has_to_do_with_a_value() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner, "x-zitadel-orgid = acme"];
    let x =
        json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": "none", "variants": {"warm": "red", "cold": "blue"}});
    let server_only = server.token("--instance demo --user ann --organization acme");
    let explain = || json!({"name": settings("users/ann"), "feature": "x"});
    let narrowed = json!({"featureDefinition": {"name": "instances/demo/features/x", "levels": ["LEVEL_INSTANCE"]}});
    tell(
        &server,
        &[
            (iam, CREATE, define("x", x), Ok(json!({}))),
            (iam, UPDATE, change("", json!({"set": {"x": "red"}})), Ok(json!({}))),
            (iam, UPDATE, change("users/ann", json!({"set": {"x": "blue"}})), Ok(json!({}))),
            (
                iam,
                EXPLAIN,
                explain(),
                Ok(json!({
                    "definition": {"name": "instances/demo/features/x"},
                    "result": {"value": "blue", "source": "VALUE_SOURCE_USER", "variant": "cold"},
                    "withoutThisLevel": {"value": "red", "source": "VALUE_SOURCE_INSTANCE", "variant": "warm"},
                })),
            ),
            // A level that may not set the feature any more does not count, and keeps its value.
            (iam, UPDATE_DEFINITION, narrowed, Ok(json!({"levels": ["LEVEL_INSTANCE"]}))),
            (
                iam,
                GET,
                inherited("users/ann", &["x"]),
                Ok(json!({"values": {"x": {"value": "red", "source": "VALUE_SOURCE_INSTANCE"}}})),
            ),
            (&[&server_only], EXPLAIN, explain(), Err(refusal(NotFound, "FEATURE_UNKNOWN", &[]))),
            (iam, EXPLAIN, json!({"name": settings("")}), Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature"]))),
        ],
    )
    .await;
    let explained = Raw::new(&server).await.call(EXPLAIN, explain(), iam).await.unwrap();
    let levels: Vec<_> = explained["levels"].as_array().unwrap().iter().map(|level| level["outcome"].clone()).collect();
    assert_eq!(levels, ["OUTCOME_NOT_ALLOWED", "OUTCOME_UNSET", "OUTCOME_WINS"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_feature_has_no_value_and_keeps_what_is_set() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let name = || json!({"name": "instances/demo/features/x"});
    let read = || inherited("users/ann", &["x"]);
    tell(
        &server,
        &[
            (iam, CREATE, define("x", boolean()), Ok(json!({}))),
            (iam, UPDATE, change("", json!({"set": {"x": true}})), Ok(json!({"warnings": null}))),
            (iam, &state("Deprecate"), name(), Ok(json!({"state": "STATE_DEPRECATED"}))),
            (iam, GET, read(), Ok(json!({"values": {"x": value(true, "INSTANCE")}}))),
            (iam, UPDATE, change("users/bob", json!({"set": {"x": true}})), Ok(json!({"settings": {"etag": "\"1\""}}))),
            (iam, &state("Archive"), name(), Ok(json!({"state": "STATE_ARCHIVED"}))),
            (iam, GET, read(), Err(refusal(NotFound, "FEATURE_ARCHIVED", &[]))),
            (iam, GET, json!({"name": settings("")}), Ok(json!({"values": null}))),
            (
                iam,
                UPDATE,
                change("", json!({"set": {"x": false}})),
                Err(refusal(FailedPrecondition, "FEATURE_ARCHIVED", &[])),
            ),
            (iam, UPDATE, change("users/bob", json!({"unset": ["x"]})), Ok(json!({"settings": {"etag": "\"2\""}}))),
            (iam, &state("Deprecate"), name(), Err(refusal(FailedPrecondition, "FEATURE_ARCHIVED", &[]))),
            (iam, CREATE, define("X", boolean()), Err(refusal(AlreadyExists, "FEATURE_EXISTS", &[]))),
            (iam, &state("Unarchive"), name(), Ok(json!({"state": "STATE_ACTIVE"}))),
            (iam, GET, read(), Ok(json!({"values": {"x": value(true, "INSTANCE")}}))),
        ],
    )
    .await;
    let raw = Raw::new(&server).await;
    raw.call(&state("Deprecate"), name(), iam).await.unwrap();
    let warned = raw.call(UPDATE, change("users/carl", json!({"set": {"x": true}})), iam).await.unwrap();
    assert_eq!(warned["warnings"][0]["reason"], "FEATURE_DEPRECATED");
    assert_eq!(warned["warnings"][0]["feature"], "x");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_changes_nothing_and_gets_the_answer_of_the_first_one() {
    let mut server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let id = |number: u8| format!("00000000-0000-4000-8000-0000000000{number:02}");
    let with = |mut request: Json, number: u8| {
        request["requestId"] = id(number).into();
        request
    };
    let created = || with(define("x", boolean()), 1);
    let set = || with(change("users/ann", json!({"set": {"x": true}, "etag": "\"0\""})), 2);
    let batch = || {
        let requests =
            [change("users/ann", json!({"set": {"x": true}})), change("users/bob", json!({"set": {"x": true}}))];
        with(json!({"requests": requests}), 3)
    };
    let archive = || with(json!({"name": "instances/demo/features/x"}), 4);
    let updated = || with(json!({"featureDefinition": {"name": "instances/demo/features/x", "owner": "a"}}), 5);
    let answer = |etag: &str| Ok(json!({"settings": {"etag": etag}}));
    let bad = |field: &str| Err(refusal(InvalidArgument, "FIELD_INVALID", &[field]));
    let rows: &[Row<'_>] = &[
        (iam, CREATE, created(), Ok(json!({"name": "instances/demo/features/x"}))),
        (iam, CREATE, created(), Ok(json!({"name": "instances/demo/features/x"}))),
        (iam, CREATE, with(define("x", boolean()), 9), Err(refusal(AlreadyExists, "FEATURE_EXISTS", &[]))),
        (iam, UPDATE_DEFINITION, updated(), Ok(json!({"owner": "a"}))),
        (iam, UPDATE, set(), answer("\"1\"")),
        (iam, UPDATE, set(), answer("\"1\"")),
        // Another client comes between, and is not overwritten.
        (iam, UPDATE, change("users/ann", json!({"set": {"x": false}})), answer("\"2\"")),
        (iam, UPDATE, set(), answer("\"1\"")),
        (iam, GET, inherited("users/ann", &["x"]), Ok(json!({"values": {"x": value(false, "USER")}}))),
        // A batch is repeated as a whole.
        (iam, BATCH_UPDATE, batch(), Ok(json!({"responses": [answer("\"3\"").unwrap(), answer("\"1\"").unwrap()]}))),
        (iam, UPDATE, change("users/bob", json!({"unset": ["x"]})), answer("\"2\"")),
        (iam, BATCH_UPDATE, batch(), Ok(json!({"responses": [answer("\"3\"").unwrap(), answer("\"1\"").unwrap()]}))),
        (iam, GET, inherited("users/bob", &["x"]), Ok(json!({"values": {"x": value(false, "DEFAULT")}}))),
        (iam, RESET, with(json!({"name": settings("users/ann")}), 6), answer("\"4\"")),
        (iam, UPDATE, change("users/ann", json!({"set": {"x": true}})), answer("\"5\"")),
        (iam, RESET, with(json!({"name": settings("users/ann")}), 6), answer("\"4\"")),
        (iam, &state("Archive"), archive(), Ok(json!({"state": "STATE_ARCHIVED"}))),
        (iam, &state("Unarchive"), json!({"name": "instances/demo/features/x"}), Ok(json!({"state": "STATE_ACTIVE"}))),
        (iam, &state("Archive"), archive(), Ok(json!({"state": "STATE_ACTIVE"}))),
        // With another method, or other scopes, it is another request.
        (iam, &state("Deprecate"), archive(), Ok(json!({"state": "STATE_DEPRECATED"}))),
        (
            iam,
            BATCH_UPDATE,
            with(json!({"requests": [change("users/cem", json!({"set": {"x": true}}))]}), 3),
            Ok(json!({"responses": [answer("\"1\"").unwrap()]})),
        ),
        (iam, UPDATE, change("", json!({"set": {"x": true}, "requestId": "1"})), bad("request_id")),
        (iam, UPDATE, change("", json!({"set": {"x": true}, "requestId": id(7).replace('-', "")})), bad("request_id")),
        (
            iam,
            BATCH_UPDATE,
            json!({"requests": [with(change("", json!({"set": {"x": true}})), 8)]}),
            bad("requests[0].request_id"),
        ),
    ];
    tell(&server, rows).await;
    // The server remembers it through a kill.
    server = server.kill().serve();
    let rows: &[Row<'_>] = &[
        (iam, UPDATE, set(), answer("\"1\"")),
        (iam, CREATE, created(), Ok(json!({"name": "instances/demo/features/x", "owner": "a"}))),
        (iam, GET, inherited("users/ann", &["x"]), Ok(json!({"values": {"x": value(true, "USER")}}))),
    ];
    tell(&server, rows).await;
    server.stop();
}
