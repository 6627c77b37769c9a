//! The host that a request is for, and the instance and organization that it names by its host and its metadata.
//!
//! `demo.example.com`, `Demo.example.com` and `demo.example.com.` name the same host: case does not count, and one
//! final dot, which makes a DNS name absolute, is removed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use feature_auth::access::{CallNames, INSTANCE_METADATA, ORGANIZATION_METADATA};
use feature_auth::{AuthError, SetupError};
use feature_core::{IdError, InstanceId, OrganizationId};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::config::settings;

/// The most bytes of a host with its port. A name in DNS has 253.
const MAX_BYTES: usize = 253 + ":65535".len();

/// The metadata that names the host of an instance, if a proxy has replaced the call's own.
const INSTANCE_HOST_METADATA: &str = "x-zitadel-instance-host";

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

    /// The host in the authority of a URI.
    pub(crate) fn of_authority(authority: Authority) -> Result<Self, HostError> {
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

/// Whether an attacker cannot point this name, in the form of [`Host::name`], here: an address needs no DNS, and
/// browsers resolve loopback names to their own machine.
pub(crate) fn is_literal_or_loopback(host: &str) -> bool {
    let is_ipv6 = || {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    };
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok() || is_ipv6()
}

/// The instances of hosts, and the default instance.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    /// By host name, in the form of [`Host::name`].
    hosts: HashMap<String, InstanceId>,
    default: Option<InstanceId>,
}

/// The names in one request.
#[derive(Debug)]
pub struct RequestNames<'r> {
    instances: &'r Instances,
    headers: &'r HeaderMap,
    /// The target, with the `:authority` if the protocol has one.
    target: &'r Uri,
}

impl Instances {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`SetupError`] names the setting whose instance has no valid id.
    pub fn new(settings: &settings::Instances) -> Result<Self, SetupError> {
        let id = |key: &str, id: &str| InstanceId::new(id).map_err(|problem| SetupError::setting(key, id, problem));
        let mut hosts = HashMap::new();
        for (host, instance) in &settings.hosts {
            let key = format!("instances.hosts.{host:?}");
            let instance = id(&key, instance)?;
            if let Some(other) = hosts.insert(canonical_name(host).into_owned(), instance.clone())
                && other != instance
            {
                let problem = format!("the same host has the instance {other:?}: keep one entry for it");
                return Err(SetupError::setting(key, instance, problem));
            }
        }
        let default = settings.default.as_deref().map(|default| id("instances.default", default)).transpose()?;
        Ok(Self { hosts, default })
    }

    /// The names in a request.
    pub fn names<'r, B>(&'r self, request: &'r Request<B>) -> RequestNames<'r> {
        RequestNames { instances: self, headers: request.headers(), target: request.uri() }
    }
}

impl RequestNames<'_> {
    /// The host of the instance in the metadata.
    fn instance_host(&self) -> Result<Option<Host>, AuthError> {
        let host = single(self.headers, INSTANCE_HOST_METADATA)?.map(|value| Host::parse(value.as_bytes()));
        host.transpose().map_err(|error| AuthError::field(INSTANCE_HOST_METADATA, error))
    }
}

impl CallNames for RequestNames<'_> {
    fn instance(&self) -> Result<Option<InstanceId>, AuthError> {
        let instance = id(self.headers, INSTANCE_METADATA, InstanceId::new)?;
        // A malformed host is refused even if it does not count.
        self.instance_host()?;
        Ok(instance)
    }

    fn default_instance(&self) -> Result<Option<InstanceId>, AuthError> {
        let Instances { hosts, default } = self.instances;
        if hosts.is_empty() {
            return Ok(default.clone());
        }
        let host = match self.instance_host()? {
            Some(host) => Some(host),
            None => host_of(self.target, self.headers).map_err(|error| AuthError::field("host", error))?,
        };
        let of_host = host.and_then(|host| hosts.get(&*host.name()));
        Ok(of_host.or(default.as_ref()).cloned())
    }

    fn organization(&self) -> Result<Option<OrganizationId>, AuthError> {
        id(self.headers, ORGANIZATION_METADATA, OrganizationId::new)
    }
}

/// The id in a metadata entry.
///
/// # Errors
/// [`AuthError::FieldInvalid`] if the entry comes more than once or holds no id.
fn id<I>(
    headers: &HeaderMap,
    name: &'static str,
    id: impl FnOnce(&str) -> Result<I, IdError>,
) -> Result<Option<I>, AuthError> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| AuthError::field(name, "must be UTF-8"))?;
    id(text).map(Some).map_err(|error| AuthError::field(name, error))
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a HeaderValue>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    // A proxy and this server could choose different ones of two values.
    if values.next().is_some() { Err(AuthError::field(name, "must be given once at most")) } else { Ok(first) }
}

#[cfg(test)]
mod tests;
