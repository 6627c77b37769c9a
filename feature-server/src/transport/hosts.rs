//! Which hosts the server is called by, and the requests for others that a browser may have been tricked into.
//!
//! The owner of a host name can let it point to any address, so also to this server once a browser has loaded a page by
//! that name (DNS rebinding). To the browser the page and the server then are of one origin, and no rule of CORS helps.
//! What gives such requests away is the name in them.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{Request, Version};

use crate::config::settings::Settings;
use crate::error::Failure;

/// The hosts that the server is called by.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: HashSet<String>,
    /// Whether requests for other hosts are refused even when they do not look like those of a page.
    closed: bool,
}

impl Hosts {
    /// Takes them from the settings.
    pub fn new(settings: &Settings) -> Self {
        let names: HashSet<_> =
            settings.server.allowed_hosts.iter().chain(settings.instances.hosts.keys()).cloned().collect();
        let cleartext = settings.tls.certificate_file.is_none();
        // A browser of this machine is the only one that reaches loopback, and TLS fails where the name is wrong.
        let on_loopback = cleartext && settings.server.listen.ip().to_canonical().is_loopback();
        Self { names, closed: on_loopback || !settings.server.allowed_hosts.is_empty() }
    }

    /// Refuses what is for another host, or for more than one.
    ///
    /// `grpc`: whether it is a plain gRPC call. Browsers make none, and its clients name hosts as they like.
    ///
    /// # Errors
    /// [`Failure::HostUnknown`] or, when the request contradicts itself, [`Failure::FieldsInvalid`].
    pub fn check<B>(&self, request: &Request<B>, grpc: bool) -> Result<(), Failure> {
        let Some(authority) = authority(request)? else { return Ok(()) };
        let host = authority.host();
        if grpc || is_literal_or_loopback(host) || self.names.contains(&host.to_ascii_lowercase()) {
            return Ok(());
        }
        if self.closed || is_of_page_at(request, &authority) {
            return Err(Failure::HostUnknown(host.to_owned()));
        }
        Ok(())
    }
}

/// Whom a request is for: there must be one answer. HTTP/1.0 need not tell.
fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, Failure> {
    let wrong = |problem| Failure::field("host", problem);
    let mut headers = request.headers().get_all(HOST).iter();
    let (first, second) = (headers.next(), headers.next());
    if second.is_some() {
        return Err(wrong("must be given once"));
    }
    let of_header = first.map(|value| Authority::try_from(value.as_bytes())).transpose();
    let of_header = of_header.map_err(|_| wrong("must be a host, with or without a port"))?;
    match (request.uri().authority(), of_header) {
        // Authorities are equal whatever the case of their letters is.
        (Some(target), Some(header)) if *target != header => Err(wrong("must be the same as the request's target")),
        (Some(target), _) => Ok(Some(target.clone())),
        (None, None) if request.version() == Version::HTTP_11 => Err(wrong("must be given")),
        (None, of_header) => Ok(of_header),
    }
}

/// Whether a name cannot be made to point here by somebody else: an address is what it is, and browsers keep loopback
/// names to their own machine.
fn is_literal_or_loopback(host: &str) -> bool {
    let is_ipv6 = || {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    };
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok() || is_ipv6()
}

/// Whether the request is that of a page which the browser has loaded, in clear text, from the same host and port.
///
/// A page that came over TLS came from who has a certificate for its name.
fn is_of_page_at<B>(request: &Request<B>, authority: &Authority) -> bool {
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let page = origin.and_then(|origin| origin.strip_prefix("http://")?.parse::<Authority>().ok());
    page.is_some_and(|page| page == *authority)
}

#[cfg(test)]
mod tests;
