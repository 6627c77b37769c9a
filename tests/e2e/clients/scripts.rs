//! Clients run by scripts: npm packages in Node and in Chromium, and Python packages.

use crate::support::client_programs::{node, python, run};
use crate::support::harness::Server;

#[test]
fn node_grpc() {
    let server = Server::new();
    run(node(&server, "zitadel.mjs").arg("grpc"));
    server.stop();
}

#[test]
fn node_grpc_web() {
    let server = Server::new();
    run(node(&server, "zitadel.mjs").arg("grpc-web"));
    server.stop();
}

#[test]
fn browser_connect_web_grpc_web() {
    let server = Server::new();
    run(node(&server, "connect-web.mjs").arg("grpc-web"));
    server.stop();
}

#[test]
fn browser_connect_web_connect_json() {
    let server = Server::new();
    run(node(&server, "connect-web.mjs").arg("connect-json"));
    server.stop();
}

#[test]
fn browser_connect_web_connect_proto() {
    let server = Server::new();
    run(node(&server, "connect-web.mjs").arg("connect-proto"));
    server.stop();
}

#[test]
fn browser_server_sent_events() {
    let server = Server::new();
    run(&mut node(&server, "events.mjs"));
    server.stop();
}

#[test]
fn browser_grpc_web_text() {
    let server = Server::new();
    run(node(&server, "grpc-web.mjs").arg("text"));
    server.stop();
}

#[test]
fn browser_grpc_web_binary() {
    let server = Server::new();
    run(node(&server, "grpc-web.mjs").arg("binary"));
    server.stop();
}

#[test]
fn python_features() {
    let server = Server::new();
    run(&mut python(&server, "features.py"));
    server.stop();
}

#[test]
fn python_health() {
    let server = Server::new();
    run(&mut python(&server, "health.py"));
    server.stop();
}

#[test]
fn python_zitadel() {
    let server = Server::new();
    run(&mut python(&server, "zitadel.py"));
    server.stop();
}
