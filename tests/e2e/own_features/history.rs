//! The history: who changed what, when and why.

use serde_json::json;
use tonic::Code::{InvalidArgument, NotFound, PermissionDenied};

use super::*;
use crate::support::client_programs::{document, pasted, run};
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};

const CHANGES: &str = "HistoryService/ListChanges";
const CHANGE: &str = "HistoryService/GetChange";

/// The revisions of a page.
fn revisions(page: &Json) -> Vec<u64> {
    let changes = page["changes"].as_array().into_iter().flatten();
    changes.map(|change| change["revision"].as_str().expect("a change has one").parse().expect("a number")).collect()
}

/// A story in two instances by several callers. Returns the token of the operator, who owns everything.
async fn story(server: &Server, raw: &Raw) -> String {
    let of_all = server.token("--role SYSTEM_OWNER");
    let jane = server.token("--role IAM_OWNER --instance demo --user jane");
    let (all, jane): (&[&str], &[&str]) = (&[&of_all], &[&jane]);
    let comment = |mut request: Json, text: &str| {
        request["comment"] = text.into();
        request
    };
    raw.call(CREATE, define("checkout.newUI", boolean()), jane).await.expect("the call succeeds");
    raw.call(UPDATE, json!({"name": "system/settings", "set": {"actions": true}}), all)
        .await
        .expect("the call succeeds");
    let set = change("", json!({"set": {"checkout.newUI": true, "actions": false}}));
    raw.call(UPDATE, comment(set, "because"), jane).await.expect("the call succeeds");
    let acme = json!({"name": "instances/demo/organizations/acme/settings", "set": {"checkout.newUI": true}});
    raw.call(UPDATE, acme, all).await.expect("the call succeeds");
    let ann = change("users/ann", json!({"set": {"checkout.newUI": false}}));
    raw.call(UPDATE, ann, &[jane[0], "x-zitadel-orgid = acme"]).await.expect("the call succeeds");
    raw.call(UPDATE, change("", json!({"unset": ["checkout.newUI"]})), jane).await.expect("the call succeeds");
    raw.call(RESET, json!({"name": settings("users/ann")}), jane).await.expect("the call succeeds");
    raw.call(UPDATE, json!({"name": "instances/other/users/ann/settings", "set": {"actions": true}}), all)
        .await
        .expect("the call succeeds");
    of_all
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_found_by_place_feature_actor_kind_and_time() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let of_all = story(&server, &raw).await;
    let all: &[&str] = &[&of_all];
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &[u64])] = &[
        // parent, filter, order, revisions
        ("", "", "", &[8, 7, 6, 5, 4, 3, 2, 1]),
        ("", "", "revision", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("instances/demo", "", "revision desc", &[7, 6, 5, 4, 3, 1]),
        ("instances/current", "", "", &[7, 6, 5, 4, 3, 1]),
        ("instances/demo/users/ann", "", "", &[7, 5]),
        ("instances/demo/organizations/acme", "", "", &[4]),
        ("instances/other", "", "", &[8]),
        ("", "feature:checkout.newui", "", &[7, 6, 5, 4, 3, 1]),
        ("", "feature:actions", "", &[8, 3, 2]),
        ("instances/demo", "feature:actions AND actor = jane", "", &[3]),
        ("", "actor = operator", "", &[8, 4, 2]),
        ("", "actor != jane AND level = LEVEL_USER", "", &[8]),
        ("", "kind = CHANGE_KIND_RESET OR kind = CHANGE_KIND_DEFINITION", "", &[7, 1]),
        ("", "create_time < 2020-01-01T00:00:00Z", "", &[]),
        ("", "comment:BECAUSE", "", &[3]),
        ("", "feature:nothing", "", &[]),
        ("", "issuer = feature-server AND actor = operator", "", &[8, 4, 2]),
        ("", "issuer = \"https://*\" OR NOT issuer:*", "", &[]),
        ("instances/other", "credential_kind = CREDENTIAL_KIND_TOKEN", "", &[8]),
        ("", "credential_kind != CREDENTIAL_KIND_TOKEN", "", &[]),
    ];
    for (parent, filter, order, expected) in table {
        for page_size in [0, 2] {
            let (mut found, mut token) = (Vec::new(), String::new());
            loop {
                let request = json!({"parent": parent, "filter": filter, "orderBy": order, "pageSize": page_size,
                    "pageToken": token});
                let of_demo = [&*of_all, "x-zitadel-instance-id = demo"];
                let metadata = if parent.ends_with("current") { &of_demo[..] } else { all };
                let page = raw.call(CHANGES, request, metadata).await.unwrap();
                found.extend(revisions(&page));
                token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(found, *expected, "{parent:?} {filter:?} {order:?}");
        }
    }
    let whole = raw.call(CHANGE, json!({"name": "changes/3"}), all).await.unwrap();
    assert!(whole["createTime"].is_string() && whole["requestId"].is_string());
    for (field, expected) in [
        ("name", json!("changes/3")),
        ("resource", json!("instances/demo/settings")),
        ("level", json!("LEVEL_INSTANCE")),
        ("kind", json!("CHANGE_KIND_SET")),
        ("actor", json!("jane")),
        ("issuer", json!("feature-server")),
        ("credentialKind", json!("CREDENTIAL_KIND_TOKEN")),
        ("comment", json!("because")),
        ("etag", json!("\"2\"")),
        ("changes", json!([{"field": "actions", "newValue": false}, {"field": "checkout.newUI", "newValue": true}])),
    ] {
        assert_eq!(whole[field], expected, "{field}");
    }
    let defined = raw.call(CHANGE, json!({"name": "changes/1"}), all).await.unwrap();
    assert_eq!(defined["resource"], "instances/demo/features/checkout.newui");
    let of_ann = raw.call(CHANGE, json!({"name": "changes/5"}), all).await.unwrap();
    assert_eq!(of_ann["organization"], "acme");
    let bad = |field: &'static str| refusal(InvalidArgument, "FIELD_INVALID", &[field]);
    let refused = [
        (CHANGES, json!({"filter": "actor ="}), bad("filter")),
        (CHANGES, json!({"filter": "credential_kind = PASSWORD"}), bad("filter")),
        (CHANGES, json!({"parent": "system"}), bad("parent")),
        (CHANGES, json!({"orderBy": "actor"}), bad("order_by")),
        (CHANGES, json!({"pageToken": "x"}), bad("page_token")),
        (CHANGES, json!({"pageSize": -1}), bad("page_size")),
        (CHANGE, json!({"name": "changes/x"}), bad("name")),
        (CHANGE, json!({"name": "changes/9"}), refusal(NotFound, "CHANGE_UNKNOWN", &[])),
        (CHANGE, json!({"name": "changes/0"}), refusal(NotFound, "CHANGE_UNKNOWN", &[])),
    ];
    for (method, request, expected) in refused {
        assert_eq!(raw.call(method, request.clone(), all).await.unwrap_err(), expected, "{method} {request}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_where_the_one_before_ended_whatever_is_written_between_them() {
    let mut server = Server::new();
    let mut raw = Raw::new(&server).await;
    let of_all = story(&server, &raw).await;
    let all: &[&str] = &[&of_all];
    for (order, first, second) in [("", [8, 7], [6, 5]), ("revision", [1, 2], [3, 4])] {
        let request = |token: &Json| json!({"pageSize": 2, "orderBy": order, "pageToken": token});
        let page = raw.call(CHANGES, request(&json!("")), all).await.unwrap();
        assert_eq!(revisions(&page), first);
        server = server.kill().serve();
        raw = Raw::new(&server).await;
        assert_eq!(revisions(&raw.call(CHANGES, request(&page["nextPageToken"]), all).await.unwrap()), second);
    }
    server.stop();
}

#[test]
fn the_walk_of_the_document_works_as_pasted() {
    let server = Server::new();
    let blocks = document(&server, "docs/history.md", "sh");
    let answers = run(&mut pasted(&server, &blocks.join("\n")));
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Json>();
    let answers: Vec<_> = answers.collect::<Result<_, _>>().expect("curl prints JSON");
    let table = [
        // (pointer, value), one row for each call
        ("/settings/etag", json!("\"1\"")),
        ("/settings/etag", json!("\"2\"")),
        ("/changes/0/comment", json!("too slow")),
        ("/values/actions/value", json!(true)),
        ("/settings/etag", json!("\"3\"")),
    ];
    assert_eq!(answers.len(), table.len(), "{answers:?}");
    for (answer, (pointer, expected)) in answers.iter().zip(table) {
        assert_eq!(answer.pointer(pointer), Some(&expected), "{answer}");
    }
    server.stop();
}

/// Who reads which changes of the story.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_for_those_who_may_read_it_and_nothing_of_another_instance_shows() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    story(&server, &raw).await;
    #[rustfmt::skip]
    let table: &[(&str, [&str; 5], &[u64])] = &[
        // credential                                      everything demo acme ann   other  changes
        ("--role SYSTEM_OWNER_VIEWER",                      ["r",     "r", "r", "r",  "r"],  &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("--role IAM_OWNER_VIEWER --instance demo",         ["",      "r", "r", "r",  ""],   &[1, 3, 4, 5, 6, 7]),
        ("--role IAM_OWNER --instance other",               ["",      "",  "",  "",   "r"],  &[8]),
        ("--role ORG_OWNER --instance demo --organization acme", ["", "",  "r", "r",  ""],   &[4, 5, 7]),
        ("--role ORG_OWNER --instance demo --organization bio",  ["", "",  "",  "",   ""],   &[]),
        ("--role IAM_LOGIN_CLIENT --instance demo",         ["",      "",  "",  "",   ""],   &[]),
        ("--instance demo --organization acme --user ann",  ["",      "",  "",  "",   ""],   &[]),
    ];
    let parents =
        ["", "instances/demo", "instances/demo/organizations/acme", "instances/demo/users/ann", "instances/other"];
    for (credential, cells, expected) in table {
        let token = server.token(credential);
        for (parent, cell) in parents.iter().zip(cells) {
            let may = match raw.call(CHANGES, json!({"parent": parent}), &[&token]).await {
                Ok(_) => "r",
                Err(refused) => {
                    assert_eq!(refused.code, PermissionDenied, "{credential} {parent:?}");
                    ""
                }
            };
            assert_eq!(may, *cell, "{credential} {parent:?}");
        }
        let mut read = Vec::new();
        for revision in 1..=8 {
            match raw.call(CHANGE, json!({"name": format!("changes/{revision}")}), &[&token]).await {
                Ok(_) => read.push(revision),
                // A caller without the permission on anything is refused before the change is looked for.
                Err(refused) if refused.code == PermissionDenied => {}
                Err(refused) => {
                    assert_eq!(refused, refusal(NotFound, "CHANGE_UNKNOWN", &[]), "{credential} {revision}")
                }
            }
        }
        assert_eq!(read, *expected, "{credential}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_who_changed_each_level_last_to_those_who_may_know() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let of_all = story(&server, &raw).await;
    let explain = json!({"name": settings("users/ann"), "feature": "checkout.newUI"});
    let levels = |explained: &Json| -> Vec<(String, String, String, Json)> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let levels = explained["levels"].as_array().expect("there are levels").iter();
        let last = |level: &Json| level["lastChange"].clone();
        levels
            .map(|level| {
                (
                    text(&level["outcome"]),
                    text(&last(level)["revision"]),
                    ["actor", "issuer", "credentialKind"].map(|field| text(&last(level)[field])).join(" "),
                    last(level)["changes"].clone(),
                )
            })
            .collect()
    };
    let changed = |old: Json, new: Json| {
        let mut change = json!({"field": "checkout.newUI"});
        if !old.is_null() {
            change["oldValue"] = old;
        }
        if !new.is_null() {
            change["newValue"] = new;
        }
        json!([change])
    };
    let expected = |shows: [bool; 3]| {
        let actor = |shows: bool, actor: &str| match shows {
            true => format!("{actor} feature-server CREDENTIAL_KIND_TOKEN"),
            false => "  ".to_owned(),
        };
        vec![
            ("OUTCOME_UNSET".to_owned(), "7".to_owned(), actor(shows[0], "jane"), changed(json!(false), Json::Null)),
            ("OUTCOME_WINS".to_owned(), "4".to_owned(), actor(shows[1], "operator"), changed(Json::Null, json!(true))),
            ("OUTCOME_UNSET".to_owned(), "6".to_owned(), actor(shows[2], "jane"), changed(json!(true), Json::Null)),
        ]
    };
    let all: &[&str] = &[&of_all, "x-zitadel-instance-id = demo", "x-zitadel-orgid = acme"];
    assert_eq!(levels(&raw.call(EXPLAIN, explain.clone(), all).await.unwrap()), expected([true; 3]));
    let of_acme = server.token("--role ORG_OWNER --instance demo --organization acme");
    let explained = raw.call(EXPLAIN, explain.clone(), &[&of_acme]).await.unwrap();
    assert_eq!(levels(&explained), expected([true, true, false]));
    let login = server.token("--role IAM_LOGIN_CLIENT --instance demo");
    let explained = raw.call(EXPLAIN, explain, &[&login, "x-zitadel-orgid = acme"]).await.unwrap();
    assert_eq!(levels(&explained), expected([false; 3]));
    server.stop();
}
