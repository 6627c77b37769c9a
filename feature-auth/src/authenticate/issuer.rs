//! Issuers of tokens: their keys, and which of their claims count. The server itself is one of them.

use std::sync::Arc;

use feature_core::{IdError, InstanceId, OrganizationId, UserId};
use serde_json::Value;

use super::claims::Claims;
use super::principal::{Identity, Principal};
use super::role_claims;
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::jwks_cache::{JwksCache, Source};
use crate::keys::jwks_http::Fetcher;
use crate::keys::{KeyFolder, KeysError, LoadError};
use crate::roles::Roles;

/// The `iss` and the `aud` of the server's own tokens.
pub const OWN_ISSUER: &str = "feature-server";

/// The `sub` of an own token without a user.
pub const OPERATOR: &str = "operator";

#[derive(Debug)]
pub(crate) struct Issuer {
    audience: String,
    pub keys: Arc<JwksCache>,
    kind: IssuerKind,
    /// The roles that it can grant.
    roles: Roles,
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
    pub(crate) fn own(config: &Auth, keys: KeyFolder, roles: &Roles, now: Timestamp) -> Result<Self, KeysError> {
        let first = keys.verifying()?;
        let keys =
            JwksCache::new(OWN_ISSUER, Source::Folder(keys), Some(first), config.jwks_max_stale_s, now.monotonic);
        Ok(Self { audience: OWN_ISSUER.to_owned(), keys, kind: IssuerKind::Own, roles: roles.clone() })
    }

    /// The OIDC issuer in `auth.issuers[index]`.
    pub(crate) fn oidc(index: usize, config: &Auth, roles: &Roles, now: Timestamp) -> Result<Self, SetupError> {
        let entry = &config.issuers[index];
        let setting = |field: &str| format!("auth.issuers[{index}].{field}");
        let source = if let Some(file) = &entry.jwks_file {
            Source::File(file.clone())
        } else {
            let url = entry.jwks_url.as_deref().unwrap_or_default();
            let fetcher = Fetcher::new(url, entry.jwks_ca_file.as_deref()).map_err(|problem| match problem {
                LoadError::CaFile(_) => SetupError::file(setting("jwks_ca_file"), &entry.jwks_ca_file, problem),
                problem => SetupError::setting(setting("jwks_url"), url, problem),
            })?;
            Source::Url(Box::new(fetcher))
        };
        let instance = SetupError::id(setting("instance"), entry.instance.as_deref(), InstanceId::new)?;
        let file_error = |problem| SetupError::file(setting("jwks_file"), &entry.jwks_file, problem);
        let first = source.read().map_err(file_error)?;
        Ok(Self {
            audience: entry.audience.clone(),
            keys: JwksCache::new(&entry.issuer, source, first, config.jwks_max_stale_s, now.monotonic),
            roles: if instance.is_some() { roles.within_instance() } else { roles.clone() },
            kind: IssuerKind::Oidc(instance),
        })
    }

    /// The principal of a token with these claims. The signature must be verified already.
    pub(crate) fn principal(&self, claims: &Claims<'_>, config: &Auth, now: Timestamp) -> Result<Principal, AuthError> {
        claims.check_audience(&self.audience)?;
        let subject = claims.sub.as_deref().ok_or(AuthError::TokenInvalid("the claim sub is missing"))?;
        let as_user = UserId::new(subject).map_err(|_| AuthError::TokenInvalid("the claim sub is no valid id"))?;
        let (user, instance) = match &self.kind {
            IssuerKind::Own => (
                id(text(&claims.user), UserId::new, "the claim user is no valid id")?,
                id(text(&claims.instance), InstanceId::new, "the claim instance is no valid id")?,
            ),
            IssuerKind::Oidc(instance) => (Some(as_user), instance.clone()),
        };
        let organization = claims.organization.as_deref();
        let organization = id(organization, OrganizationId::new, "it names an organization whose id is not valid")?;
        let expires_at = claims.check_times(config, now.unix_s)?;
        let identity = Identity::new(&claims.iss, subject, instance.as_ref());
        let grants = role_claims::grants(claims, &config.roles_claim, organization.as_ref(), &self.roles, |claim| {
            tracing::warn!(
                issuer = claims.iss,
                subject,
                claim,
                "the claim has a form that is not read, so it gives no roles: see auth.roles_claim"
            );
        });
        Ok(Principal { identity, subject: subject.to_owned(), user, instance, organization, grants, expires_at })
    }
}

/// An id in a token. A malformed one is an error: without its restriction the token would have more rights.
fn id<I>(id: Option<&str>, new: fn(&str) -> Result<I, IdError>, why: &'static str) -> Result<Option<I>, AuthError> {
    id.map(new).transpose().map_err(|_| AuthError::TokenInvalid(why))
}

/// The text of a claim. Another type counts as an empty text, which is no id.
fn text(claim: &Option<Value>) -> Option<&str> {
    claim.as_ref().map(|claim| claim.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests;
