//! How long a client waits, as the headers of its protocol say it.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::error::Error;
use crate::headers::{CONNECT_TIMEOUT, GRPC_TIMEOUT};

/// The timeout of a gRPC, gRPC-Web or REST call.
pub(crate) fn grpc(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    only(headers, GRPC_TIMEOUT, parse, "must be given once, as 1 to 8 digits and one of the units H, M, S, m, u, n")
}

/// The timeout of a Connect call.
pub(crate) fn connect(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let milliseconds = |value: &[u8]| number(value, 10).map(Duration::from_millis);
    only(headers, CONNECT_TIMEOUT, milliseconds, "must be given once, as 1 to 10 digits")
}

/// The meaning of the only value of a header. The error is `problem` if it is malformed, or if there are several.
fn only(
    headers: &HeaderMap,
    name: HeaderName,
    parse: impl FnOnce(&[u8]) -> Option<Duration>,
    problem: &str,
) -> Result<Option<Duration>, Error> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let timeout = parse(value.as_bytes()).filter(|_| values.next().is_none());
    timeout.map(Some).ok_or_else(|| Error::field(name.as_str(), problem))
}

/// Reads a timeout as the gRPC protocol writes it.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = number(digits, 8)?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 60 * 60)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Reads 1 to `most` digits. The gRPC protocol says 'positive', yet clients whose time is up send 0, and mean it.
fn number(digits: &[u8], most: usize) -> Option<u64> {
    let is_number = (1..=most).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        let s = Duration::from_secs;
        let table = [
            // value, meaning
            ("1H", Some(s(3600))),
            ("2M", Some(s(120))),
            ("3S", Some(s(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("9n", Some(Duration::from_nanos(9))),
            ("00000001S", Some(s(1))),
            ("99999999H", Some(s(99_999_999 * 3600))),
            ("0n", Some(s(0))),
            ("100000000S", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            (" 1S", None),
            ("1 S", None),
            ("1SS", None),
            ("٣S", None),
        ];
        for (value, meaning) in table {
            assert_eq!(parse(value.as_bytes()), meaning, "{value:?}");
        }
    }

    #[test]
    fn a_malformed_or_repeated_timeout_is_named() {
        for values in [&["soon"][..], &["1S", "2S"]] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(GRPC_TIMEOUT, value.parse().unwrap());
            }
            let error = grpc(&headers).unwrap_err();
            assert!(error.to_string().starts_with("grpc-timeout: "), "{error}");
        }
    }

    #[test]
    fn connect_timeouts_are_read() {
        let ms = |number| Some(Some(Duration::from_millis(number)));
        let table: [(&[&str], _); 11] = [
            // values, milliseconds
            (&[], Some(None)),
            (&["1"], ms(1)),
            (&["0"], ms(0)),
            (&["0005000"], ms(5000)),
            (&["9999999999"], ms(9_999_999_999)),
            (&["10000000000"], None),
            (&[""], None),
            (&["-1"], None),
            (&["+1"], None),
            (&["1.5"], None),
            (&["1", "2"], None),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("connect-timeout-ms", value.parse().unwrap());
            }
            let found = connect(&headers).map_err(|error| error.to_string());
            assert_eq!(found.clone().ok(), expected, "{values:?}: {found:?}");
        }
    }
}
