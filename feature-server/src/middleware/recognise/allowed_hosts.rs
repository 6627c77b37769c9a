//! Which hosts the server is called by, and the requests for others that a browser may have been tricked into.
//!
//! The owner of a host name can let it point to any address, so also to this server once a browser has loaded a page by
//! that name (DNS rebinding). To the browser the page and the server then are of one origin, and no rule of CORS helps.
//! What gives such requests away is the name in them.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::{Request, Version};

use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::origin::Origin;
use crate::host::{canonical_name, host_of};

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
        let names: Vec<_> = settings.server.allowed_hosts.iter().chain(settings.instances.hosts.keys()).collect();
        let names = names.into_iter().map(|name| canonical_name(name).into_owned()).collect();
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
        let Some(host) = host_of(request.uri(), request.headers())? else {
            // HTTP/1.0 need not name one.
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
        if self.closed || is_of_page_at(request) {
            return Err(Failure::HostUnknown(name.into_owned()));
        }
        Ok(())
    }
}

/// Whether a name cannot be made to point here by somebody else: an address is what it is, and browsers keep loopback
/// names to their own machine.
///
/// `host`: in the spelling of [`crate::host`].
fn is_literal_or_loopback(host: &str) -> bool {
    let is_ipv6 = || {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    };
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok() || is_ipv6()
}

/// Whether the request is that of a page which the browser has loaded, in clear text, from the same host and port.
///
/// A page that came over TLS came from who has a certificate for its name.
fn is_of_page_at<B>(request: &Request<B>) -> bool {
    Origin::of(request).is_some_and(|page| page.scheme == "http" && page.is_of_server(request))
}

#[cfg(test)]
mod tests;
