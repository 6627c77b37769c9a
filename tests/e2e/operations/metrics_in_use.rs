//! The dashboard, the alert rules and the table of metrics in docs/operations.md: right for what a server exports.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::metrics::{PATIENCE, Prometheus, scrape};
use crate::support::harness::{Folder, Server, limited};
use crate::support::postgres::database;
use crate::tls::{TLS, served_on};

const DASHBOARD: &str = include_str!("../../../deploy/grafana-dashboard.json");
const RULES: &str = include_str!("../../../deploy/prometheus-rules.yml");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// A server that exports all metrics: it has TLS, an issuer and a database, and has done a write and looked at the free
/// space of its disk.
fn server_with_all_metrics() -> Server {
    let issuer = "[[auth.issuers]]\nissuer = \"https://issuer.example\"\naudience = \"features\"\ninstance = \"demo\"\n\
                  jwks_url = \"https://127.0.0.1:1/keys\"\n";
    let (server, _) = served_on(Folder::on(database(), &format!("{TLS}{issuer}")));
    let token = server.token("--role IAM_OWNER --instance demo");
    call(&server, &token, "PUT", r#"{"actions": true}"#);
    let deadline = Instant::now() + PATIENCE;
    while !scrape(&server).contains("\nfeature_store_free_bytes ") {
        assert!(Instant::now() < deadline, "the free space of the disk is not known");
    }
    server
}

/// Calls the features of the instance over REST.
fn call(server: &Server, token: &str, method: &str, body: &str) {
    let url = format!("https://{}/v2/features/instance", server.address());
    let mut curl = limited("curl");
    curl.args(["--disable", "--silent", "--show-error", "--cacert"]).arg(server.folder().file("ca.pem"));
    curl.args(["--request", method, "--header", &format!("authorization: Bearer {token}")]);
    curl.args(["--header", "content-type: application/json"]);
    if !body.is_empty() {
        curl.args(["--data", body]);
    }
    let output = curl.arg(url).output().expect("curl starts");
    assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
}

fn promtool(arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    limited("promtool").args(arguments).current_dir(folder).output().expect("promtool starts")
}

/// What promtool says of files that it accepts.
fn accepted(arguments: &[&str]) -> String {
    let output = promtool(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// The panels of the dashboard that show data.
fn panels() -> Vec<Json> {
    let dashboard: Json = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    panels.iter().filter(|panel| panel["type"] != "row").cloned().collect()
}

/// The expressions of the dashboard, for all servers, each with the title of its panel.
fn dashboard_expressions() -> Vec<(String, String)> {
    let panels = panels();
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().expect("a panel has targets");
        targets.iter().map(|target| (panel["title"].clone(), target["expr"].clone()))
    });
    let text = |value: Json| value.as_str().expect("it is text").to_owned();
    let variables = [("$job", "feature-server"), ("$instance", ".*"), ("$__rate_interval", "5m")];
    let expressions = targets.map(|(title, expression)| {
        let expression = variables.iter().fold(text(expression), |text, (name, value)| text.replace(name, value));
        (text(title), expression)
    });
    expressions.collect()
}

/// The expressions of the alert rules.
fn rule_expressions() -> Vec<&'static str> {
    let after = RULES.split("\n        expr: ").skip(1);
    after.map(|rest| rest.split("\n        for: ").next().expect("a text has a first part")).collect()
}

/// The text without the parts from `open` to the next `close`.
fn without(text: &str, open: &str, close: char) -> String {
    let mut parts = text.split(open);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + " " + part.split_once(close).map_or("", |(_, rest)| rest))
}

/// The names of metrics in an expression.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    const OPERATORS: [&str; 7] = ["sum", "by", "on", "and", "or", "unless", "bool"];
    let lists = [("{", '}'), ("by (", ')'), ("on (", ')'), ("[", ']')];
    let plain = lists.iter().fold(expression.to_owned(), |text, (open, close)| without(&text, open, *close));
    // The name of a function ends with a parenthesis.
    let plain = plain.replace('(', "( ");
    let words = plain.split(|character: char| !(character.is_alphanumeric() || "_(".contains(character)));
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_alphabetic()) && !word.ends_with('(');
    words.filter(is_name).filter(|word| !OPERATORS.contains(word)).map(str::to_owned).collect()
}

/// The name, the type and the labels of each metric that a server exports.
fn exported(metrics: &str) -> BTreeSet<[String; 3]> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let described = types.map(|(name, kind)| {
        let sample = if kind == "histogram" { format!("{name}_bucket{{") } else { format!("{name}{{") };
        let labels = metrics.lines().find_map(|line| line.strip_prefix(&sample)?.split_once('}')).unwrap_or_default().0;
        let labels = labels.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label);
        let labels: Vec<_> = labels.filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        [name.to_owned(), kind.to_owned(), labels.join(", ")]
    });
    described.collect()
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let said = accepted(&["check", "rules", "prometheus-rules.yml"]);
    assert!(said.contains("7 rules found"), "{said}");
    accepted(&["test", "rules", "prometheus-rules.test.yml"]);
}

#[test]
fn promtool_parses_the_expressions_of_the_dashboard() {
    let rules = |expressions: &[String]| {
        let rules = expressions.iter().enumerate();
        let rules = rules.map(|(number, expression)| json!({"record": format!("r{number}"), "expr": expression}));
        let rules = json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]});
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), rules.to_string()).expect("the file is writable");
        file
    };
    let mut expressions: Vec<_> = dashboard_expressions().into_iter().map(|(_, expression)| expression).collect();
    let file = rules(&expressions);
    accepted(&["check", "rules", &file.path().display().to_string()]);
    expressions.push("rate(up[5m)".to_owned());
    let file = rules(&expressions);
    assert!(!promtool(&["check", "rules", &file.path().display().to_string()]).status.success(), "it parses anything");
}

#[test]
fn names_in_expressions_are_those_of_metrics() {
    let table = [
        // expression, names
        ("up{job=\"a\"} unless on (job, instance) feature_b == 1\n or absent(up)", vec!["feature_b", "up"]),
        ("histogram_quantile(0.5, sum by (le) (rate(a_bucket{b=~\"c|d\"}[5m])))", vec!["a_bucket"]),
        ("time() - a_seconds / sum(rate(b_total[5m])) > 1 * 60", vec!["a_seconds", "b_total"]),
    ];
    for (expression, names) in table {
        assert_eq!(metrics_in(expression), names.into_iter().map(str::to_owned).collect(), "{expression}");
    }
}

#[test]
fn every_metric_in_use_is_exported_and_every_exported_one_documented() {
    let server = server_with_all_metrics();
    let metrics = scrape(&server);
    server.stop();
    let series = metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split([' ', '{']).next());
    // Prometheus makes `up` itself.
    let series: BTreeSet<_> = series.chain(["up"]).collect();
    let dashboard = dashboard_expressions().into_iter().map(|(_, expression)| expression);
    for expression in dashboard.chain(rule_expressions().into_iter().map(str::to_owned)) {
        let names = metrics_in(&expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(series.contains(&*name), "{name} is not exported: {expression}");
        }
    }

    let section = OPERATIONS.split_once("\n## Metrics\n").expect("the section is there").1;
    let section = section.split("\n## ").next().expect("a text has a first part");
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().to_owned());
        let mut cell = || cells.next().expect("a row has cells");
        [cell().replace('`', ""), cell(), cell()]
    });
    let documented: BTreeSet<_> = rows.collect();
    assert_eq!(documented, exported(&metrics));
}

#[test]
fn every_panel_shows_data_of_the_variable_data_source() {
    let server = server_with_all_metrics();
    let prometheus = Prometheus::of(&server);
    let token = server.token("--role IAM_OWNER --instance demo");
    let mut missing = dashboard_expressions();
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "without data: {missing:?}");
        // A rate needs two scrapes with calls between them.
        call(&server, &token, "GET", "");
        call(&server, "no-token", "GET", "");
        missing.retain(|(_, expression)| prometheus.query(expression).is_none());
        thread::sleep(Duration::from_millis(50));
    }
    for panel in panels() {
        assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{panel}");
    }
    server.stop();
}

#[test]
fn every_rule_has_a_severity_a_summary_and_a_runbook() {
    for rule in RULES.split("\n      - alert: ").skip(1) {
        let name = rule.lines().next().expect("a text has a first line");
        assert!(rule.contains("severity: critical") || rule.contains("severity: warning"), "{name}");
        assert!(rule.contains("summary: "), "{name}");
        assert!(rule.contains(&format!("runbook: docs/operations.md#{}\n", name.to_lowercase())), "{name}");
        assert!(OPERATIONS.contains(&format!("\n### {name}\n")), "docs/operations.md has no section {name}");
    }
}
