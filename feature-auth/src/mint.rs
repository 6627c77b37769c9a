//! Tokens that the server makes itself, and the claims that only these have. Where the key lies is not known here.

use std::time::Duration;

use feature_core::{IdError, InstanceId, OrganizationId, UserId};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::roles::Roles;
use crate::auth::authenticate::claims::{Claims, ORGANIZATION_CLAIM};
use crate::auth::clock::Moment;
use crate::auth::keys::signing_keys::SigningKey;
use crate::config::settings::{Bound, Settings};
use crate::error::Failure;

/// The `iss` and the `aud` of the server's own tokens.
pub const OWN_ISSUER: &str = "feature-server";

/// The `sub` of an own token that is of no user.
pub const OPERATOR: &str = "operator";

const INSTANCE_CLAIM: &str = "instance";
const USER_CLAIM: &str = "user";

/// What a token is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// The roles. None makes a token that is authenticated and no more.
    pub roles: Vec<String>,
    /// The instance that it belongs to.
    pub instance: Option<InstanceId>,
    /// The organization of its user, in which its roles are granted.
    pub organization: Option<OrganizationId>,
    /// Its user.
    pub user: Option<UserId>,
    /// How long it is valid, in whole seconds.
    pub lifetime: Duration,
}

/// A new token. Its debug output would show a secret, so it has none.
#[derive(Clone)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// Its own id, by which it can be revoked.
    pub id: String,
    /// When it expires, in seconds since 1970.
    pub expires_at: u64,
    /// What the person who asked for it should know: one sentence each.
    pub hints: Vec<String>,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// It would be valid for too long.
    #[error("a lifetime of {asked_s} s is longer than auth.max_token_lifetime_s = {max_s} allows")]
    LifetimeTooLong {
        /// The lifetime asked for, in seconds.
        asked_s: u64,
        /// The longest, in seconds.
        max_s: u64,
    },
    /// It would never be valid.
    #[error("a lifetime must be at least one second")]
    LifetimeTooShort,
    /// There is no such role.
    #[error("there is no role {name:?}; there are {}", .known.join(", "))]
    RoleUnknown {
        /// The name asked for.
        name: String,
        /// The roles that there are.
        known: Vec<String>,
    },
    /// The key does not sign.
    #[error("the key does not sign: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token.
///
/// # Errors
/// [`MintError`] when what is asked for is not allowed or the key does not work.
pub fn mint(key: &SigningKey, settings: &Settings, asked: &TokenRequest, now: Moment) -> Result<Minted, MintError> {
    let (asked_s, max_s) = (asked.lifetime.as_secs(), settings.auth.max_token_lifetime_s);
    if asked_s > max_s {
        return Err(MintError::LifetimeTooLong { asked_s, max_s });
    }
    if asked_s == 0 {
        return Err(MintError::LifetimeTooShort);
    }
    let hints = hints(&Roles::new(&settings.roles), asked)?;
    let expires_at = now.unix_s + asked_s;
    let id = Uuid::new_v4().to_string();
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!(OWN_ISSUER));
    claims.insert("aud".to_owned(), json!(OWN_ISSUER));
    claims.insert("sub".to_owned(), json!(asked.user.as_ref().map_or(OPERATOR, UserId::as_str)));
    claims.insert("iat".to_owned(), json!(now.unix_s));
    claims.insert("exp".to_owned(), json!(expires_at));
    claims.insert("jti".to_owned(), json!(id));
    if !asked.roles.is_empty() {
        claims.insert(settings.auth.roles_claim.clone(), json!(asked.roles));
    }
    let optional = [
        (INSTANCE_CLAIM, asked.instance.as_ref().map(InstanceId::as_str)),
        (ORGANIZATION_CLAIM, asked.organization.as_ref().map(OrganizationId::as_str)),
        (USER_CLAIM, asked.user.as_ref().map(UserId::as_str)),
    ];
    for (name, value) in optional {
        claims.extend(value.map(|value| (name.to_owned(), json!(value))));
    }
    let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
    let token = jsonwebtoken::encode(&header, &Value::Object(claims), &key.key)?;
    Ok(Minted { token, id, expires_at, hints })
}

/// Roles that are worth nothing in this token are not an error, since a test may want just that.
fn hints(roles: &Roles, asked: &TokenRequest) -> Result<Vec<String>, MintError> {
    let mut hints = Vec::new();
    for name in &asked.roles {
        let role = roles.get(name).ok_or_else(|| MintError::RoleUnknown {
            name: name.clone(),
            known: roles.names().into_iter().map(str::to_owned).collect(),
        })?;
        let lacks_instance = role.bound != Bound::Everything && asked.instance.is_none();
        let lacks_organization = role.bound == Bound::Organization && asked.organization.is_none();
        let lacks = match (lacks_instance, lacks_organization) {
            (false, false) => continue,
            (true, false) => "an instance",
            (false, true) => "an organization",
            (true, true) => "an instance and an organization",
        };
        hints.push(format!("{name} counts only in a token with {lacks}, and this one has none"));
    }
    Ok(hints)
}

/// The user of an own token.
pub(super) fn user(claims: &Claims) -> Result<Option<UserId>, Failure> {
    id(claims.user.as_ref(), UserId::new, "the claim user is no valid id")
}

/// The instance of an own token.
pub(super) fn instance(claims: &Claims) -> Result<Option<InstanceId>, Failure> {
    id(claims.instance.as_ref(), InstanceId::new, "the claim instance is no valid id")
}

/// Without what such a claim means, a token could mean more: one in another form is refused.
fn id<I>(
    claim: Option<&Value>,
    id: impl Fn(&str) -> Result<I, IdError>,
    wrong: &'static str,
) -> Result<Option<I>, Failure> {
    let Some(claim) = claim else { return Ok(None) };
    let id = claim.as_str().and_then(|text| id(text).ok());
    id.map(Some).ok_or(Failure::TokenInvalid(wrong))
}

#[cfg(test)]
mod tests;
