//! Which events pass a filter, and in which format.

use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;

use super::*;

#[test]
fn libraries_are_quiet_unless_they_are_named() {
    let table = [
        // (filter, target, what is logged of a debug, info, warn and error event)
        ("info", "feature_server", "info warn error"),
        ("info", "h2", "error"),
        ("debug", "sled", "warn error"),
        ("debug", "feature_store", "debug info warn error"),
        ("info,h2=info", "h2", "info warn error"),
        ("info,h2=debug", "h2", "info warn error"),
        ("trace,h2=trace", "h2", "info warn error"),
        ("info,[call]=trace", "h2", "error"),
        ("trace", "another_library", "info warn error"),
        ("trace", "feature_server", "debug info warn error"),
        ("error", "hyper", "error"),
        ("off", "hyper", ""),
        ("feature_server=info", "hyper", ""),
    ];
    for (filter, target, expected) in table {
        let log = Log { filter: filter.to_owned(), format: LogFormat::Json };
        let written = written(&log, false, || match target {
            "feature_server" => events!("feature_server"),
            "feature_store" => events!("feature_store"),
            "h2" => events!("h2"),
            "hyper" => events!("hyper"),
            "another_library" => events!("another_library"),
            "sled" => events!("sled"),
            other => panic!("{other} is not in the list"),
        });
        let messages: Vec<String> = written
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().into())
            .collect();
        assert_eq!(messages.join(" "), expected, "{filter} {target}");
    }
}

#[test]
fn libraries_log_no_details_even_if_a_filter_enables_a_whole_span() {
    let log = Log { filter: "off,[call]=trace".to_owned(), format: LogFormat::Json };
    let written = written(&log, false, || {
        let call = tracing::trace_span!(target: "feature_server", "call");
        let _in_call = call.enter();
        events!("h2");
        events!("feature_server");
    });
    let lines_of =
        |target: &str| written.lines().filter(|line| line.contains(&format!("\"target\":\"{target}\""))).count();
    assert_eq!((lines_of("h2"), lines_of("feature_server")), (3, 4), "{written}");
}

#[test]
fn lines_that_no_filter_enables_are_never_evaluated() {
    // Calls check the level first, and have no span if it is too low.
    let table =
        [("off", LevelFilter::OFF), ("info", LevelFilter::INFO), ("info,feature_server=debug", LevelFilter::DEBUG)];
    for (filter, expected) in table {
        let log = Log { filter: filter.to_owned(), format: LogFormat::Json };
        let lines = Box::leak(Box::new(LineLimit::new()));
        let subscriber = subscriber(&log, false, io::sink, lines);
        assert_eq!(subscriber.max_level_hint(), Some(expected), "{filter}");
        let is_never = with_default(subscriber, || !tracing::enabled!(target: "feature_server", Level::TRACE));
        assert!(is_never, "{filter}");
    }
}

#[test]
fn a_filter_for_details_of_a_library_is_recognised() {
    let table = [
        // (filter, the library named)
        ("trace", None),
        ("info,feature_server=trace", None),
        ("info,h2=info,[call]=trace", None),
        ("info,h2=debug", Some("h2")),
        ("info,feature_server=debug,hyper=TRACE,h2=debug", Some("hyper")),
    ];
    for (filter, library) in table {
        assert_eq!(asks_for_details_of(filter), library, "{filter}");
    }
}

#[test]
fn a_terminal_gets_text_and_everything_else_json_unless_configured() {
    let table = [
        // (format, a terminal, JSON is written)
        (LogFormat::Auto, true, false),
        (LogFormat::Auto, false, true),
        (LogFormat::Text, false, false),
        (LogFormat::Json, true, true),
    ];
    for (format, terminal, expected) in table {
        let log = Log { filter: "info".to_owned(), format };
        let written = written(&log, terminal, || {
            let call = tracing::info_span!("call", request_id = "r1");
            let _in_call = call.enter();
            let inner = tracing::info_span!("inner");
            let _in_inner = inner.enter();
            tracing::info!(revision = 7, "committed");
        });
        let line = serde_json::from_str::<serde_json::Value>(&written).ok();
        assert_eq!(line.is_some(), expected, "{format:?} {terminal}: {written}");
        assert!(written.contains("committed") && written.contains("r1"), "{written}");
        if let Some(line) = line {
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["message"], "committed");
            assert_eq!(line["revision"], 7);
            assert_eq!(line["spans"][0]["request_id"], "r1");
            let timestamp = line["timestamp"].as_str().unwrap();
            humantime::parse_rfc3339(timestamp).unwrap_or_else(|error| panic!("{timestamp}: {error}"));
        }
    }
}

/// One event of each of four levels. A macro, because a target must be a constant.
macro_rules! events {
    ($target:literal) => {{
        tracing::debug!(target: $target, "debug");
        tracing::info!(target: $target, "info");
        tracing::warn!(target: $target, "warn");
        tracing::error!(target: $target, "error");
    }};
}
use events;

fn written(log: &Log, terminal: bool, work: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let lines = Box::leak(Box::new(LineLimit::new()));
    let subscriber = subscriber(log, terminal, move || writer.clone(), lines);
    with_default(subscriber, work);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
