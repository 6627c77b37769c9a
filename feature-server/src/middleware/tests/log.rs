//! What the log says of a call, and what it never contains.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use tracing_subscriber::fmt::MakeWriter;

use super::support::*;
use crate::config::settings::Settings;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The `N` log lines of calls to these paths.
async fn logged<const N: usize>(paths: &[&str]) -> [String; N] {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_env_filter("feature_server=trace")
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Other tests run without a subscriber. If one of them has just reached a log statement first, tracing may have
    // cached that the statement is off. So the calls are repeated until all statements are on.
    for _ in 0..5000 {
        tracing::callsite::rebuild_interest_cache();
        lines.0.lock().unwrap().clear();
        for path in paths {
            let request = if *path == "/nowhere" { Request::get(*path).header("host", "server") } else { grpc(path) };
            let request = request.header("x-request-id", "id-1").header("authorization", "Bearer secret");
            call(&Settings::default(), with_message(request)).await;
        }
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("secret") && !text.contains("authorization"), "{text}");
        let found: Vec<_> = text.lines().map(str::to_owned).collect();
        let in_span = found.iter().all(|line| line.contains("request_id="));
        match found.try_into() {
            Ok(lines) if in_span => return lines,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not {N} lines: {}", String::from_utf8_lossy(&lines.0.lock().unwrap()));
}

#[tokio::test]
async fn each_call_leaves_one_line() {
    let path = format!("{CHECK}?token=secret");
    let lines: [String; 3] = logged(&[&path, "/none.Such/Method", "/nowhere"]).await;
    let parts = [
        ["DEBUG", "method=\"/grpc.health.v1.Health/Check\"", "request_id=\"id-1\"", "code=Ok", "duration_us="],
        ["DEBUG", "method=\"/none.Such/Method\"", "request_id=\"id-1\"", "code=Unimplemented", "duration_us="],
        ["DEBUG", "method=\"/nowhere\"", "request_id=\"id-1\"", "http_status=404", "duration_us="],
    ];
    for (line, parts) in lines.iter().zip(parts) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[tokio::test]
async fn failures_inside_the_server_are_warnings() {
    let lines: [String; 3] = logged(&["/test/Panic", "/test/OneThenError"]).await;
    let parts = [["ERROR", "this call panics"], ["WARN", "code=Internal"], ["WARN", "code=DataLoss"]];
    for (line, parts) in lines.iter().zip(parts) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        assert!(line.contains("request_id=\"id-1\""), "{line}");
    }
}
