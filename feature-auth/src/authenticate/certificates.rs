//! Clients that are known by the certificate of their connection. That a certificate is to be believed was found when
//! the connection was opened; here it only has a name, and the settings say who that is.

use std::collections::HashMap;
use std::sync::Arc;

use feature_core::{IdError, InstanceId, OrganizationId, UserId};
use http::header::{AUTHORIZATION, ORIGIN};
use http::{Extensions, HeaderMap};

use super::principal::{Grant, Identity, Principal};
use crate::auth::clock::Moment;
use crate::auth::error::AuthError;
use crate::auth::roles::Roles;
use crate::config::settings::{self, Bound, Settings};
use crate::error::Failure;
use crate::net::tls::ClientCertificate;

/// What stands for the issuer in the identity of who shows a certificate.
const CERTIFICATE: &str = "certificate";

/// The clients that the settings know by their certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    by_uri: HashMap<String, Arc<Principal>>,
    by_subject: HashMap<String, Arc<Principal>>,
}

impl Certificates {
    /// Takes them from the settings.
    ///
    /// # Errors
    /// [`AuthError`] names the setting that does not work.
    pub fn new(settings: &Settings) -> Result<Self, AuthError> {
        let roles = Roles::new(&settings.roles);
        let mut certificates = Self::default();
        for (index, entry) in settings.auth.certificates.iter().enumerate() {
            let key = format!("auth.certificates[{index}]");
            let (map, name) = match (&entry.uri, &entry.subject) {
                (Some(uri), None) => (&mut certificates.by_uri, uri),
                (None, Some(subject)) => (&mut certificates.by_subject, subject),
                _ => return Err(AuthError::setting(key, "", "needs exactly one of uri and subject")),
            };
            map.insert(name.clone(), Arc::new(principal(&key, name, entry, &roles)?));
        }
        Ok(certificates)
    }

    /// Who calls, by the certificate of the connection; `None` when that does not count or names nobody.
    ///
    /// It does not count beside a token, which is more specific. Nor does it for the page of a browser, which adds a
    /// certificate of its user to the calls of any page: a page has to show a token.
    pub fn attempt(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        now: Moment,
    ) -> Option<Result<Arc<Principal>, Failure>> {
        let certificate = extensions.get::<ClientCertificate>()?;
        if headers.contains_key(AUTHORIZATION) || headers.contains_key(ORIGIN) {
            return None;
        }
        let Some(principal) = self.principal(certificate) else {
            tracing::debug!(
                subject = certificate.subject(),
                "auth.certificates does not name the client's certificate"
            );
            return None;
        };
        // It was valid when the connection was opened, and that may be long ago.
        let expired = certificate.expires_at() <= now.unix_s;
        Some(if expired { Err(Failure::CertificateExpired) } else { Ok(Arc::clone(principal)) })
    }

    /// The one of its first URI that is known, else of its subject.
    fn principal(&self, certificate: &ClientCertificate) -> Option<&Arc<Principal>> {
        let by_uri = certificate.uris().iter().find_map(|uri| self.by_uri.get(uri));
        by_uri.or_else(|| self.by_subject.get(certificate.subject()))
    }
}

fn principal(key: &str, name: &str, entry: &settings::Certificate, roles: &Roles) -> Result<Principal, AuthError> {
    let instance = id(key, "instance", entry.instance.as_deref(), InstanceId::new)?;
    let organization = id(key, "organization", entry.organization.as_deref(), OrganizationId::new)?;
    let user = id(key, "user", entry.user.as_deref(), UserId::new)?;
    let mut grants = Vec::new();
    for name in &entry.roles {
        let error = |problem: &str| AuthError::setting(format!("{key}.roles"), name, problem);
        let role =
            roles.get(name).ok_or_else(|| error(&format!("is no role; there are {}", roles.names().join(", "))))?;
        // Such a role would be worth nothing, and nobody would tell.
        if role.bound != Bound::Everything && instance.is_none() {
            return Err(error("counts only in an instance, so the entry needs one"));
        }
        if role.bound == Bound::Organization && organization.is_none() {
            return Err(error("counts only in an organization, so the entry needs one"));
        }
        grants.push(Grant { role: Arc::clone(role), organization: organization.clone() });
    }
    let subject = user.as_ref().map_or(name, UserId::as_str).to_owned();
    let identity = Identity::new(CERTIFICATE, name, instance.as_ref());
    // Each certificate of this name has an end of its own.
    Ok(Principal { identity, subject, user, instance, organization, grants, expires_at: u64::MAX })
}

fn id<I>(
    key: &str,
    field: &str,
    text: Option<&str>,
    id: impl FnOnce(&str) -> Result<I, IdError>,
) -> Result<Option<I>, AuthError> {
    let Some(text) = text else { return Ok(None) };
    id(text).map(Some).map_err(|problem| AuthError::setting(format!("{key}.{field}"), text, problem))
}

#[cfg(test)]
mod tests;
