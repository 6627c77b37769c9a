//! The origin of a page in a browser, from the header `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::ORIGIN;
use http::{Request, Uri};

use crate::host::{Host, host_of};

/// The scheme, host and port of a page, in lower case.
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
        let host = Host::try_from(uri.authority()?.clone()).ok()?;
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
