//! Clients that are recognised by the certificate of their connection. The TLS handshake has verified the certificate;
//! the configuration says which principal its names stand for.

use std::collections::HashMap;
use std::sync::Arc;

use feature_core::{InstanceId, OrganizationId, UserId};

use super::principal::{Grant, Identity, Principal};
use crate::clock::Timestamp;
use crate::config::{self, Bound};
use crate::error::{AuthError, SetupError};
use crate::roles::Roles;

/// The clients that are recognised by their certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    by_uri: HashMap<String, Arc<Principal>>,
    by_subject: HashMap<String, Arc<Principal>>,
}

/// The names in a verified client certificate, and its end.
#[derive(Debug)]
pub struct CertificateNames {
    /// The whole subject in the form of RFC 4514: last part first, and separators inside of a part escaped.
    pub subject: String,
    /// The URIs among the alternative names, such as `spiffe://example.org/console`.
    pub uris: Vec<String>,
    /// When it expires, in seconds since 1970-01-01T00:00:00Z.
    pub expires_at: u64,
}

impl Certificates {
    /// Reads the configured clients.
    pub fn new(entries: &[config::Certificate], roles: &Roles) -> Result<Self, SetupError> {
        let mut certificates = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let key = format!("auth.certificates[{index}]");
            let (map, name) = match (&entry.uri, &entry.subject) {
                (Some(uri), None) => (&mut certificates.by_uri, uri),
                (None, Some(subject)) => (&mut certificates.by_subject, subject),
                _ => return Err(SetupError::setting(key, "", "needs exactly one of uri and subject")),
            };
            map.insert(name.clone(), Arc::new(principal(&key, name, entry, roles)?));
        }
        Ok(certificates)
    }

    /// The principal of a certificate, by its first known URI or else by its subject; `None` if no entry names it.
    /// Fails with [`AuthError::CertificateExpired`] when the certificate has expired since the handshake.
    pub fn authenticate(&self, names: &CertificateNames, now: Timestamp) -> Option<Result<Arc<Principal>, AuthError>> {
        let by_uri = names.uris.iter().find_map(|uri| self.by_uri.get(uri));
        let principal = by_uri.or_else(|| self.by_subject.get(&names.subject))?;
        // The certificate was valid when the connection was opened, which may be long ago.
        let expired = names.expires_at <= now.unix_s;
        Some(if expired { Err(AuthError::CertificateExpired) } else { Ok(Arc::clone(principal)) })
    }
}

fn principal(key: &str, name: &str, entry: &config::Certificate, roles: &Roles) -> Result<Principal, SetupError> {
    let instance = SetupError::id(format!("{key}.instance"), entry.instance.as_deref(), InstanceId::new)?;
    let organization = entry.organization.as_deref();
    let organization = SetupError::id(format!("{key}.organization"), organization, OrganizationId::new)?;
    let user = SetupError::id(format!("{key}.user"), entry.user.as_deref(), UserId::new)?;
    let mut grants = Vec::new();
    for name in &entry.roles {
        let error = |problem: &str| SetupError::setting(format!("{key}.roles"), name, problem);
        let role =
            roles.get(name).ok_or_else(|| error(&format!("is no role; there are {}", roles.names().join(", "))))?;
        // Without an error the role would silently give no right.
        if role.bound != Bound::Everything && instance.is_none() {
            return Err(error("counts only in an instance, so the entry needs one"));
        }
        if role.bound == Bound::Organization && organization.is_none() {
            return Err(error("counts only in an organization, so the entry needs one"));
        }
        grants.push(Grant { role: Arc::clone(role), organization: organization.clone() });
    }
    let subject = user.as_ref().map_or(name, UserId::as_str).to_owned();
    let identity = Identity::new("certificate", name, instance.as_ref());
    // Each certificate with this name has its own end, which `authenticate` checks.
    Ok(Principal { identity, subject, user, instance, organization, grants, expires_at: u64::MAX, token: None })
}

#[cfg(test)]
mod tests;
