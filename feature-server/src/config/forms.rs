//! What the server's own settings may hold: hosts, origins, endpoints, log filters, and the ranges of most numbers.

use feature_auth::config::values::{Form, number};
use http::Uri;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// A number of things.
pub(super) fn count<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<T, D::Error> {
    number::<1, 1_000_000, T, D>(source)
}

/// At most a day: longer is a typing error, and far longer overflows clocks.
pub(super) fn milliseconds<'de, T: TryFrom<u64>, D: Deserializer<'de>>(source: D) -> Result<T, D::Error> {
    number::<1, 86_400_000, T, D>(source)
}

/// A part of the whole.
pub(super) fn ratio<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let ratio = match Value::deserialize(source)? {
        Value::Float(ratio) => Some(ratio),
        Value::Integer(ratio) => Some(ratio as f64),
        _ => None,
    };
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| Error::custom("a number from 0 to 1, such as 0.01"))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {}

impl Form for Host {
    const ALLOWED: &'static str = "a host in lower case and without a port, such as demo.example.com or [::1]";
    const ACCEPTS: fn(&str) -> bool = |text| {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
        }
        let in_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        // With one final dot it is the same name.
        let name = text.strip_suffix('.').unwrap_or(text);
        name.len() <= 253 && name.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label))
    };
}

pub(super) enum Origin {}

impl Form for Origin {
    const ALLOWED: &'static str = "an origin as browsers send it, such as https://console.example.com or \
                                   http://10.0.0.1:3000: lower case, no path, no default port";
    /// An origin that differs from what browsers send only in its spelling would never match, without a word.
    const ACCEPTS: fn(&str) -> bool = |text| {
        let Ok(uri) = text.parse::<Uri>() else { return false };
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        let is_default = [("https", ":443"), ("http", ":80")].contains(&(scheme, &port));
        let spelt_so = format!("{scheme}://{host}{port}") == text;
        ["https", "http"].contains(&scheme) && (Host::ACCEPTS)(host) && !is_default && spelt_so
    };
}

pub(super) enum Endpoint {}

impl Form for Endpoint {
    const ALLOWED: &'static str =
        "empty, or a URL of http or https with nothing after the port, such as http://127.0.0.1:4317";
    const ACCEPTS: fn(&str) -> bool = |text| {
        let Ok(uri) = text.parse::<Uri>() else { return text.is_empty() };
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        // A user's name and password, a path or a query would make it longer.
        let is_of = |scheme| format!("{scheme}://{host}{port}") == text.trim_end_matches('/');
        !host.is_empty() && ["http", "https"].into_iter().any(is_of)
    };
}

pub(super) enum StoreUrl {}

/// Any text: the rule on such a URL says what is wrong, and does not repeat a text that may hold a password.
impl Form for StoreUrl {
    const ALLOWED: &'static str = "a URL without a password, such as postgres://feature@db1,db2/feature";
    const ACCEPTS: fn(&str) -> bool = |_| true;
}

pub(super) enum ServiceName {}

impl Form for ServiceName {
    const ALLOWED: &'static str = "a name of 1 to 200 characters without control characters";
    const ACCEPTS: fn(&str) -> bool =
        |text| (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
}

pub(super) enum Filter {}

impl Form for Filter {
    const ALLOWED: &'static str = "off, error, warn, info, debug or trace, or a list such as info,feature_server=debug";
    const ACCEPTS: fn(&str) -> bool = |text| {
        // The library takes a lone word that is not a level for the name of a target. A misspelt level would then
        // silence everything, so it is refused here.
        let no_typo = text.split(',').all(|part| part.contains(['=', '[']) || is_level(part));
        no_typo && log_filter(text).is_ok()
    };
}

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

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// Parses a log filter. Libraries that it does not name are kept quiet.
pub(crate) fn log_filter(text: &str) -> Result<EnvFilter, ParseError> {
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

    fn check<F: Form>(table: &[(&str, bool)]) {
        for (text, expected) in table {
            assert_eq!((F::ACCEPTS)(text), *expected, "{text:?} as {}", F::ALLOWED);
        }
    }

    #[test]
    fn origins_are_spelt_as_browsers_spell_them() {
        check::<Origin>(&[
            // (text, is an origin)
            ("https://console.example.com", true),
            ("http://10.0.0.1:3000", true),
            ("http://[::1]:3000", true),
            ("https://[::1]", true),
            ("https://console.example.com.", true),
            ("https://localhost", true),
            ("*", false),
            ("null", false),
            ("", false),
            ("console.example.com", false),
            ("https://", false),
            ("https://console.example.com/", false),
            ("https://console.example.com/app", false),
            ("https://Console.example.com", false),
            ("HTTPS://console.example.com", false),
            ("https://console.example.com:443", false),
            ("http://console.example.com:80", false),
            ("http://console.example.com:", false),
            ("http://console.example.com:0800", false),
            ("http://console.example.com:65536", false),
            ("https://me@console.example.com", false),
            ("https://a..b", false),
            ("ftp://console.example.com", false),
            ("https://[0:0:0:0:0:0:0:1]", false),
        ]);
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port_at_most() {
        check::<Endpoint>(&[
            // (text, is an endpoint)
            ("", true),
            ("http://127.0.0.1:4317", true),
            ("http://collector:4317/", true),
            ("http://[::1]:4317", true),
            ("http://collector", true),
            ("https://collector:4317", true),
            ("https://[::1]", true),
            ("https://me:secret@collector:4317", false),
            ("https://collector:4317/v1/traces", false),
            ("HTTPS://collector:4317", false),
            ("httpss://collector:4317", false),
            ("collector:4317", false),
            ("http://", false),
            ("http://:4317", false),
            ("http://me:secret@collector:4317", false),
            ("http://collector:4317/v1/traces", false),
            ("http://collector:4317?a=b", false),
            ("http://collector:port", false),
            ("http://collector:0800", false),
            ("unix:///run/collector", false),
        ]);
    }

    #[test]
    fn hosts_have_no_port() {
        check::<Host>(&[
            // (text, is a host)
            ("demo.example.com", true),
            ("localhost", true),
            ("10.0.0.1", true),
            ("[::1]", true),
            ("my_host", true),
            ("Demo.example.com", false),
            ("demo.example.com:8080", false),
            ("demo.example.com/", false),
            ("demo.example.com.", true),
            ("demo.example.com..", false),
            (".", false),
            ("::1", false),
            ("", false),
        ]);
    }

    #[test]
    fn a_filter_is_a_list_of_levels_and_targets() {
        check::<Filter>(&[
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
        ]);
    }
}
