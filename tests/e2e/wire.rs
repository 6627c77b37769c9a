//! The semantics of the twelve methods as a client sees them. Each test is a table of calls on its own server.

use serde_json::{Value as Json, json};
use tonic::Code::{
    Aborted, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted,
    Unimplemented,
};

use crate::support::harness::Server;
use crate::support::raw::{Raw, Refusal, read, refusal};

/// A row of a story: caller, method, request and answer. Only the keys given here are compared with the answer, also
/// those of the elements of a list; `null` means that the key must be absent.
pub type Row<'a> = (&'a [&'a str], &'a str, Json, Result<Json, Refusal>);

pub async fn tell(server: &Server, story: &[Row<'_>]) {
    let raw = Raw::new(server).await;
    for (line, (caller, method, request, expected)) in story.iter().enumerate() {
        let answer = raw.call(method, request.clone(), caller).await;
        let place = format!("row {}: {method} {request}: {answer:?}", line + 1);
        match (expected, &answer) {
            (Ok(expected), Ok(answer)) => compare(expected, answer, &place),
            (Err(expected), Err(answer)) => assert_eq!(expected, answer, "{place}"),
            _ => panic!("{place}, expected {expected:?}"),
        }
    }
}

fn compare(expected: &Json, answer: &Json, place: &str) {
    match expected {
        Json::Object(keys) => {
            for (key, expected) in keys {
                compare(expected, answer.get(key).unwrap_or(&Json::Null), &format!("{place}: {key}"));
            }
        }
        Json::Array(elements) => {
            let answered = answer.as_array().map_or(&[][..], Vec::as_slice);
            assert_eq!(elements.len(), answered.len(), "{place}");
            for (index, (expected, answer)) in elements.iter().zip(answered).enumerate() {
                compare(expected, answer, &format!("{place}: {index}"));
            }
        }
        _ => assert_eq!(expected, answer, "{place}"),
    }
}

pub fn details(sequence: u64, owner: &str) -> Json {
    json!({"details": {"sequence": sequence.to_string(), "resourceOwner": owner}})
}

/// A flag in an answer's JSON, which omits false.
pub fn on(source: &str) -> Json {
    json!({"enabled": true, "source": format!("SOURCE_{source}")})
}

fn off(source: &str) -> Json {
    json!({"enabled": null, "source": format!("SOURCE_{source}")})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_inherits_what_it_has_not_set() {
    let server = Server::new();
    let system: &[&str] = &[&server.token("--role SYSTEM_OWNER")];
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let in_acme: &[&str] = &[&owner, "x-zitadel-orgid = acme"];
    let ann = |inheritance: bool| json!({"userId": "ann", "inheritance": inheritance});
    let unset = json!({"enabled": null, "source": null});
    let nothing = || Err(refusal(NotFound, "NO_FEATURES_SET", &[]));
    tell(&server, &[
        (system, "GetSystemFeatures", json!({}), Ok(json!({"actions": unset, "details": {"sequence": null, "changeDate": null, "resourceOwner": "SYSTEM"}}))),
        (iam, "GetUserFeatures", ann(true), Ok(json!({"actions": unset, "webKey": unset, "loginV2": {}, "improvedPerformance": {}}))),
        (iam, "GetUserFeatures", ann(false), nothing()),
        (iam, "GetInstanceFeatures", json!({}), nothing()),
        (iam, "GetOrganizationFeatures", json!({"organizationId": "acme"}), nothing()),

        (system, "SetSystemFeatures", json!({"actions": true, "userSchema": true}), Ok(details(2, "SYSTEM"))),
        (iam, "GetInstanceFeatures", json!({"inheritance": true}), Ok(json!({"actions": on("SYSTEM"), "userSchema": on("SYSTEM")}))),
        (iam, "SetInstanceFeatures", json!({"actions": false}), Ok(details(1, "demo"))),
        (iam, "GetInstanceFeatures", json!({}), Ok(json!({"actions": off("INSTANCE"), "userSchema": null}))),
        (iam, "GetOrganizationFeatures", json!({"organizationId": "acme", "inheritance": true}), Ok(json!({"actions": off("INSTANCE"), "userSchema": on("SYSTEM")}))),
        (iam, "SetOrganizationFeatures", json!({"organizationId": "acme", "actions": true}), Ok(details(1, "demo"))),
        (iam, "GetUserFeatures", ann(true), Ok(json!({"actions": off("INSTANCE")}))),
        (in_acme, "GetUserFeatures", ann(true), Ok(json!({"actions": on("ORGANIZATION"), "userSchema": on("SYSTEM")}))),
        (in_acme, "SetUserFeatures", json!({"userId": "ann", "userSchema": false}), Ok(details(1, "acme"))),
        // The organization is recorded with the user; the user inherits from it even if a call does not name it.
        (iam, "GetUserFeatures", ann(true), Ok(json!({"actions": on("ORGANIZATION"), "userSchema": off("USER")}))),
        (iam, "GetUserFeatures", ann(false), Ok(json!({"actions": null, "userSchema": off("USER")}))),

        (iam, "ResetOrganizationFeatures", json!({"organizationId": "acme"}), Ok(details(2, "demo"))),
        (iam, "GetUserFeatures", ann(true), Ok(json!({"actions": off("INSTANCE")}))),
        (iam, "ResetUserFeatures", json!({"userId": "ann"}), Ok(details(2, "acme"))),
        (iam, "ResetUserFeatures", json!({"userId": "ann"}), Ok(details(2, "acme"))),
        (iam, "GetUserFeatures", ann(false), nothing()),
        (iam, "ResetInstanceFeatures", json!({}), Ok(details(2, "demo"))),
        (iam, "GetUserFeatures", ann(true), Ok(json!({"actions": on("SYSTEM"), "userSchema": on("SYSTEM")}))),
        (system, "ResetSystemFeatures", json!({}), Ok(details(3, "SYSTEM"))),
        (system, "GetSystemFeatures", json!({}), Ok(json!({"actions": unset, "details": {"sequence": "3"}}))),
    ])
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_changes_what_it_names_and_nothing_else() {
    let server = Server::new();
    let token = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&token];
    let set = "SetInstanceFeatures";
    let get = |expected: Json| (iam, "GetInstanceFeatures", json!({}), Ok(expected));
    let paths = |paths: &[&str]| json!({"executionPaths": paths, "source": "SOURCE_INSTANCE"});
    let login = |required: Json, uri: Json| json!({"required": required, "baseUri": uri, "source": "SOURCE_INSTANCE"});
    const BY_ID: &str = "IMPROVED_PERFORMANCE_ORG_BY_ID";
    const PROJECT: &str = "IMPROVED_PERFORMANCE_PROJECT";
    tell(&server, &[
        (iam, set, json!({"actions": true, "improvedPerformance": [BY_ID, PROJECT], "loginV2": {"required": true, "baseUri": "https://a.example"}}), Ok(details(3, "demo"))),
        (iam, set, json!({"webKey": false}), Ok(details(4, "demo"))),
        get(json!({"actions": on("INSTANCE"), "webKey": off("INSTANCE"), "improvedPerformance": paths(&[BY_ID, PROJECT]), "loginV2": login(json!(true), json!("https://a.example"))})),
        // A list and a message are replaced, not merged.
        (iam, set, json!({"improvedPerformance": [PROJECT], "loginV2": {}}), Ok(details(6, "demo"))),
        get(json!({"improvedPerformance": paths(&[PROJECT]), "loginV2": login(Json::Null, Json::Null)})),
        // A write of the current values changes nothing.
        (iam, set, json!({"actions": true, "improvedPerformance": [PROJECT]}), Ok(details(6, "demo"))),
        // Masks: a part, one feature, an emptied list, everything.
        (iam, set, json!({"loginV2": {"baseUri": "http://b.example/x"}, "updateMask": "loginV2.baseUri"}), Ok(details(7, "demo"))),
        (iam, set, json!({"loginV2": {"required": true}, "updateMask": "loginV2.required"}), Ok(details(8, "demo"))),
        get(json!({"loginV2": login(json!(true), json!("http://b.example/x"))})),
        (iam, set, json!({"updateMask": "loginV2.baseUri"}), Ok(details(9, "demo"))),
        get(json!({"loginV2": login(json!(true), Json::Null)})),
        (iam, set, json!({"updateMask": "improvedPerformance"}), Ok(details(10, "demo"))),
        get(json!({"improvedPerformance": null, "actions": on("INSTANCE")})),
        (iam, set, json!({"userSchema": true, "actions": false, "updateMask": "userSchema"}), Ok(details(11, "demo"))),
        get(json!({"userSchema": on("INSTANCE"), "actions": on("INSTANCE")})),
        (iam, set, json!({"actions": true, "updateMask": "*"}), Ok(details(14, "demo"))),
        get(json!({"actions": on("INSTANCE"), "userSchema": null, "webKey": null, "loginV2": null})),
    ])
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_can_be_checked_and_made_conditional() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let viewer = server.token("--role IAM_OWNER_VIEWER --instance demo");
    let (iam, viewer): (&[&str], &[&str]) = (&[&owner], &[&viewer]);
    let set = "SetInstanceFeatures";
    let stale = || Err(refusal(Aborted, "SEQUENCE_MISMATCH", &[]));
    tell(
        &server,
        &[
            (iam, set, json!({"actions": true, "expectedSequence": "1"}), stale()),
            (
                iam,
                set,
                json!({"actions": true, "expectedSequence": "0", "validateOnly": true}),
                Ok(json!({"details": {"sequence": null, "changeDate": null, "resourceOwner": "demo"}})),
            ),
            (iam, "GetInstanceFeatures", json!({}), Err(refusal(NotFound, "NO_FEATURES_SET", &[]))),
            (iam, set, json!({"actions": true, "expectedSequence": "0"}), Ok(details(1, "demo"))),
            (iam, set, json!({"actions": true, "expectedSequence": "0"}), stale()),
            (iam, set, json!({"actions": false, "expectedSequence": "0", "validateOnly": true}), stale()),
            (iam, set, json!({"actions": false, "validateOnly": true}), Ok(details(1, "demo"))),
            (iam, "GetInstanceFeatures", json!({}), Ok(json!({"actions": on("INSTANCE")}))),
            (
                viewer,
                set,
                json!({"actions": false, "validateOnly": true}),
                Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["iam.feature.write"])),
            ),
            (
                iam,
                set,
                json!({"improvedPerformance": ["IMPROVED_PERFORMANCE_UNSPECIFIED"], "validateOnly": true}),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["improved_performance[0]"])),
            ),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_their_faults_and_write_nothing() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let nowhere = server.token("--role SYSTEM_OWNER");
    let iam: &[&str] = &[&owner];
    let bad = |fields: &[&str]| Err(refusal(InvalidArgument, "FIELD_INVALID", fields));
    let long = "x".repeat(201);
    let set = "SetInstanceFeatures";
    let user = "SetUserFeatures";
    tell(
        &server,
        &[
            (iam, set, json!({}), Err(refusal(InvalidArgument, "NO_CHANGES", &[]))),
            (iam, set, json!({"actions": true, "updateMask": "actions,nothing"}), bad(&["update_mask.paths[1]"])),
            (iam, set, json!({"actions": true, "updateMask": "updateMask"}), bad(&["update_mask.paths[0]"])),
            (iam, set, json!({"improvedPerformance": [1, 1]}), bad(&["improved_performance[1]"])),
            (iam, set, json!({"improvedPerformance": [17]}), bad(&["improved_performance[0]"])),
            (iam, set, json!({"loginV2": {"baseUri": "/relative"}}), bad(&["login_v2.base_uri"])),
            (iam, set, json!({"loginV2": {"baseUri": "https://me:pw@a.example"}}), bad(&["login_v2.base_uri"])),
            (iam, user, json!({"actions": true}), bad(&["user_id"])),
            (iam, user, json!({"userId": long, "actions": true}), bad(&["user_id"])),
            (iam, user, json!({"userId": "a\nb", "actions": true}), bad(&["user_id"])),
            (iam, "GetOrganizationFeatures", json!({"organizationId": ""}), bad(&["organization_id"])),
            (
                &[&owner, "x-zitadel-instance-id = demo"],
                set,
                json!({}),
                Err(refusal(InvalidArgument, "NO_CHANGES", &[])),
            ),
            (
                &[&owner, "x-zitadel-instance-id = other"],
                set,
                json!({"actions": true}),
                Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["iam.feature.write"])),
            ),
            (&[&nowhere], set, json!({"actions": true}), Err(refusal(FailedPrecondition, "INSTANCE_UNKNOWN", &[]))),
            (
                &[&nowhere, "x-zitadel-instance-id = demo"],
                "GetInstanceFeatures",
                json!({}),
                Err(refusal(NotFound, "NO_FEATURES_SET", &[])),
            ),
            (
                &[&nowhere, &format!("x-zitadel-instance-id = {long}")],
                set,
                json!({"actions": true}),
                bad(&["x-zitadel-instance-id"]),
            ),
        ],
    )
    .await;

    let raw = Raw::new(&server).await;
    let status = raw.send(set, vec![0xff, 0xff], iam).await.unwrap_err();
    assert_eq!(read(&status), refusal(InvalidArgument, "FIELD_INVALID", &[]));
    let status = raw.send(set, vec![0; 1024 * 1024 + 1], iam).await.unwrap_err();
    assert!([OutOfRange, ResourceExhausted].contains(&status.code()), "{status:?}");
    assert_eq!(read(&status).reason, "MESSAGE_TOO_LARGE");
    let status = raw.send("NoSuchMethod", vec![], iam).await.unwrap_err();
    assert_eq!(read(&status).code, Unimplemented);
    let status = raw.send(set, vec![], &[&owner, "grpc-encoding = br"]).await.unwrap_err();
    assert_eq!(read(&status).code, Unimplemented);

    // The server still works, and nothing was written.
    tell(&server, &[(iam, "GetInstanceFeatures", json!({}), Err(refusal(NotFound, "NO_FEATURES_SET", &[])))]).await;
    server.stop();
}
