//! A history that is kept in part: what is old is gone from all reads of the past, and settings are not.

use std::time::Instant;

use serde_json::json;
use tonic::Code::{NotFound, OutOfRange};

use super::*;
use crate::support::PATIENCE;
use crate::support::harness::{Folder, Server};
use crate::support::raw::{Raw, refusal};

const CHANGES: &str = "HistoryService/ListChanges";

/// The scopes that are written in turns.
const PLACES: [&str; 3] = ["", "organizations/acme", "users/ann"];

/// Sets a feature to so many large values, one after another.
async fn write(raw: &Raw, iam: &[&str], numbers: std::ops::Range<usize>) {
    for number in numbers {
        let value = format!("{number} {}", "x".repeat(10_000));
        let set = change(PLACES[number % 3], json!({"set": {"banner": value}}));
        raw.call(UPDATE, set, iam).await.expect("the call succeeds");
    }
}

/// The revision of the oldest change.
async fn oldest(raw: &Raw, iam: &[&str]) -> u64 {
    let request = json!({"parent": "instances/demo", "orderBy": "revision", "pageSize": 1});
    let page = raw.call(CHANGES, request, iam).await.expect("the call succeeds");
    page["changes"][0]["revision"].as_str().expect("there is one").parse().expect("a number")
}

/// The settings in each place.
async fn values(raw: &Raw, iam: &[&str]) -> Vec<Json> {
    let mut values = Vec::new();
    for place in PLACES {
        values.push(raw.call(GET, inherited(place, &["banner"]), iam).await.expect("the call succeeds"));
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn old_changes_are_dropped_and_settings_stay_through_a_kill_and_every_copy() {
    let server = Folder::embedded("[history]\nkeep = '1 MiB'\n").serve();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    raw.call(CREATE, define("banner", json!({"valueType": "VALUE_TYPE_STRING", "defaultValue": ""})), iam)
        .await
        .expect("the call succeeds");
    write(&raw, iam, 0..150).await;
    let begun = Instant::now();
    while oldest(&raw, iam).await < 50 {
        assert!(begun.elapsed() < PATIENCE, "old changes stay");
    }
    let shown = values(&raw, iam).await;
    let server = check_past(server, &raw, iam).await.kill().serve();
    let raw = Raw::new(&server).await;
    assert_eq!(values(&raw, iam).await, shown, "settings do not go with their history");
    write(&raw, iam, 150..160).await;
    let shown = values(&raw, iam).await;
    let kept = oldest(&raw, iam).await;

    // What leaves the folder has the same part of the history.
    let folder = server.folder();
    let run = |folder: &Folder, line: &str| {
        let output = folder.run(line);
        let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{line}: {}", texts[1]);
        texts[0].clone()
    };
    let copy = Folder::embedded("");
    run(folder, &format!("backup {}", copy.data().display()));
    let summary = run(&copy, "verify");
    let first: u64 =
        summary.split("from revision ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!(first >= kept && summary.contains(" to 161\n"), "{summary}");
    let folder = server.stop();
    let lines = run(&folder, "export");
    assert!(lines.starts_with("{\"format\":\"feature-server export\",\"version\":3,"), "{}", &lines[..100]);
    std::fs::write(folder.file("lines.jsonl"), &lines).expect("the disk works");
    let imported = Folder::embedded("");
    run(&imported, &format!("import {}", folder.file("lines.jsonl").display()));
    assert_eq!(run(&imported, "export"), lines);
    for folder in [copy, imported] {
        let server = folder.serve();
        let owner = server.token("--role IAM_OWNER --instance demo");
        let raw = Raw::new(&server).await;
        assert_eq!(values(&raw, &[&owner]).await, shown);
        check_past(server, &raw, &[&owner]).await.stop();
    }
}

/// Checks that all reads of what is not kept say so.
async fn check_past(server: Server, raw: &Raw, iam: &[&str]) -> Server {
    let compacted = || refusal(OutOfRange, "REVISION_COMPACTED", &[]);
    let at = |mut request: Json, revision: u64| {
        request["at"] = json!({"revision": revision});
        request
    };
    let revert = json!({"name": settings(""), "revision": 3});
    // method | request | what is answered
    for (method, request, refused) in [
        (GET, at(inherited("", &["banner"]), 3), compacted()),
        (BATCH_GET, at(json!({"parent": "instances/current", "names": [settings("")]}), 3), compacted()),
        (GET_DEFINITION, at(json!({"name": "instances/current/features/banner"}), 1), compacted()),
        ("SettingsService/RevertSettings", revert, compacted()),
        ("HistoryService/GetChange", json!({"name": "changes/3"}), refusal(NotFound, "CHANGE_UNKNOWN", &[])),
    ] {
        assert_eq!(raw.call(method, request, iam).await.expect_err(method), refused, "{method}");
    }
    let watch = json!({"parent": "instances/demo", "afterRevision": "1"});
    assert_eq!(raw.stream("WatchService/WatchChanges", watch, iam).await.err(), Some(compacted()));
    // The state right before the oldest change can be read.
    let oldest = oldest(raw, iam).await;
    raw.call(GET, at(inherited("", &["banner"]), oldest - 1), iam).await.expect("the call succeeds");
    server
}
