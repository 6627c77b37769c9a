//! Parses hosts and origins in requests and settings, and finds the one host that a request is for.
//!
//! `demo.example.com`, `Demo.example.com` and `demo.example.com.` name the same host: case does not count, and one
//! final dot, which makes a DNS name absolute, is removed.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request, Uri};

/// The most bytes of a host with its port. A name in DNS has 253.
const MAX_BYTES: usize = 253 + ":65535".len();

/// A host, with or without a port. Its name is not empty.
#[derive(Debug, Clone)]
pub struct Host(Authority);

/// Why a text is not a host, or a request has no single host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The text has another form.
    #[error("must be a host, with or without a port")]
    Malformed,
    /// The text has the form `user@host`.
    #[error("must be a host without user information: remove the '@' and what is in front of it")]
    UserInfo,
    /// The request has several `Host` headers.
    #[error("must be given once")]
    Repeated,
    /// The `Host` header names another host than the target.
    #[error("must be the same as the request's target")]
    Contradictory,
}

/// The host that a request is for: the host of its target, or else of its `Host` header; the two must not contradict
/// each other. Over HTTP/2 the target has the `:authority`.
pub fn host_of(target: &Uri, headers: &HeaderMap) -> Result<Option<Host>, HostError> {
    let mut given = headers.get_all(HOST).iter();
    let (header, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(HostError::Repeated);
    }
    let target = target.authority().cloned().map(Host::of_authority).transpose()?;
    match (target, header.map(|value| Host::parse(value.as_bytes())).transpose()?) {
        (Some(target), Some(header)) if target != header => Err(HostError::Contradictory),
        (target, header) => Ok(target.or(header)),
    }
}

/// The name of a host in the form of [`Host::name`].
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

impl Host {
    /// Parses a host.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        Self::of_authority(Authority::try_from(text).map_err(|_| HostError::Malformed)?)
    }

    fn of_authority(authority: Authority) -> Result<Self, HostError> {
        if authority.as_str().contains('@') {
            return Err(HostError::UserInfo);
        }
        let host = Self(authority);
        let after_name = host.as_str().strip_prefix(host.0.host()).unwrap_or_default();
        let port = after_name.strip_prefix(':').unwrap_or(after_name);
        let is_port = port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && host.port().is_some());
        let good = is_port && !host.name().is_empty() && host.as_str().len() <= MAX_BYTES;
        if good { Ok(host) } else { Err(HostError::Malformed) }
    }

    /// The name or address, in lower case and without a final dot. An IPv6 address is in brackets.
    pub fn name(&self) -> Cow<'_, str> {
        canonical_name(self.0.host())
    }

    /// The port, if there is one.
    pub fn port(&self) -> Option<u16> {
        self.0.port_u16()
    }

    /// The host as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.port() == other.port()
    }
}

/// The origin of a page in a browser: its scheme, host and port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: String,
    host: String,
    /// `None` for the default port of the scheme.
    port: Option<u16>,
}

impl Origin {
    /// The origin of the page that made a request; `None` if the request was not made by a page.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        request.headers().get(ORIGIN)?.to_str().ok().and_then(Self::parse)
    }

    /// Parses an origin.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let host = Host::of_authority(uri.authority()?.clone()).ok()?;
        if uri.path().len() > 1 || uri.query().is_some() {
            return None;
        }
        let port = unusual_port(&host, &scheme);
        Some(Self { host: host.name().into_owned(), port, scheme })
    }

    /// Whether the page comes from the machine of the browser.
    pub(crate) fn is_loopback(&self) -> bool {
        let is_ipv4 = || self.host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback());
        let is_ipv6 = || self.host == format!("[{}]", Ipv6Addr::LOCALHOST);
        let is_name = self.host == "localhost" || self.host.ends_with(".localhost");
        matches!(self.scheme.as_str(), "http" | "https") && (is_name || is_ipv4() || is_ipv6())
    }

    /// Whether the page comes from the host of the request.
    ///
    /// The scheme is not compared: behind a proxy that terminates TLS, the server does not know it.
    pub(crate) fn is_of_server<B>(&self, request: &Request<B>) -> bool {
        let server = host_of(request.uri(), request.headers()).ok().flatten();
        server.is_some_and(|server| server.name() == self.host && unusual_port(&server, &self.scheme) == self.port)
    }
}

fn unusual_port(host: &Host, scheme: &str) -> Option<u16> {
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    host.port().filter(|port| Some(*port) != usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_have_one_spelling() {
        let longest = format!("{}.example:65535", "a".repeat(253 - ".example".len()));
        let (too_long, digits) = (format!("a{longest}"), format!("localhost:{}", "0".repeat(300)));
        let longest_name = longest.strip_suffix(":65535").unwrap();
        let (malformed, user_info) = (Err(HostError::Malformed), Err(HostError::UserInfo));
        let table = [
            // text, name and port
            ("demo.example.com", Ok(("demo.example.com", None))),
            ("Demo.EXAMPLE.com:8080", Ok(("demo.example.com", Some(8080)))),
            ("demo.example.com.", Ok(("demo.example.com", None))),
            ("demo.example.com.:443", Ok(("demo.example.com", Some(443)))),
            ("demo.example.com..", Ok(("demo.example.com.", None))),
            ("localhost.", Ok(("localhost", None))),
            ("127.0.0.1.", Ok(("127.0.0.1", None))),
            ("[::1]:8080", Ok(("[::1]", Some(8080)))),
            ("localhost:", Ok(("localhost", None))),
            (&*longest, Ok((longest_name, Some(65535)))),
            ("", malformed),
            (".", malformed),
            (":8080", malformed),
            ("localhost:65536", malformed),
            ("localhost:+80", malformed),
            ("[::1]80", malformed),
            ("a b", malformed),
            ("a/b", malformed),
            ("[", malformed),
            (&*too_long, malformed),
            (&*digits, malformed),
            ("me@localhost", user_info),
            ("me:secret@localhost:8080", user_info),
            ("@localhost", user_info),
            ("localhost@evil.example", user_info),
        ];
        for (text, expected) in table {
            let actual = Host::parse(text.as_bytes());
            let actual = actual.as_ref().map(|host| (host.name(), host.port())).map_err(|error| *error);
            assert_eq!(actual, expected.map(|(name, port)| (name.into(), port)), "{text}");
        }
    }

    #[test]
    fn a_request_is_for_one_host() {
        let user_info = "must be a host without user information: remove the '@' and what is in front of it";
        let malformed = "must be a host, with or without a port";
        let other = "must be the same as the request's target";
        type Outcome = Result<Option<&'static str>, &'static str>;
        let table: [(&str, &[&str], Outcome); 18] = [
            // target, Host headers, the host or what is wrong
            ("/", &["localhost"], Ok(Some("localhost"))),
            ("/", &["localhost:8080"], Ok(Some("localhost:8080"))),
            ("/", &[], Ok(None)),
            ("http://localhost:8080/", &[], Ok(Some("localhost:8080"))),
            ("http://localhost:8080/", &["LocalHost:8080"], Ok(Some("localhost:8080"))),
            ("http://demo.example.com./", &["demo.example.com"], Ok(Some("demo.example.com."))),
            ("http://demo.example.com/", &["DEMO.example.com."], Ok(Some("demo.example.com"))),
            ("/", &["localhost", "localhost"], Err("must be given once")),
            ("http://localhost/", &["localhost", "evil.example"], Err("must be given once")),
            ("http://localhost/", &["evil.example"], Err(other)),
            ("http://localhost:8080/", &["localhost"], Err(other)),
            ("/", &[""], Err(malformed)),
            ("/", &["a/b"], Err(malformed)),
            ("http://localhost/", &["a/b"], Err(malformed)),
            ("/", &["me@localhost"], Err(user_info)),
            ("http://me@localhost/", &[], Err(user_info)),
            ("http://me@localhost/", &["localhost"], Err(user_info)),
            ("http://localhost/", &["me@localhost"], Err(user_info)),
        ];
        for (target, given, expected) in table {
            let headers = given.iter().map(|value| (HOST, value.parse().unwrap())).collect();
            let actual = host_of(&target.parse().unwrap(), &headers).map_err(|error| error.to_string());
            let actual = actual.as_ref().map(|host| host.as_ref().map(Host::as_str)).map_err(String::as_str);
            assert_eq!(actual, expected, "{target} {given:?}");
        }
    }
}
