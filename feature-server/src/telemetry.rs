//! The logs of the process: their format, their filter and where they go. What is logged stands beside the code that
//! logs it; nothing here knows about calls.
//!
//! Logs go to standard error, because standard output belongs to the lines that scripts wait for. Libraries are never
//! asked for more than `info`: below that some write down what they handle, such as headers with tokens in them.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterFn, ParseError, filter_fn};
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::settings::{Log, LogFormat};

/// Libraries that say at `info` and `debug` what only their authors need, and the level from which they are worth a
/// line. h2 warns of clients that break the protocol: anybody could fill the log with that.
const QUIET: &[(&str, &str)] = &[
    ("h2", "error"),
    ("hyper", "warn"),
    ("hyper_util", "warn"),
    ("rustls", "warn"),
    ("sled", "warn"),
    ("tonic", "warn"),
    ("tower", "warn"),
];

/// What the targets of this project's own crates begin with.
const OWN: &str = "feature_";

/// The levels from the least to the most talkative.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed. Settings that were loaded have a good one.
    #[error("the log filter is malformed: {0}")]
    Filter(#[from] ParseError),
    /// Somebody else in this process logs already.
    #[error("logging was set up twice")]
    SetUpTwice,
}

/// Sends the logs of this process to standard error, as the settings say. To be called once.
///
/// # Errors
/// When the filter is malformed, or on a second call.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let stderr = io::stderr();
    let terminal = stderr.is_terminal();
    let subscriber = subscriber(log, terminal, io::stderr)?;
    subscriber.try_init().map_err(|_| TelemetryError::SetUpTwice)?;
    if let Some(library) = asks_for_details_of(&log.filter) {
        tracing::warn!(library, "log.filter asks for details that may hold tokens: libraries log from info on");
    }
    Ok(())
}

/// The first library of which a filter names a level below `info`.
fn asks_for_details_of(filter: &str) -> Option<&str> {
    filter.split(',').find_map(|part| {
        let (target, level) = part.split_once('=')?;
        let details = ["debug", "trace"].iter().any(|details| details.eq_ignore_ascii_case(level));
        (details && !target.starts_with(OWN) && !target.starts_with('[')).then_some(target)
    })
}

/// Lets nothing of libraries through below `info`, whatever a filter asks for.
fn without_details_of_libraries() -> FilterFn {
    let allowed = |metadata: &Metadata<'_>| *metadata.level() <= Level::INFO || metadata.target().starts_with(OWN);
    filter_fn(allowed)
}

/// Whether a text is a log filter: a level, or a list of levels and `target=level` separated by commas.
pub fn is_filter(text: &str) -> bool {
    // To the library, a lone word that is no level is the name of a target. So a misspelt level would silence
    // everything without a word; it is refused here.
    let no_typo = text.split(',').all(|part| part.contains(['=', '[']) || is_level(part));
    no_typo && filter(text).is_ok()
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// What the operator asked for, with the libraries kept quiet unless they are named.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let asked = text.split(',').rfind(|part| is_level(part)).unwrap_or("error");
    let quieter_than_warn = ["off", "error"].iter().any(|level| level.eq_ignore_ascii_case(asked));
    let mut directives = String::new();
    if !quieter_than_warn {
        directives.extend(QUIET.iter().map(|(target, level)| format!("{target}={level},")));
    }
    // Of two directives for one target the later one counts.
    directives.push_str(text);
    EnvFilter::builder().parse(directives)
}

fn subscriber<W>(log: &Log, terminal: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder: SubscriberBuilder<_, _, EnvFilter, W> =
        tracing_subscriber::fmt().with_env_filter(filter(&log.filter)?).with_writer(writer).with_ansi(terminal);
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let cap = without_details_of_libraries();
    Ok(if text {
        Box::new(builder.finish().with(cap))
    } else {
        // All spans and not only the innermost: the request id stands in the outermost one.
        let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(true);
        Box::new(json.finish().with(cap))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_filter_is_a_list_of_levels_and_targets() {
        let table = [
            // (text, is a filter)
            ("info", true),
            ("WARN", true),
            ("off", true),
            ("info,feature_server=debug", true),
            ("warn,h2=trace,feature_store=off", true),
            ("info,[call{method=Get}]=trace", true),
            ("inof", false),
            ("", false),
            ("info,", false),
            ("info, debug", false),
            ("feature_server=loud", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_filter(text), expected, "{text:?}");
        }
    }

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
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().into()
                })
                .collect();
            assert_eq!(messages.join(" "), expected, "{filter} {target}");
        }
    }

    #[test]
    fn libraries_say_no_details_even_where_a_filter_asks_for_all_of_a_span() {
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
    fn who_asks_for_the_details_of_a_library_is_told() {
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
        let subscriber = subscriber(log, terminal, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
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
}
