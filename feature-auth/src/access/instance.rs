//! Which instance a call is for. What the caller may do there is not known here.

use std::collections::HashMap;

use feature_core::{IdError, InstanceId};
use http::{HeaderMap, HeaderValue};

use super::{CallParts, Rule};
use crate::auth::error::AuthError;
use crate::auth::principal::Principal;
use crate::config::settings;
use crate::error::Failure;
use crate::host::{Host, canonical_name, host_of};

/// The metadata that names an instance.
const INSTANCE_METADATA: &str = "x-zitadel-instance-id";

/// The metadata that names the host of an instance, where a proxy has replaced the call's own.
const INSTANCE_HOST_METADATA: &str = "x-zitadel-instance-host";

/// The instances that are known by more than their id.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    /// By host name, in the spelling of [`crate::host`].
    hosts: HashMap<String, InstanceId>,
    default: Option<InstanceId>,
}

impl Instances {
    /// Takes them from the settings.
    ///
    /// # Errors
    /// [`AuthError`] names the setting whose instance has no valid id.
    pub fn new(settings: &settings::Instances) -> Result<Self, AuthError> {
        let id = |key: &str, id: &str| InstanceId::new(id).map_err(|problem| AuthError::setting(key, id, problem));
        let mut hosts = HashMap::new();
        for (host, instance) in &settings.hosts {
            let key = format!("instances.hosts.{host:?}");
            let instance = id(&key, instance)?;
            if let Some(other) = hosts.insert(canonical_name(host).into_owned(), instance.clone())
                && other != instance
            {
                let problem = format!("the same host has the instance {other:?}: keep one entry for it");
                return Err(AuthError::setting(key, instance, problem));
            }
        }
        let default = settings.default.as_deref().map(|default| id("instances.default", default)).transpose()?;
        Ok(Self { hosts, default })
    }

    /// The instance of a call: the first of the token's own, the one named by metadata, the one of the host, and the
    /// default.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`] when the token belongs to another instance than metadata name,
    /// [`Failure::FieldsInvalid`] for malformed metadata, and [`Failure::InstanceUnknown`].
    pub fn of_call(&self, principal: &Principal, rule: &Rule, call: CallParts<'_>) -> Result<InstanceId, Failure> {
        let named = metadata(call.headers, INSTANCE_METADATA, InstanceId::new)?;
        let named_host = single(call.headers, INSTANCE_HOST_METADATA)?.map(|value| Host::parse(value.as_bytes()));
        let named_host = named_host.transpose();
        let named_host = named_host.map_err(|error| Failure::field(INSTANCE_HOST_METADATA, error.to_string()))?;
        match (&principal.instance, named) {
            (Some(own), Some(named)) if *own != named => {
                Err(rule.missing("the token belongs to another instance than x-zitadel-instance-id names"))
            }
            // A host of another instance is no contradiction: a token may be used through any address of the server.
            (Some(own), _) => Ok(own.clone()),
            (None, Some(named)) => Ok(named),
            (None, None) => {
                let of_host = self.of_host(named_host, call)?.or(self.default.as_ref());
                of_host.cloned().ok_or(Failure::InstanceUnknown)
            }
        }
    }

    /// `named`: the host that counts instead of the call's own.
    fn of_host(&self, named: Option<Host>, call: CallParts<'_>) -> Result<Option<&InstanceId>, Failure> {
        if self.hosts.is_empty() {
            return Ok(None);
        }
        let host = match named {
            Some(host) => Some(host),
            None => host_of(call.uri, call.headers)?,
        };
        Ok(host.and_then(|host| self.hosts.get(&*host.name())))
    }
}

/// The id in a metadata entry.
///
/// # Errors
/// [`Failure::FieldsInvalid`] when the entry comes more than once or holds no id.
pub(super) fn metadata<I>(
    headers: &HeaderMap,
    name: &'static str,
    id: impl FnOnce(&str) -> Result<I, IdError>,
) -> Result<Option<I>, Failure> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Failure::field(name, "must be UTF-8"))?;
    id(text).map(Some).map_err(|error| Failure::field(name, error.to_string()))
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a HeaderValue>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    // Which of two is meant, a proxy and this server could see differently.
    if values.next().is_some() { Err(Failure::field(name, "must be given once at most")) } else { Ok(first) }
}

#[cfg(test)]
mod tests;
