//! The syntax of `log.filter`, and the libraries that it keeps quiet.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Libraries that log for their authors at `info` and `debug`, each with the least level that is worth a line. h2 warns
/// of clients that break the protocol: with those lines any client could fill the log.
const QUIET: &[(&str, &str)] = &[
    ("h2", "error"),
    ("hyper", "warn"),
    ("hyper_util", "warn"),
    ("rustls", "warn"),
    ("sled", "warn"),
    ("tonic", "warn"),
    ("tower", "warn"),
];

/// The levels, from none to all lines.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// Whether a text is a log filter: a level, or a list of levels and `target=level` separated by commas.
pub(super) fn is_filter(text: &str) -> bool {
    // The library takes a lone word that is not a level for the name of a target. A misspelt level would then silence
    // everything, so it is refused here.
    let no_typo = text.split(',').all(|part| part.contains(['=', '[']) || is_level(part));
    no_typo && parse(text).is_ok()
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// Parses a filter. Libraries that it does not name are kept quiet.
///
/// # Errors
/// When the text is malformed.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, ParseError> {
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

#[cfg(test)]
mod tests {
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
}
