//! curl, which many users call REST with: makes one request in a version of HTTP and parses the answer.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::support::harness::{Server, limited};

/// A version of HTTP.
#[derive(Debug, Clone, Copy)]
pub enum Version {
    Http1,
    Http2,
}

impl Version {
    /// All versions.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// A server, called in one version of HTTP.
pub struct Curl<'s> {
    pub server: &'s Server,
    pub version: Version,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    headers: serde_json::Map<String, Json>,
    pub body: Vec<u8>,
}

impl Curl<'_> {
    /// Sends a request. A header without a colon is a bearer token, an empty header is skipped, and `compressed` makes
    /// curl request and decompress compressed answers.
    pub fn call(&self, method: &str, path: &str, headers: &[&str], body: Option<&[u8]>) -> Answer {
        let mut command = limited("curl");
        // Ignores the user's configuration of curl, and sends the path unchanged.
        command.args(["--disable", "--silent", "--show-error", "--path-as-is", "--globoff"]);
        // Without this option, curl would wait for the content of an answer to HEAD. It prints the headers instead.
        match method {
            "HEAD" => command.arg("--head"),
            method => command.args(["--request", method]),
        };
        command.arg(match self.version {
            Version::Http1 => "--http1.1",
            Version::Http2 => "--http2-prior-knowledge",
        });
        for header in headers.iter().filter(|header| !header.is_empty()) {
            match header {
                &"compressed" => command.arg("--compressed"),
                header if header.contains(':') => command.args(["--header", header]),
                token => command.args(["--header", &format!("authorization: Bearer {token}")]),
            };
        }
        if body.is_some() {
            command.args(["--data-binary", "@-"]);
        }
        let told = r#"%{stderr}{"status":%{response_code},"version":"%{http_version}","headers":%{header_json}}"#;
        command.args(["--write-out", told]).arg(format!("http://{}{path}", self.server.address()));
        let (body, told) = piped(&mut command, body.unwrap_or_default());
        let told: Told = serde_json::from_slice(&told)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}: {}", String::from_utf8_lossy(&told)));
        let version = if matches!(self.version, Version::Http1) { "1.1" } else { "2" };
        assert_eq!(told.version, version, "{method} {path}: the version of HTTP");
        Answer { status: told.status, headers: told.headers, body }
    }
}

impl Answer {
    /// The body, which must be JSON and have JSON's content type.
    pub fn json(&self) -> Json {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "the content type is '{content_type}': {self:?}");
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.get(0)?.as_str()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = Json::Object(self.headers.clone());
        write!(f, "{} {headers} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Compresses bytes with gzip.
pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    piped(limited("gzip").arg("--stdout"), bytes).0
}

/// What curl reports about an answer beside its body.
#[derive(Deserialize)]
struct Told {
    status: u16,
    version: String,
    headers: serde_json::Map<String, Json>,
}

/// Runs a command with bytes on its standard input. Returns its standard output and standard error.
fn piped(command: &mut Command, input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = process.stdin.take().expect("standard input is piped");
    let output = thread::scope(|scope| {
        // A server that refuses a request may close the connection before it has read everything.
        scope.spawn(move || stdin.write_all(input));
        process.wait_with_output().expect("the program ends")
    });
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    (output.stdout, output.stderr)
}
