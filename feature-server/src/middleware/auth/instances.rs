//! Which instance and organization a call names: by its metadata, its host, and the configured default.

use std::collections::HashMap;

use feature_auth::access::{CallNames, INSTANCE_METADATA, ORGANIZATION_METADATA};
use feature_auth::{AuthError, SetupError};
use feature_core::{IdError, InstanceId, OrganizationId};
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::config::settings;
use crate::host::{Host, canonical_name, host_of};

/// The metadata that names the host of an instance, if a proxy has replaced the call's own.
const INSTANCE_HOST_METADATA: &str = "x-zitadel-instance-host";

/// The instances of hosts, and the default instance.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    /// By host name, in the spelling of [`crate::host`].
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
