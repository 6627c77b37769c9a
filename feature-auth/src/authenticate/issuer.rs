//! Issuers of tokens: their keys, and which of their claims count. The server itself is one of them.

pub(crate) mod own;

use std::sync::Arc;
use std::time::Duration;

use feature_core::{InstanceId, OrganizationId, UserId};

use self::own::OWN_ISSUER;
use super::claims::{Claims, TimeLimits};
use super::principal::{Grant, Identity, Principal};
use super::role_claims;
use crate::clock::Timestamp;
use crate::config::{self, Auth};
use crate::error::{AuthError, SetupError};
use crate::keys::jwks_cache::{JwksCache, Source};
use crate::keys::jwks_http::{Fetcher, FetcherError};
use crate::keys::{KeyFolder, KeysError};
use crate::roles::Roles;

/// An issuer of tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    audience: String,
    /// Its keys.
    pub keys: Arc<JwksCache>,
    kind: IssuerKind,
    /// The roles that it can grant.
    roles: Roles,
    /// The claim with its plain list of roles.
    pub roles_claim: String,
}

#[derive(Debug)]
enum IssuerKind {
    /// The server itself. Its tokens name their instance, and need not have a user.
    Own,
    /// An OIDC issuer. Every subject is a user of the instance that the configuration binds the issuer to.
    Oidc(Option<InstanceId>),
}

impl Issuer {
    /// The server itself.
    ///
    /// # Errors
    /// [`KeysError`] if its keys cannot be read.
    pub(crate) fn own(config: &Auth, keys: KeyFolder, roles: &Roles, now: Timestamp) -> Result<Self, KeysError> {
        Ok(Self {
            audience: OWN_ISSUER.to_owned(),
            keys: JwksCache::of_folder(OWN_ISSUER, keys, max_stale(config), now.monotonic)?,
            kind: IssuerKind::Own,
            roles: roles.clone(),
            roles_claim: config.roles_claim.clone(),
        })
    }

    /// A configured OIDC issuer.
    ///
    /// * `key`: its place in the settings, such as `auth.issuers[0]`.
    /// * `config`: the settings of all issuers.
    /// * `roles`: all roles.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that does not work.
    pub(crate) fn oidc(
        key: &str,
        entry: &config::Issuer,
        config: &Auth,
        roles: &Roles,
        now: Timestamp,
    ) -> Result<Self, SetupError> {
        let error =
            |field: &str, value: &str, problem: String| SetupError::setting(format!("{key}.{field}"), value, problem);
        let (source, field, value) = match &entry.jwks_file {
            Some(file) => (Source::File(file.clone()), "jwks_file", file.display().to_string()),
            None => {
                let url = entry.jwks_url.as_deref().unwrap_or_default();
                let ca_file = entry.jwks_ca_file.as_deref();
                let fetcher = Fetcher::new(url, ca_file).map_err(|problem| match (&problem, ca_file) {
                    (FetcherError::CaFile(_), Some(file)) => {
                        error("jwks_ca_file", &file.display().to_string(), problem.to_string())
                    }
                    _ => error("jwks_url", url, problem.to_string()),
                })?;
                (Source::Url(Box::new(fetcher)), "jwks_url", url.to_owned())
            }
        };
        let instance = entry.instance.as_deref().map(InstanceId::new).transpose();
        let instance = instance
            .map_err(|problem| error("instance", entry.instance.as_deref().unwrap_or_default(), problem.to_string()))?;
        let keys = JwksCache::open(&entry.issuer, source, max_stale(config), now.monotonic);
        Ok(Self {
            audience: entry.audience.clone(),
            keys: keys.map_err(|problem| error(field, &value, problem.to_string()))?,
            roles: if instance.is_some() { roles.within_instance() } else { roles.clone() },
            kind: IssuerKind::Oidc(instance),
            roles_claim: config.roles_claim.clone(),
        })
    }

    /// The principal of a token with these claims. The signature must be verified already.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] or [`AuthError::TokenExpired`].
    pub(crate) fn principal(
        &self,
        claims: &Claims,
        limits: TimeLimits,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        claims.check_audience(&self.audience)?;
        let subject = claims.subject()?;
        let as_user = UserId::new(subject).map_err(|_| AuthError::TokenInvalid("the claim sub is no valid id"))?;
        let (user, instance) = match &self.kind {
            IssuerKind::Own => (own::user(claims.user.as_ref())?, own::instance(claims.instance.as_ref())?),
            IssuerKind::Oidc(instance) => (Some(as_user), instance.clone()),
        };
        let organization = claims.organization().map(organization).transpose()?;
        let expires_at = claims.check_times(limits, now.unix_s)?;
        let identity = Identity::new(claims.issuer()?, subject, instance.as_ref());
        let grants = self.grants(claims, organization.as_ref())?;
        Ok(Principal { identity, subject: subject.to_owned(), user, instance, organization, grants, expires_at })
    }

    fn grants(&self, claims: &Claims, organization: Option<&OrganizationId>) -> Result<Vec<Grant>, AuthError> {
        let (issuer, subject) = (claims.issuer()?, claims.subject()?);
        Ok(role_claims::grants(claims, &self.roles_claim, organization, &self.roles, |claim| {
            tracing::warn!(
                issuer,
                subject,
                claim,
                "the claim has a form that is not read, so it gives no roles: see auth.roles_claim"
            );
        }))
    }
}

fn organization(id: &str) -> Result<OrganizationId, AuthError> {
    OrganizationId::new(id).map_err(|_| AuthError::TokenInvalid("it names an organization whose id is not valid"))
}

fn max_stale(config: &Auth) -> Duration {
    Duration::from_secs(config.jwks_max_stale_s)
}

#[cfg(test)]
mod tests;
