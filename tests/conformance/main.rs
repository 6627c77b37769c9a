//! The Connect protocol as clients see it: connect-es, connect-python, `buf curl` and plain HTTP requests call the
//! greeter of grpc-transcoding, which runs as a process.
//!
//! The scenarios are those of the public conformance suite. `cargo xtask test` installs the clients, and builds the
//! greeter with all other examples.

mod clients;
mod greeter;
mod http;
#[path = "../clients/programs.rs"]
mod programs;
mod scenarios;

use std::collections::BTreeMap;

use serde_json::Value;

use self::clients::Client;
use self::greeter::Greeter;

/// The table of scenarios in the documentation of the crate.
const DOCUMENTATION: &str = include_str!("../../grpc-transcoding/src/lib.rs");

#[test]
fn connect_es_sees_what_the_protocol_says() {
    check(Client::Es);
}

#[test]
fn connect_python_sees_what_the_protocol_says() {
    check(Client::Python);
}

#[test]
fn buf_curl_sees_what_the_protocol_says() {
    check(Client::Buf);
}

#[test]
fn http_requests_get_what_the_protocol_says() {
    let greeter = Greeter::start();
    let rows = http::all();
    let requests: Vec<_> = rows.iter().map(|row| row.request.clone()).collect();
    let answers = Client::Http.run(&greeter, &requests);
    let differences = rows.iter().zip(&answers);
    report(differences.filter_map(|(row, answer)| difference(row.name, &row.request, &row.sees, &http::seen(answer))));
}

#[test]
fn documentation_lists_these_scenarios() {
    let mut scenarios: BTreeMap<&str, Vec<Client>> = BTreeMap::new();
    for scenario in scenarios::all() {
        scenarios.entry(scenario.name).or_default().extend(scenario.clients);
    }
    for row in http::all() {
        scenarios.entry(row.name).or_default().push(Client::Http);
    }
    let expected: BTreeMap<_, _> = scenarios
        .into_iter()
        .map(|(name, mut clients)| {
            clients.sort();
            clients.dedup();
            (name, clients.into_iter().map(Client::name).collect::<Vec<_>>().join(", "))
        })
        .collect();
    let section = DOCUMENTATION.split_once("# Conformance").expect("the section 'Conformance'").1;
    let rows = section.lines().filter_map(|line| line.strip_prefix("//! | ")?.split_once(" | "));
    let rows = rows.filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0.to_owned())));
    let documented: BTreeMap<_, _> = rows.filter(|(name, _)| *name != "scenario").collect();
    assert_eq!(documented, expected, "lib.rs of grpc-transcoding has another table");
}

/// Makes the calls of all scenarios of a client, in all forms that it can send.
fn check(client: Client) {
    let greeter = Greeter::start();
    let scenarios: Vec<_> = scenarios::all().into_iter().filter(|row| row.clients.contains(&client)).collect();
    let (mut calls, mut expected) = (Vec::new(), Vec::new());
    for scenario in &scenarios {
        for call in scenario.forms(client) {
            calls.push(call);
            expected.push((scenario.name, scenario.sees_by(client)));
        }
    }
    let outcomes = client.run(&greeter, &calls);
    let compared = calls.iter().zip(&expected).zip(&outcomes);
    report(compared.filter_map(|((call, (name, sees)), seen)| difference(name, call, sees, seen)));
    let cancelled = calls.iter().filter(|call| call["cancelAfter"].is_u64()).count();
    greeter.wait_for("Eve: the client has cancelled the stream", cancelled);
}

/// How an outcome differs from the expectation; members that the expectation does not name are free.
fn difference(name: &str, call: &Value, expected: &Value, seen: &Value) -> Option<String> {
    let expected = expected.as_object().expect("an object");
    let differing = expected.iter().find(|(key, value)| seen[key.as_str()] != **value);
    differing.map(|(key, value)| {
        let mut call = call.to_string();
        call.truncate(call.floor_char_boundary(500));
        let mut seen = seen.to_string();
        seen.truncate(seen.floor_char_boundary(1000));
        format!("{name}: {key} should be {value}\n  call: {call}\n  seen: {seen}")
    })
}

fn report(differences: impl Iterator<Item = String>) {
    let differences: Vec<_> = differences.collect();
    assert!(differences.is_empty(), "{} calls differ:\n{}", differences.len(), differences.join("\n"));
}
