//! The walk of docs/own-features.md works as pasted.

use std::fs;

use serde_json::{Value as Json, json};

use crate::support::client_programs::{document, pasted, protos, run};
use crate::support::harness::Server;
use crate::support::programs::{installed, limited, node_modules, python_environment};

const DOCUMENT: &str = "docs/own-features.md";

/// The protos that a client of own features generates its stubs from.
const PROTOS: [&str; 7] = [
    "feature/v1/change.proto",
    "feature/v1/definition_service.proto",
    "feature/v1/feature_definition.proto",
    "feature/v1/options.proto",
    "feature/v1/settings.proto",
    "feature/v1/settings_service.proto",
    "google/api/field_behavior.proto",
];

/// A server whose user ann has the feature of the walk.
fn server() -> (Server, String) {
    let server = Server::new();
    run(&mut pasted(&server, &document(&server, DOCUMENT, "sh")[0]));
    let token = server.token("--role IAM_LOGIN_CLIENT --instance demo");
    (server, token)
}

#[test]
fn the_python_client_of_the_document_reads_a_feature() {
    let (server, token) = server();
    let folder = tempfile::tempdir().unwrap();
    let python = || {
        let mut command = limited(installed(&python_environment().join("bin/python")));
        command.current_dir(&folder).env("TOKEN", &token);
        command
    };
    let mut generate = python();
    generate.args(["-m", "grpc_tools.protoc", "-I"]).arg(protos()).args(["--python_out=.", "--grpc_python_out=."]);
    run(generate.args(PROTOS));
    let answer = run(python().args(["-c", &document(&server, DOCUMENT, "python")[0]]));
    assert_eq!(answer.trim(), "False");
    server.stop();
}

#[test]
fn the_javascript_client_of_the_document_reads_a_feature() {
    let (server, token) = server();
    // A module finds packages in the folders above it.
    let folder = tempfile::tempdir_in(node_modules().join("..")).unwrap();
    let plugin = node_modules().join(".bin/protoc-gen-es");
    let template =
        json!({"version": "v2", "plugins": [{"local": plugin, "out": "gen", "opt": "target=js,import_extension=js"}]});
    let mut generate = limited(installed(&node_modules().join(".bin/buf")));
    generate.current_dir(&folder).args(["generate", "--template", &template.to_string()]);
    for folder in ["feature/v1", "google/api"] {
        generate.arg("--path").arg(protos().join(folder));
    }
    run(generate.arg(protos()));
    let script = folder.path().join("read.mjs");
    fs::write(&script, &document(&server, DOCUMENT, "js")[0]).unwrap();
    let answer = run(limited("node").arg(script).env("TOKEN", &token));
    assert_eq!(answer.trim(), "false");
    server.stop();
}

#[test]
fn the_walk_of_the_document_works_as_pasted() {
    let server = Server::new();
    let blocks = document(&server, DOCUMENT, "sh");
    // Each block goes on with the token of the first one.
    let answers = run(&mut pasted(&server, &blocks.join("\n")));
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Json>();
    let answers: Vec<_> = answers.collect::<Result<_, _>>().expect("curl prints JSON");
    let table = [
        // (pointer, value), one row for each call
        ("/name", json!("instances/demo/features/checkout.new_ui")),
        ("/settings/etag", json!("\"1\"")),
        ("/settings/etag", json!("\"0\"")),
        ("/settings/etag", json!("\"1\"")),
        ("/values/checkout.new_ui", json!({"value": false, "source": "VALUE_SOURCE_USER", "revision": "3"})),
        ("/values/actions", json!({"value": false, "source": "VALUE_SOURCE_DEFAULT"})),
        ("/withoutThisLevel", json!({"value": true, "source": "VALUE_SOURCE_INSTANCE", "revision": "2"})),
        ("/name", json!("instances/demo/features/limits.seats")),
        ("/details/1/fieldViolations/0/field", json!("set.limits.seats")),
        ("/overrides/1/value", json!(false)),
        ("/state", json!("STATE_ARCHIVED")),
        ("/state", json!("STATE_ACTIVE")),
        ("/state", json!("STATE_ARCHIVED")),
        ("/state", json!("STATE_DELETED")),
        ("/values/checkout.new_ui", json!({"value": false, "source": "VALUE_SOURCE_USER", "revision": "3"})),
        ("/labels/area", json!("shop")),
        ("/owner", json!("team-cart")),
        ("/constraints/allowedValues", json!([true, false])),
        ("/scopes/0/settings", json!("instances/demo/users/ann/settings")),
        ("/overrides/0/settings", json!("instances/demo/users/ann/settings")),
    ];
    assert_eq!(answers.len(), table.len(), "{answers:#?}");
    for (answer, (pointer, expected)) in answers.iter().zip(table) {
        assert_eq!(answer.pointer(pointer), Some(&expected), "{answer:#}");
    }
    server.stop();
}
