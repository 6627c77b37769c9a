//! Erasing a user: the settings are unset, and nothing shows any more what the user had set or done.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tonic::Code::{InvalidArgument, OutOfRange, PermissionDenied};

use super::*;
use crate::fleet::at_least;
use crate::support::PATIENCE;
use crate::support::fleet::Fleet;
use crate::support::harness::{Folder, Server};
use crate::support::raw::{Raw, refusal};
use crate::wire::tell;

const CHANGES: &str = "HistoryService/ListChanges";
const ERASE: &str = "SettingsService/EraseUser";
const WATCH: &str = "WatchService/WatchChanges";
const REVERT: &str = "SettingsService/RevertSettings";

const SECRET: &str = "the secret of Ann";
const COMMENT: &str = "Ann asked for it";
const DONE: &str = "what was known of users was erased";

fn at(mut request: Json, revision: u64) -> Json {
    request["at"] = json!({"revision": revision});
    request
}

/// Ann's own feature, which she changes herself and an administrator does, too; and what she has changed elsewhere. The
/// revisions are 1 to 7.
async fn story(server: &Server, raw: &Raw) {
    let jane = server.token("--role IAM_OWNER --instance demo --user jane");
    let ann = server.token("--role IAM_OWNER --instance demo --user ann");
    let other = server.token("--role IAM_OWNER --instance other --user ann");
    let text = json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": ""});
    let set = |of: &str, value: &str| change(of, json!({"set": {"motto": value}}));
    let with = |mut request: Json| {
        request["comment"] = COMMENT.into();
        request
    };
    for (caller, method, request) in [
        (&jane, CREATE, define("motto", text)),
        (&ann, UPDATE, set("users/ann", SECRET)),
        (&jane, UPDATE, with(set("users/ann", &format!("{SECRET}!")))),
        (&ann, UPDATE, set("", "of the instance")),
        (&jane, UPDATE, set("users/bob", "of Bob")),
        (&other, UPDATE, change("", json!({"set": {"actions": true}}))),
        (&other, UPDATE, change("users/ann", json!({"set": {"actions": true}}))),
    ] {
        raw.call(method, request, &[caller]).await.expect("the call succeeds");
    }
}

fn erase(user: &str) -> Json {
    json!({"name": settings(&format!("users/{user}")), "comment": "ticket 7"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_inherits_and_the_history_keeps_its_shape() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    story(&server, &raw).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    let all = server.token("--role SYSTEM_OWNER");
    let (iam, all): (&[&str], &[&str]) = (&[&owner], &[&all]);
    let erased = || Err(refusal(OutOfRange, "SETTINGS_ERASED", &[]));
    let motto = || inherited("users/ann", &["motto"]);
    let changes = |parent: &str, filter: &str| json!({"parent": parent, "filter": filter, "orderBy": "revision"});
    let shape = |revision: &str, kind: &str, erased: Option<bool>| {
        json!({"revision": revision, "kind": format!("CHANGE_KIND_{kind}"), "erased": erased,
            "changes": [{"field": "motto", "oldValue": null, "newValue": null}]})
    };
    let mut of_ann =
        vec![shape("2", "SET", Some(true)), shape("3", "SET", Some(true)), shape("8", "ERASE", Some(true))];
    (of_ann[0]["actor"], of_ann[1]["actor"]) = (Json::Null, "jane".into());
    (of_ann[1]["comment"], of_ann[2]["comment"]) = (Json::Null, "ticket 7".into());
    (of_ann[0]["issuer"], of_ann[1]["issuer"]) = (Json::Null, "feature-server".into());
    let at_3 = || json!({"parent": "instances/demo/features/motto", "at": {"revision": 3}});
    let name = json!({"name": "instances/demo/users/ann/settings"});
    tell(
        &server,
        &[
            (iam, GET, motto(), Ok(json!({"values": {"motto": value(format!("{SECRET}!"), "USER")}}))),
            (iam, OVERRIDES, at_3(), Ok(json!({"overrides": [{}]}))),
            // Only a check.
            (iam, ERASE, json!({"name": name["name"], "validateOnly": true}), Ok(json!({"settings": name}))),
            (iam, GET, motto(), Ok(json!({"values": {"motto": value(format!("{SECRET}!"), "USER")}}))),
            (iam, ERASE, erase("ann"), Ok(json!({"settings": name}))),
            (iam, GET, motto(), Ok(json!({"values": {"motto": value("of the instance", "INSTANCE")}}))),
            (iam, CHANGES, changes("instances/demo/users/ann", ""), Ok(json!({"changes": of_ann}))),
            (all, CHANGES, changes("", "kind = CHANGE_KIND_ERASE"), Ok(json!({"changes": [{"revision": "8"}]}))),
            // She is the actor of nothing here, and what others did stays.
            (iam, CHANGES, changes("instances/demo", "actor = ann"), Ok(json!({"changes": null}))),
            (all, CHANGES, changes("", "actor = ann"), Ok(json!({"changes": [{"revision": "6"}, {"revision": "7"}]}))),
            (
                iam,
                CHANGES,
                changes("instances/demo", "level = LEVEL_INSTANCE AND kind = CHANGE_KIND_SET"),
                Ok(json!({"changes": [{"revision": "4", "actor": null, "issuer": null, "credentialKind": null,
                    "erased": true, "changes": [{"newValue": "of the instance"}]}]})),
            ),
            (
                iam,
                CHANGES,
                changes("instances/demo/users/bob", ""),
                Ok(json!({"changes": [{"actor": "jane", "erased": null, "changes": [{"newValue": "of Bob"}]}]})),
            ),
            // What was once is gone.
            (iam, GET, at(motto(), 3), erased()),
            (iam, GET, at(motto(), 7), erased()),
            (iam, GET, at(motto(), 8), Ok(json!({"values": {"motto": value("of the instance", "INSTANCE")}}))),
            (iam, EXPLAIN, at(json!({"name": settings("users/ann"), "feature": "motto"}), 3), erased()),
            (iam, OVERRIDES, at_3(), Ok(json!({"overrides": null}))),
            (iam, REVERT, json!({"name": settings("users/ann"), "revision": 3}), erased()),
            (iam, REVERT, json!({"name": settings("users/ann"), "undo": "changes/3"}), erased()),
            (iam, REVERT, json!({"name": settings("users/ann"), "undo": "changes/8"}), erased()),
            (
                iam,
                GET,
                at(inherited("users/bob", &["motto"]), 5),
                Ok(json!({"values": {"motto": value("of Bob", "USER")}})),
            ),
            // She comes back as anyone does.
            (iam, UPDATE, change("users/ann", json!({"set": {"motto": "again"}})), Ok(json!({}))),
            (iam, GET, at(motto(), 9), Ok(json!({"values": {"motto": value("again", "USER")}}))),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_of_the_instance_erase_and_only_users() {
    let server = Server::new();
    let refused = |about: &str| Err(refusal(PermissionDenied, "PERMISSION_MISSING", &[about]));
    let wrong = || Err(refusal(InvalidArgument, "FIELD_INVALID", &["name"]));
    let demo = "--instance demo";
    let system = server.token("--role SYSTEM_OWNER");
    let [owner, viewer, manager, org, ann] = [
        "--role IAM_OWNER",
        "--role IAM_OWNER_VIEWER",
        "--role IAM_USER_MANAGER",
        "--role ORG_OWNER --organization acme",
        "--user ann --organization acme",
    ]
    .map(|line| server.token(&format!("{line} {demo}")));
    let elsewhere = json!({"name": "instances/other/users/ann/settings"});
    let needs = "feature.history.delete";
    tell(
        &server,
        &[
            (&[&viewer], ERASE, erase("ann"), refused(needs)),
            (&[&manager], ERASE, erase("ann"), refused(needs)),
            (&[&org], ERASE, erase("ann"), refused(needs)),
            (&[&ann], ERASE, erase("ann"), refused(needs)),
            (&[&owner], ERASE, elsewhere.clone(), refused(needs)),
            (&[&system], ERASE, elsewhere, Ok(json!({}))),
            (&[&owner], ERASE, erase("stranger"), Ok(json!({}))),
            (&[&owner], ERASE, json!({"name": settings("")}), wrong()),
            (&[&owner], ERASE, json!({"name": settings("organizations/acme")}), wrong()),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_changes_continues_across_an_erasure() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    story(&server, &raw).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    let watch = |start: Json| {
        let mut request = json!({"parent": "instances/demo"});
        request.as_object_mut().expect("it is an object").extend(start.as_object().expect("it is one").clone());
        request
    };
    // Its last change is one of hers.
    let filtered = json!({"afterRevision": "0", "filter": "feature:motto AND kind = CHANGE_KIND_SET"});
    let mut stream = raw.stream(WATCH, watch(filtered), &[&owner]).await.expect("the call succeeds");
    let told = stream.next().await.expect("the call succeeds");
    assert!(told.to_string().contains(SECRET), "{told}");
    let mut stream = raw.stream(WATCH, watch(json!({"afterRevision": "1"})), &[&owner]).await.expect("it begins");
    let told = stream.next().await.expect("the call succeeds");
    let token = told["resumeToken"].clone();
    drop(stream);
    raw.call(ERASE, erase("ann"), &[&owner]).await.expect("the call succeeds");
    let again = watch(json!({"resumeToken": token}));
    let mut stream = raw.stream(WATCH, again, &[&owner]).await.expect("the call succeeds");
    let mut told = stream.next().await.expect("the stream goes on");
    while !told.to_string().contains("CHANGE_KIND_ERASE") {
        assert!(!told.to_string().contains(SECRET), "{told}");
        told = stream.next().await.expect("the stream goes on");
    }
    server.stop();
}

/// Whether a file below a folder has this text.
fn has(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("it is there").any(|entry| {
        let path = entry.expect("it is there").path();
        let is_in = |bytes: Vec<u8>| bytes.windows(text.len()).any(|found| found == text.as_bytes());
        if path.is_dir() { has(&path, text) } else { is_in(fs::read(&path).expect("it is there")) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_lose_what_was_erased_also_after_a_kill() {
    let server = Folder::embedded("").serve();
    let raw = Raw::new(&server).await;
    story(&server, &raw).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    assert!(has(&server.folder().data().join("journal"), SECRET));
    raw.call(ERASE, erase("ann"), &[&owner]).await.expect("the call succeeds");
    // Perhaps before it is done, perhaps after.
    let server = server.kill().serve();
    let begun = Instant::now();
    while has(&server.folder().data().join("journal"), SECRET) {
        assert!(begun.elapsed() < PATIENCE, "the files stay as they are");
    }
    let copy = Folder::embedded("");
    assert!(server.folder().run(&format!("backup {}", copy.data().display())).status.success());
    assert!(!has(&copy.data(), SECRET) && !has(&copy.data(), COMMENT));
    let folder = server.stop();
    for folder in [&folder, &copy] {
        assert!(folder.run("verify").status.success());
        let lines = String::from_utf8(folder.run("export").stdout).expect("an export is text");
        assert!(!lines.contains(SECRET) && lines.contains("\"kind\":\"erase\""), "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_fleet_and_its_tables_lose_what_was_erased() {
    let fleet = Fleet::new();
    let servers = [fleet.serve(), fleet.serve()];
    let raws = [Raw::new(&servers[0]).await, Raw::new(&servers[1]).await];
    story(&servers[0], &raws[0]).await;
    let owner = servers[0].token("--role IAM_OWNER --instance demo");
    let count = format!(
        "SELECT count(*) FROM feature_service.events WHERE position('{SECRET}'::bytea in body) > 0 \
         UNION ALL SELECT count(*) FROM feature_service.records WHERE position('{SECRET}'::bytea in body) > 0"
    );
    let (_, metadata) = raws[0].call_for_metadata(ERASE, erase("ann"), &[&owner]).await.expect("the call succeeds");
    let position = metadata.get("feature-revision").expect("a write has a position").to_str().expect("it is text");
    let after = at_least(position);
    // Whether it is carried out in the tables or not.
    let exported = servers[0].folder().run("export");
    let lines = String::from_utf8(exported.stdout).expect("an export is text");
    assert!(exported.status.success() && !lines.contains(SECRET) && !lines.contains(COMMENT), "{lines}");
    for raw in &raws {
        let of_ann = json!({"parent": "instances/demo/users/ann"});
        let page = raw.call(CHANGES, of_ann, &[&owner, &after]).await.expect("the call succeeds").to_string();
        assert!(page.contains("CHANGE_KIND_ERASE") && !page.contains(SECRET) && !page.contains(COMMENT), "{page}");
    }
    let begun = Instant::now();
    let says_so = || servers.iter().any(|server| server.log().contains(DONE));
    while fleet.database().query(&count) != "0\n0" || !says_so() {
        assert!(begun.elapsed() < PATIENCE, "the tables stay as they are, or no server says so");
    }
    // A server that begins now follows the log all the same, and a copy has nothing of it.
    let next = fleet.serve();
    let raw = Raw::new(&next).await;
    let shown = raw.call(GET, inherited("users/ann", &["motto"]), &[&owner]).await.expect("the call succeeds");
    assert_eq!(shown["values"]["motto"]["value"], "of the instance");
    let exported = next.folder().run("export");
    let lines = String::from_utf8(exported.stdout).expect("an export is text");
    assert!(exported.status.success() && !lines.contains(SECRET) && lines.contains("\"kind\":\"erase\""), "{lines}");
    for server in servers.into_iter().chain([next]) {
        server.stop();
    }
}
