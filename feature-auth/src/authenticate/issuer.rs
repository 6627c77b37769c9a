//! Issuers: who signs tokens, and what is believed of what they say. The server itself is one of them.

pub mod configured;

use std::sync::Arc;

use feature_core::{InstanceId, OrganizationId, UserId};

use super::claims::{Claims, TimeLimits};
use super::principal::{Grant, Identity, Principal};
use super::role_claims;
use crate::auth::clock::Moment;
use crate::auth::keys::jwks_cache::CachedKeys;
use crate::auth::mint;
use crate::auth::roles::Roles;
use crate::error::Failure;

/// Who signs tokens.
#[derive(Debug)]
pub struct Issuer {
    /// The `aud` that its tokens must hold.
    pub audience: String,
    /// Its keys.
    pub keys: Arc<CachedKeys>,
    /// What its tokens can say.
    pub kind: Kind,
    /// The roles that it can grant.
    pub roles: Roles,
    /// The claim with its plain list of roles.
    pub roles_claim: String,
}

/// What the tokens of an issuer can say.
#[derive(Debug)]
pub enum Kind {
    /// The server itself: its tokens name their instance, and need not be of a user.
    Own,
    /// An OIDC issuer: every subject is a user, of the instance that the configuration binds the issuer to.
    Oidc(Option<InstanceId>),
}

impl Issuer {
    /// Turns the claims of a token whose signature is verified into who it is.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] or [`Failure::TokenExpired`].
    pub fn principal(&self, claims: &Claims, limits: TimeLimits, now: Moment) -> Result<Principal, Failure> {
        claims.check_audience(&self.audience)?;
        let subject = claims.subject()?;
        let as_user = UserId::new(subject).map_err(|_| Failure::TokenInvalid("the claim sub is no valid id"))?;
        let (user, instance) = match &self.kind {
            Kind::Own => (mint::user(claims)?, mint::instance(claims)?),
            Kind::Oidc(instance) => (Some(as_user), instance.clone()),
        };
        let organization = claims.organization().map(organization).transpose()?;
        let expires_at = claims.check_times(limits, now.unix_s)?;
        let identity = Identity::new(claims.issuer()?, subject, instance.as_ref());
        let grants = self.grants(claims, organization.as_ref())?;
        Ok(Principal { identity, subject: subject.to_owned(), user, instance, organization, grants, expires_at })
    }

    fn grants(&self, claims: &Claims, organization: Option<&OrganizationId>) -> Result<Vec<Grant>, Failure> {
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

fn organization(id: &str) -> Result<OrganizationId, Failure> {
    OrganizationId::new(id).map_err(|_| Failure::TokenInvalid("it names an organization whose id is not valid"))
}
