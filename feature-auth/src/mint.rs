//! Makes tokens that the server issues itself.

use std::time::Duration;

use feature_core::{InstanceId, OrganizationId, UserId};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::authenticate::claims::{INSTANCE_CLAIM, ORGANIZATION_CLAIM, USER_CLAIM};
use crate::authenticate::issuer::{OPERATOR, OWN_ISSUER};
use crate::clock::Timestamp;
use crate::config::{Auth, Bound};
use crate::keys::SigningKey;
use crate::roles::Roles;

/// The content of a token to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// The roles. A token without roles is authenticated, and has no permission.
    pub roles: Vec<String>,
    /// The instance that the token belongs to.
    pub instance: Option<InstanceId>,
    /// The organization of the user, in which the roles are granted.
    pub organization: Option<OrganizationId>,
    /// The user.
    pub user: Option<UserId>,
    /// How long the token is valid, in whole seconds.
    pub lifetime: Duration,
}

/// A new token. It has no debug output, which would show a secret.
#[derive(Clone)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// The id of the token, by which it can be revoked.
    pub id: String,
    /// When the token expires, in seconds since 1970.
    pub expires_at: u64,
    /// Hints for the operator, a sentence each: which roles give no right in this token.
    pub hints: Vec<String>,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The requested lifetime is longer than the longest one, both in seconds.
    #[error("a lifetime of {0} s is longer than auth.max_token_lifetime_s = {1} allows")]
    LifetimeTooLong(u64, u64),
    /// The lifetime is zero.
    #[error("a lifetime must be at least one second")]
    LifetimeTooShort,
    /// There is no role of this name. The second text has the names of all roles.
    #[error("there is no role {0:?}; there are {1}")]
    RoleUnknown(String, String),
    /// The key does not sign.
    #[error("the key does not sign: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token. `roles` are all roles.
pub fn mint(
    key: &SigningKey,
    config: &Auth,
    roles: &Roles,
    asked: &TokenRequest,
    now: Timestamp,
) -> Result<Minted, MintError> {
    let (asked_s, max_s) = (asked.lifetime.as_secs(), config.max_token_lifetime_s);
    match asked_s {
        0 => return Err(MintError::LifetimeTooShort),
        1.. if asked_s > max_s => return Err(MintError::LifetimeTooLong(asked_s, max_s)),
        _ => {}
    }
    let hints = hints(roles, asked)?;
    let expires_at = now.unix_s + asked_s;
    let id = Uuid::new_v4().to_string();
    let user = asked.user.as_ref().map(UserId::as_str);
    let claims = [
        ("iss", json!(OWN_ISSUER)),
        ("aud", json!(OWN_ISSUER)),
        ("sub", json!(user.unwrap_or(OPERATOR))),
        ("iat", json!(now.unix_s)),
        ("exp", json!(expires_at)),
        ("jti", json!(id)),
        (&config.roles_claim, json!((!asked.roles.is_empty()).then_some(&asked.roles))),
        (INSTANCE_CLAIM, json!(asked.instance.as_ref().map(InstanceId::as_str))),
        (ORGANIZATION_CLAIM, json!(asked.organization.as_ref().map(OrganizationId::as_str))),
        (USER_CLAIM, json!(user)),
    ];
    let claims = claims.into_iter().filter(|(_, value)| !value.is_null());
    let claims: Map<String, Value> = claims.map(|(name, value)| (name.to_owned(), value)).collect();
    let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
    let token = jsonwebtoken::encode(&header, &claims, &key.key)?;
    Ok(Minted { token, id, expires_at, hints })
}

/// A role that gives no right in this token is no error: a test may need such a token.
fn hints(roles: &Roles, asked: &TokenRequest) -> Result<Vec<String>, MintError> {
    let mut hints = Vec::new();
    for name in &asked.roles {
        let unknown = || MintError::RoleUnknown(name.clone(), roles.names().join(", "));
        let role = roles.get(name).ok_or_else(unknown)?;
        let lacks = match (role.bound, &asked.instance, &asked.organization) {
            (Bound::Organization, None, None) => "an instance and an organization",
            (Bound::Organization, Some(_), None) => "an organization",
            (Bound::Organization | Bound::Instance, None, _) => "an instance",
            _ => continue,
        };
        hints.push(format!("{name} counts only in a token with {lacks}, and this one has none"));
    }
    Ok(hints)
}

#[cfg(test)]
mod tests;
