//! The log when its reader is gone or stuck, and when calls cause the same line many times.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value as Json, json};
use tonic::Code;

use crate::support::harness::{Folder, Server};
use crate::support::log_audit;
use crate::support::raw::Raw;

/// The message that counts the lines which the log left out.
const COUNT: &str = "lines of one kind were left out";

fn ends() -> (PipeReader, PipeWriter) {
    pipe().expect("the system has pipes")
}

/// Requests a resource that does not exist and whose long name is in the log's line. Returns the status code.
fn get(server: &Server, name_bytes: usize) -> String {
    let mut connection = TcpStream::connect(server.address()).expect("the server accepts a connection");
    let name = "x".repeat(name_bytes);
    let request = format!("GET /{name} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer is text");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_a_reader_ends_neither_calls_nor_the_server() {
    for filter in ["info", log_audit::EVERYTHING] {
        let (reader, writer) = ends();
        let server = Folder::embedded("").serve_logging(filter, writer);
        let mut first = String::new();
        // Drops the reader.
        BufReader::new(reader).read_line(&mut first).expect("the log is text");
        assert!(first.ends_with('\n'), "{first}");

        let token = server.token("--role SYSTEM_OWNER");
        for enabled in [true, false, true] {
            let raw = Raw::new(&server).await;
            raw.call("SetSystemFeatures", json!({"userSchema": enabled}), &[&token]).await.expect(filter);
            assert_eq!(get(&server, 10), "404", "{filter}");
        }
        let folder = server.stop();
        let summary = String::from_utf8(folder.run("verify").stdout).expect("a summary is text");
        assert!(summary.contains(" bytes, closed\n"), "{filter}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_stuck_reader_delays_neither_calls_nor_the_end() {
    // 4 MiB of details: more than the pipe and the server's buffer hold.
    let (calls, name_bytes) = (300, 15_000);
    for reads_again in [true, false] {
        let (reader, writer) = ends();
        let server = Folder::new("").serve_logging(log_audit::EVERYTHING, writer);
        for _ in 0..calls {
            assert_eq!(get(&server, name_bytes), "404");
        }
        if !reads_again {
            server.stop();
            continue;
        }
        let mut lines = BufReader::new(reader).lines().map(|line| line.expect("the log is text"));
        let count = lines.find_map(|line| {
            let line: Json = serde_json::from_str(&line).expect("each line is whole");
            line["message"].as_str()?.starts_with("lines were left out").then(|| line["left_out"].as_u64())?
        });
        let count = count.expect("the log goes on");
        assert!((1..calls).contains(&count), "{count}");
        server.stop();
        assert!(lines.any(|line| line.contains("shutting down")), "the last lines are written before the end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_each_call_causes_is_logged_a_few_times_a_second_and_counted() {
    // The signal for files at their size limit would end the server.
    let server = Folder::embedded("").serve_by(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    let token = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let process = Pid::from_raw(server.process() as i32).expect("a process has an id");
    prlimit(Some(process), Resource::Fsize, Rlimit { current: Some(0), maximum: None }).expect("it is our process");
    let calls = 500;
    for _ in 0..calls {
        let refused = raw.call("SetSystemFeatures", json!({"userSchema": true}), &[&token]).await;
        assert_eq!(refused.map_err(|refusal| refusal.code), Err(Code::Unavailable));
    }
    let told = |text: &str| {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str::<Json>(line).expect("a line is JSON")).collect::<Vec<_>>()
    };
    // The count appears once a second.
    let counted = || {
        let counts = told(COUNT);
        assert!(counts.iter().all(|line| line["of"].as_str().is_some_and(|of| of.contains("::error:"))), "{counts:?}");
        (counts.len(), counts.iter().filter_map(|line| line["left_out"].as_u64()).sum::<u64>())
    };
    let logged = || told("\"the store failed\"").len() as u64;
    let left_out = loop {
        let (counts, left_out) = counted();
        if logged() + left_out >= calls {
            break left_out;
        }
        server.wait_for_log(COUNT, counts + 1);
    };
    assert_eq!((logged() + left_out, left_out > 0), (calls, true), "each line is there or counted");
    assert_eq!(told("writes are refused from now on").len(), 1, "no other line is lost by it");
    server.kill();
}
