//! Headers for the collector of traces, such as an API key, as a file or a variable of OpenTelemetry spells them. Their
//! values are secrets: no error and no `Debug` shows one.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// The longest text with headers, in bytes. Collectors and proxies before them take 8 to 16 KiB of headers.
pub const HEADERS_MAX_BYTES: usize = 8 * 1024;

/// Names that HTTP, gRPC or the exporter set themselves. Those that begin with `grpc-` belong to gRPC, too.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Headers with secret values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(HeaderMap);

/// Why a text cannot be used as headers. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// There is too much of it.
    #[error("has more than {HEADERS_MAX_BYTES} bytes")]
    TooLong,
    /// It has only comments and blank lines.
    #[error("holds no header: write lines such as 'api-key: SECRET'")]
    Empty,
    /// A line is wrong.
    #[error("line {0}: {1}")]
    Line(usize, HeaderProblem),
}

/// What is wrong with one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// A line has no colon.
    #[error("must be a name, a colon and a value, such as 'api-key: SECRET'")]
    NoColon,
    /// The name has other characters than gRPC allows.
    #[error("the name before the colon must be made of letters, digits, '-', '_' and '.'")]
    Name,
    /// The name has a meaning already.
    #[error("HTTP or gRPC use a header of this name themselves")]
    Reserved,
    /// The value has other characters than gRPC allows.
    #[error("the value must be made of visible ASCII characters and blanks")]
    Value,
    /// The name was there before.
    #[error("an earlier line has the same name")]
    Twice,
}

impl Headers {
    /// Reads lines of the form `name: value`. Blank lines and those that begin with `#` do not count.
    pub fn from_lines(text: &str) -> Result<Self, HeadersError> {
        if text.len() > HEADERS_MAX_BYTES {
            return Err(HeadersError::TooLong);
        }
        let mut headers = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let header = line.split_once(':').ok_or(HeaderProblem::NoColon);
            let added = header.and_then(|(name, value)| headers.add(name, value));
            added.map_err(|problem| HeadersError::Line(index + 1, problem))?;
        }
        if headers.0.is_empty() { Err(HeadersError::Empty) } else { Ok(headers) }
    }

    /// Reads the value of `OTEL_EXPORTER_OTLP_HEADERS`: `name=value` with commas between them and percent-encoded
    /// values, as in the header `baggage` of W3C. `None` unless all of it is right.
    pub fn from_variable(text: &str) -> Option<Self> {
        if text.len() > HEADERS_MAX_BYTES {
            return None;
        }
        let mut headers = Self::default();
        for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            let (name, value) = member.split_once('=')?;
            let value = percent_decode_str(value).decode_utf8().ok()?;
            headers.add(name, &value).ok()?;
        }
        (!headers.0.is_empty()).then_some(headers)
    }

    /// The headers as HTTP has them, marked as secret.
    pub fn into_map(self) -> HeaderMap {
        self.0
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderProblem> {
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(HeaderProblem::Name);
        }
        // gRPC takes the value of a name with this end for base64.
        if RESERVED.contains(&&*name) || name.starts_with("grpc-") || name.ends_with("-bin") {
            return Err(HeaderProblem::Reserved);
        }
        if value.is_empty() || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(HeaderProblem::Value);
        }
        let name = HeaderName::try_from(name).map_err(|_| HeaderProblem::Name)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| HeaderProblem::Value)?;
        value.set_sensitive(true);
        self.0.insert(name, value).map_or(Ok(()), |_| Err(HeaderProblem::Twice))
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderProblem::*;
    use super::*;

    /// Names with their values.
    type Pairs<'p> = &'p [(&'p str, &'p str)];

    /// The headers, sorted by name.
    fn pairs(headers: Headers) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let pairs = headers.0.iter().map(|(name, value)| (name.to_string(), text(value)));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort();
        pairs
    }

    fn owned(pairs: Pairs<'_>) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_line_is_a_name_and_a_value() {
        let long = format!("a: {}", "x".repeat(HEADERS_MAX_BYTES - 3));
        let (long_pair, too_long) = ([("a", &long[3..])], format!("{long}x"));
        let table: [(&str, Result<Pairs<'_>, HeadersError>); 24] = [
            // (text, headers)
            ("api-key: secret", Ok(&[("api-key", "secret")])),
            ("api-key:secret\r\n", Ok(&[("api-key", "secret")])),
            ("Authorization: Basic YTpi==", Ok(&[("authorization", "Basic YTpi==")])),
            ("# for the collector\n\n  a: 1\nb_2.c: x: %20, y = z\n", Ok(&[("a", "1"), ("b_2.c", "x: %20, y = z")])),
            (&long, Ok(&long_pair)),
            (&too_long, Err(HeadersError::TooLong)),
            ("", Err(HeadersError::Empty)),
            ("\n# api-key: secret\n", Err(HeadersError::Empty)),
            ("a: 1\n\napi-key=secret", Err(HeadersError::Line(3, NoColon))),
            ("secret", Err(HeadersError::Line(1, NoColon))),
            ("api-key=se:cret", Err(HeadersError::Line(1, Name))),
            ("api key: secret", Err(HeadersError::Line(1, Name))),
            (": secret", Err(HeadersError::Line(1, Name))),
            ("clé: secret", Err(HeadersError::Line(1, Name))),
            ("grpc-timeout: 1S", Err(HeadersError::Line(1, Reserved))),
            ("key-bin: c2VjcmV0", Err(HeadersError::Line(1, Reserved))),
            ("Content-Type: text/plain", Err(HeadersError::Line(1, Reserved))),
            ("TE: trailers", Err(HeadersError::Line(1, Reserved))),
            ("user-agent: me", Err(HeadersError::Line(1, Reserved))),
            ("api-key:", Err(HeadersError::Line(1, Value))),
            ("api-key: sécret", Err(HeadersError::Line(1, Value))),
            ("api-key: se\tcret", Err(HeadersError::Line(1, Value))),
            ("api-key: se\u{7f}cret", Err(HeadersError::Line(1, Value))),
            ("a: 1\nA: 2", Err(HeadersError::Line(2, Twice))),
        ];
        for (text, expected) in table {
            assert_eq!(Headers::from_lines(text).map(pairs), expected.map(owned), "{text}");
        }
    }

    #[test]
    fn a_variable_is_a_list_with_commas_and_percent_encoded_values() {
        let too_long = format!("a={}", "x".repeat(HEADERS_MAX_BYTES));
        let table: [(&str, Option<Pairs<'_>>); 15] = [
            // (value of the variable, headers)
            ("api-key=secret", Some(&[("api-key", "secret")])),
            (" a = 1 ,B=2,", Some(&[("a", "1"), ("b", "2")])),
            ("Authorization=Basic%20YTpi%3D%3d", Some(&[("authorization", "Basic YTpi==")])),
            ("authorization=Basic YTpi==", Some(&[("authorization", "Basic YTpi==")])),
            ("a=x%2Cy%25", Some(&[("a", "x,y%")])),
            ("a=100%", Some(&[("a", "100%")])),
            ("", None),
            (",", None),
            ("a", None),
            ("a=", None),
            ("=1", None),
            ("a: 1", None),
            ("a=1,a=2", None),
            ("a=%C3%A9", None),
            (&too_long, None),
        ];
        for (text, expected) in table {
            assert_eq!(Headers::from_variable(text).map(pairs), expected.map(owned), "{text}");
        }
        assert_eq!(Headers::from_variable("a=x%0d%0ab:%201"), None, "no line break comes in");
    }

    #[test]
    fn values_are_not_shown() {
        let headers = Headers::from_lines("api-key: secret").unwrap();
        let shown = format!("{headers:?} {:?}", headers.clone().into_map());
        assert!(shown.contains("api-key") && !shown.contains("secret"), "{shown}");
    }
}
