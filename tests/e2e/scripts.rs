//! The clients that are driven by scripts: npm packages in Node and in Chromium, and Python.

use crate::clients::{node, python, run};
use crate::harness::Server;

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
fn browser_grpc_web() {
    let server = Server::new();
    run(&mut node(&server, "browser.mjs"));
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
