//! The catalogue: who defines what, changes, states, pages and filters.

use serde_json::json;
use tonic::Code::{Aborted, AlreadyExists, InvalidArgument, NotFound};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};
use crate::wire::tell;

fn for_system(key: &str) -> Json {
    json!({"featureDefinitionId": key, "featureDefinition": boolean()})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_defines_for_all_and_an_instance_for_itself() {
    let server = Server::new();
    let (system, demo) = (server.token("--role SYSTEM_OWNER"), server.token("--role IAM_OWNER --instance demo"));
    let other = server.token("--role IAM_OWNER --instance other");
    let (system, demo, other): (&[&str], &[&str], &[&str]) = (&[&system], &[&demo], &[&other]);
    let taken = || Err(refusal(AlreadyExists, "FEATURE_EXISTS", &[]));
    tell(
        &server,
        &[
            (system, CREATE, for_system("everywhere"), Ok(json!({"name": "features/everywhere"}))),
            (demo, CREATE, define("here", boolean()), Ok(json!({"name": "instances/demo/features/here"}))),
            (
                other,
                GET,
                inherited("", &["everywhere"]),
                Ok(json!({"values": {"everywhere": value(false, "DEFAULT")}})),
            ),
            (other, GET, inherited("", &["here"]), Err(refusal(NotFound, "FEATURE_UNKNOWN", &[]))),
            // Keys that differ in case only are the same.
            (demo, CREATE, define("Everywhere", boolean()), taken()),
            (system, CREATE, for_system("HERE"), taken()),
            (demo, CREATE, define("Login_V2", boolean()), taken()),
            (other, CREATE, define("here", boolean()), Ok(json!({"name": "instances/other/features/here"}))),
            (
                system,
                UPDATE,
                json!({"name": "system/settings", "set": {"everywhere": true}}),
                Ok(json!({"settings": {"name": "system/settings"}})),
            ),
            (demo, GET, inherited("", &["EVERYWHERE"]), Ok(json!({"values": {"everywhere": value(true, "SYSTEM")}}))),
            (
                system,
                UPDATE,
                json!({"name": "system/settings", "set": {"here": true}}),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["set.here"])),
            ),
            (
                demo,
                CREATE,
                define("2fa", boolean()),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition_id"])),
            ),
            (
                demo,
                CREATE,
                define("", boolean()),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition_id"])),
            ),
            (
                demo,
                CREATE,
                define("x", json!({"displayName": "d".repeat(129)})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition.display_name"])),
            ),
            (
                demo,
                CREATE,
                define(
                    "x",
                    json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": "b", "constraints": {"pattern": "a"}}),
                ),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition.default_value"])),
            ),
            (
                demo,
                CREATE,
                define(
                    "x",
                    json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": "b", "constraints": {"pattern": "("}}),
                ),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition.constraints.pattern"])),
            ),
            (
                demo,
                CREATE,
                define("x", json!({"labels": (0..65).map(|n| (format!("l{n}"), json!(""))).collect::<Json>()})),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["feature_definition.labels"])),
            ),
            (
                demo,
                GET_DEFINITION,
                json!({"name": "instances/current/features/x"}),
                Err(refusal(NotFound, "FEATURE_UNKNOWN", &[])),
            ),
            (
                demo,
                GET_DEFINITION,
                json!({"name": "features/login_v2"}),
                Ok(json!({"builtin": true, "permanent": true})),
            ),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_its_fields_and_keeps_every_value_valid() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let name = "instances/demo/features/seats";
    let seats = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 5, "description": "How many.",
        "constraints": {"minimum": 1}, "purpose": "PURPOSE_RELEASE", "labels": {"team": "billing"}});
    let update = |fields: Json, mask: &str| {
        let mut definition = fields;
        definition["name"] = name.into();
        let mut request = json!({"featureDefinition": definition});
        if !mask.is_empty() {
            request["updateMask"] = mask.into();
        }
        request
    };
    let bad = |field: &str| Err(refusal(InvalidArgument, "FIELD_INVALID", &[field]));
    tell(
        &server,
        &[
            (iam, CREATE, define("seats", seats), Ok(json!({"etag": "\"7\"", "labels": {"team": "billing"}}))),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"owner": "team"}), ""),
                Ok(json!({"owner": "team", "description": "How many."})),
            ),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"owner": "other"}), "description,owner"),
                Ok(json!({"owner": "other", "description": null, "etag": "\"10\""})),
            ),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"owner": "x", "etag": "\"9\""}), ""),
                Err(refusal(Aborted, "ETAG_MISMATCH", &[])),
            ),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"owner": "x", "etag": "\"10\""}), ""),
                Ok(json!({"etag": "\"11\""})),
            ),
            (iam, UPDATE_DEFINITION, update(json!({}), "state"), bad("update_mask.paths[0]")),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"valueType": "VALUE_TYPE_NUMBER"}), ""),
                bad("feature_definition.value_type"),
            ),
            (iam, UPDATE_DEFINITION, update(json!({}), "defaultValue"), bad("feature_definition.default_value")),
            (iam, UPDATE_DEFINITION, update(json!({"defaultValue": 0}), ""), bad("feature_definition.default_value")),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"constraints": {"minimum": 2}}), ""),
                Ok(json!({"constraints": {"minimum": 2.0}})),
            ),
            (
                iam,
                UPDATE_DEFINITION,
                update(json!({"constraints": {"minimum": 0}, "defaultValue": 0}), ""),
                Ok(json!({"constraints": {"minimum": 0.0}, "defaultValue": 0.0})),
            ),
            (iam, UPDATE_DEFINITION, update(json!({}), "constraints"), Ok(json!({"constraints": null}))),
            (
                iam,
                UPDATE_DEFINITION,
                json!({"featureDefinition": {"name": "features/login_v2", "owner": "login"}}),
                Err(refusal(tonic::Code::PermissionDenied, "PERMISSION_MISSING", &["feature.definition.write"])),
            ),
        ],
    )
    .await;
    let system = server.token("--role SYSTEM_OWNER");
    tell(
        &server,
        &[
            (
                &[&system],
                UPDATE_DEFINITION,
                json!({"featureDefinition": {"name": "features/login_v2", "owner": "login", "labels": {"a": "b"}}}),
                Ok(json!({"owner": "login", "labels": {"a": "b"}, "builtin": true, "valueType": "VALUE_TYPE_OBJECT"})),
            ),
            (
                &[&system],
                UPDATE_DEFINITION,
                json!({"featureDefinition": {"name": "features/login_v2", "description": "x"}}),
                bad("feature_definition.description"),
            ),
            (&[&system], &state("Archive"), json!({"name": "features/login_v2"}), bad("name")),
            (iam, GET_DEFINITION, json!({"name": "features/login_v2"}), Ok(json!({"owner": "login"}))),
            (
                &[&system],
                UPDATE_DEFINITION,
                json!({"featureDefinition": {"name": "features/login_v2"}, "updateMask": "owner,labels"}),
                Ok(json!({"owner": null, "etag": "\"4\""})),
            ),
        ],
    )
    .await;
    // What was set and unset again counts after a restart, too.
    let server = server.stop().serve();
    let again = json!({"featureDefinition": {"name": "features/login_v2", "owner": "login", "etag": "\"4\""}});
    tell(&server, &[(&[&system], UPDATE_DEFINITION, again, Ok(json!({"owner": "login", "etag": "\"5\""})))]).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_state_and_filters_compare_fields() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    for number in 0..25 {
        let mut definition = boolean();
        definition["labels"] = json!({"team": if number % 2 == 0 { "even" } else { "odd" }});
        raw.call(CREATE, define(&format!("f{number:02}"), definition), iam).await.unwrap();
    }
    let list = async |fields: Json| {
        let mut request = fields;
        request["parent"] = "instances/current".into();
        raw.call(LIST, request, iam).await
    };
    let keys = |page: &Json| -> Vec<String> {
        let definitions = page["featureDefinitions"].as_array().cloned().unwrap_or_default();
        definitions.iter().map(|it| it["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    };
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(json!({"pageSize": 10, "pageToken": token})).await.unwrap();
        all.extend(keys(&page));
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(all, (0..25).map(|number| format!("f{number:02}")).collect::<Vec<_>>());
    let odd = list(json!({"filter": "labels.team = odd AND NOT key = f01", "pageSize": 3})).await.unwrap();
    assert_eq!(keys(&odd), ["f03", "f05", "f07"]);
    let built_in = list(json!({"filter": "builtin = true AND value_type = VALUE_TYPE_OBJECT", "inherited": true}));
    assert_eq!(keys(&built_in.await.unwrap()), ["login_v2"]);
    assert_eq!(keys(&list(json!({"inherited": true})).await.unwrap()).len(), 25 + 16);

    let next = odd["nextPageToken"].clone();
    let of_another_request = list(json!({"filter": "labels.team = even", "pageToken": next})).await;
    assert_eq!(of_another_request.unwrap_err(), refusal(InvalidArgument, "FIELD_INVALID", &["page_token"]));
    raw.call(&state("Archive"), json!({"name": "instances/demo/features/f00"}), iam).await.unwrap();
    let changed =
        list(json!({"filter": "labels.team = odd AND NOT key = f01", "pageSize": 3, "pageToken": next})).await;
    assert_eq!(changed.unwrap_err(), refusal(Aborted, "LISTING_CHANGED", &[]));
    assert_eq!(keys(&list(json!({"pageSize": 1})).await.unwrap()), ["f01"], "archived ones are left out");
    assert_eq!(keys(&list(json!({"filter": "state = STATE_ARCHIVED"})).await.unwrap()), ["f00"]);
    for (filter, page_size, field) in [("ownr = x", 1, "filter"), ("", -1, "page_size")] {
        let refused = list(json!({"filter": filter, "pageSize": page_size})).await.unwrap_err();
        assert_eq!(refused, refusal(InvalidArgument, "FIELD_INVALID", &[field]));
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_survive_a_kill_and_a_restart() {
    let mut server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let rows: &[crate::wire::Row<'_>] = &[
        (iam, CREATE, define("x", boolean()), Ok(json!({}))),
        (iam, UPDATE, change("users/ann", json!({"set": {"x": true}, "comment": "for the test"})), Ok(json!({}))),
        (iam, &state("Deprecate"), json!({"name": "instances/demo/features/x"}), Ok(json!({}))),
    ];
    tell(&server, rows).await;
    server = server.kill().serve();
    let after: &[crate::wire::Row<'_>] = &[
        (iam, GET_DEFINITION, json!({"name": "instances/demo/features/x"}), Ok(json!({"state": "STATE_DEPRECATED"}))),
        (iam, GET, inherited("users/ann", &["x"]), Ok(json!({"values": {"x": value(true, "USER")}}))),
    ];
    tell(&server, after).await;
    server.stop();
}
