//! The clients: the programs of the two libraries, and `buf curl`.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::greeter::Greeter;
use crate::programs;

/// A client that makes the calls of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    Es,
    Python,
    Buf,
    /// Node sends HTTP requests as the table has them.
    Http,
}

impl Client {
    /// The name in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Client::Es => "es",
            Client::Python => "python",
            Client::Buf => "buf",
            Client::Http => "http",
        }
    }

    /// Makes calls, one after the other. Returns what the client saw of each.
    pub fn run(self, greeter: &Greeter, calls: &[Value]) -> Vec<Value> {
        let mut command = match self {
            Client::Buf => return calls.iter().map(|call| buf_curl(greeter, call)).collect(),
            Client::Es | Client::Http => programs::node("connect-calls.mjs"),
            Client::Python => programs::python("connect_calls.py"),
        };
        command.env("GREETER_URL", greeter.url()).env("GREETER_DESCRIPTORS", greeter.descriptors());
        let output = output(&mut command, &json!(calls).to_string());
        assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        let outcomes: Vec<_> = serde_json::from_slice(&output.stdout).expect("the client prints JSON");
        assert_eq!(outcomes.len(), calls.len());
        outcomes
    }
}

/// Makes a call with `buf curl`. It prints answers as JSON, and with `-v` the headers, too.
fn buf_curl(greeter: &Greeter, call: &Value) -> Value {
    let mut command = programs::buf();
    command.args(["curl", "-v", "--data", "@-", "--schema", &greeter.descriptors()]);
    for header in call["headers"].as_array().into_iter().flatten() {
        let text = |index: usize| header[index].as_str().expect("names and values are texts");
        command.args(["-H", &format!("{}: {}", text(0), text(1))]);
    }
    let method = call["method"].as_str().expect("every call has a method");
    command.arg(format!("{}/greeter.v1.Greeter/{method}", greeter.url()));
    let requests = call["requests"].as_array().expect("every call has requests");
    let output = output(&mut command, &requests.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"));
    let messages: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect();
    let log = String::from_utf8_lossy(&output.stderr);
    let error = log.find("\n{").and_then(|start| serde_json::Deserializer::from_str(&log[start..]).into_iter().next());
    let error: Value = error.transpose().expect("buf prints an error as JSON").unwrap_or_default();
    let details: Vec<_> = error["details"].as_array().into_iter().flatten().map(|detail| &detail["type"]).collect();
    let (status, headers) = head(&log);
    json!({
        "messages": messages.expect("buf prints messages as JSON"),
        "code": error["code"],
        "message": error["message"],
        "details": details,
        "http": status,
        "header": moods(&headers, ""),
        "trailer": moods(&headers, "trailer-"),
    })
}

/// The status and the headers of the answer, in what `buf curl -v` prints.
fn head(log: &str) -> (Option<u16>, Vec<(String, String)>) {
    let lines: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("buf: < (#1) ")).collect();
    let status = lines.iter().find_map(|line| line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok());
    let headers = lines.iter().filter_map(|line| line.split_once(": "));
    (status, headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
}

fn moods(headers: &[(String, String)], prefix: &str) -> Value {
    let mut moods = json!({});
    for name in ["mood", "mood-bin"] {
        let values = headers.iter().filter(|(header, _)| *header == format!("{prefix}{name}"));
        let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
        if !values.is_empty() {
            moods[name] = values.join(", ").into();
        }
    }
    moods
}

fn output(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the client starts");
    let mut stdin = process.stdin.take().expect("standard input is piped");
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        process.wait_with_output().expect("the client ends")
    })
}
