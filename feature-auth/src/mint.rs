//! Makes tokens that the server issues itself.

use std::time::Duration;

use feature_core::{InstanceId, OrganizationId, UserId};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::authenticate::claims::ORGANIZATION_CLAIM;
use crate::authenticate::issuer::own::{INSTANCE_CLAIM, OPERATOR, OWN_ISSUER, USER_CLAIM};
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
    /// The lifetime is too long.
    #[error("a lifetime of {asked_s} s is longer than auth.max_token_lifetime_s = {max_s} allows")]
    LifetimeTooLong {
        /// The requested lifetime, in seconds.
        asked_s: u64,
        /// The longest lifetime, in seconds.
        max_s: u64,
    },
    /// The lifetime is zero.
    #[error("a lifetime must be at least one second")]
    LifetimeTooShort,
    /// There is no such role.
    #[error("there is no role {name:?}; there are {}", .known.join(", "))]
    RoleUnknown {
        /// The requested name.
        name: String,
        /// The names of all roles.
        known: Vec<String>,
    },
    /// The key does not sign.
    #[error("the key does not sign: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token.
///
/// `roles`: all roles.
///
/// # Errors
/// [`MintError`] if the request is not allowed or the key does not work.
pub fn mint(
    key: &SigningKey,
    config: &Auth,
    roles: &Roles,
    asked: &TokenRequest,
    now: Timestamp,
) -> Result<Minted, MintError> {
    let (asked_s, max_s) = (asked.lifetime.as_secs(), config.max_token_lifetime_s);
    if asked_s > max_s {
        return Err(MintError::LifetimeTooLong { asked_s, max_s });
    }
    if asked_s == 0 {
        return Err(MintError::LifetimeTooShort);
    }
    let hints = hints(roles, asked)?;
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
        claims.insert(config.roles_claim.clone(), json!(asked.roles));
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

/// A role that gives no right in this token is no error: a test may need such a token.
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

#[cfg(test)]
mod tests;
