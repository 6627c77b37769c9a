//! The hosts that the server answers for. Requests for other hosts may be the work of a page that has tricked a
//! browser.
//!
//! The owner of a host name can point it at any address, and so at this server, after a browser has loaded a page by
//! that name (DNS rebinding). The browser then sees the page and the server as one origin, and CORS does not help. Only
//! the host name in such a request is suspicious.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::{Request, Version};

use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::{Origin, canonical_name, host_of};

/// The hosts that the server answers for.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: HashSet<String>,
    /// Whether requests for other hosts are refused even if they do not look like requests of a page.
    closed: bool,
}

impl Hosts {
    /// The hosts of the settings.
    pub fn new(settings: &Settings) -> Self {
        let names: Vec<_> = settings.server.allowed_hosts.iter().chain(settings.instances.hosts.keys()).collect();
        let names = names.into_iter().map(|name| canonical_name(name).into_owned()).collect();
        let cleartext = settings.tls.certificate_file.is_none();
        // Only browsers on this machine reach loopback. With TLS, the handshake fails for a wrong name.
        let on_loopback = cleartext && settings.server.is_on_loopback();
        Self { names, closed: on_loopback || !settings.server.allowed_hosts.is_empty() }
    }

    /// Refuses a request for another host, or for more than one. `grpc`: whether it is a plain gRPC call. Browsers make
    /// none, and gRPC clients use any host name.
    ///
    /// # Errors
    /// [`Failure::HostUnknown`]; or the failure of the field `host`, if the request contradicts itself.
    pub fn check<B>(&self, request: &Request<B>, grpc: bool) -> Result<(), Failure> {
        let Some(host) = host_of(request.uri(), request.headers())? else {
            // HTTP/1.0 does not require a host.
            let must = request.version() == Version::HTTP_11;
            return if must { Err(Failure::field("host", "must be given")) } else { Ok(()) };
        };
        if grpc {
            return Ok(());
        }
        let name = host.name();
        if is_literal_or_loopback(&name) || self.names.contains(&*name) {
            return Ok(());
        }
        // Pages loaded over TLS are exempt: their server has shown a certificate for the name.
        let is_of_page_here = |page: Origin| page.scheme == "http" && page.is_of_server(request);
        if self.closed || Origin::of(request).is_some_and(is_of_page_here) {
            return Err(Failure::HostUnknown(name.into_owned()));
        }
        Ok(())
    }
}

/// Whether an attacker cannot point this name, in the spelling of [`crate::host`], here: an address needs no DNS, and
/// browsers resolve loopback names to their own machine.
pub(crate) fn is_literal_or_loopback(host: &str) -> bool {
    let is_ipv6 = || {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    };
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok() || is_ipv6()
}

#[cfg(test)]
mod tests;
