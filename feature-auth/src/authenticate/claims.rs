//! The claims of a token (RFC 7519), and the checks that are the same for every issuer.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::issuer::own::{INSTANCE_CLAIM, USER_CLAIM};
use super::role_claims::{ListedRoles, ProjectRoles};
use crate::error::AuthError;
use crate::revocation::list::TokenIds;

/// The claim with the organization of a token's user.
pub(crate) const ORGANIZATION_CLAIM: &str = "urn:zitadel:iam:user:resourceowner:id";

/// Zitadel's claim with the roles of a project.
pub(crate) const PROJECT_ROLES_CLAIM: &str = "urn:zitadel:iam:org:project:roles";

/// The claims that have a meaning already. The list of roles can be none of them.
pub const RESERVED_CLAIMS: [&str; 11] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    INSTANCE_CLAIM,
    USER_CLAIM,
    ORGANIZATION_CLAIM,
    PROJECT_ROLES_CLAIM,
];

const MALFORMED: AuthError = AuthError::TokenInvalid("its claims are malformed");

/// The claims of a token.
///
/// A claim about identity or validity that comes twice or has another type makes the token malformed: ignoring it could
/// give more rights. Claims with roles are read apart, since ignoring them only takes rights away.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    jti: Option<String>,
    #[serde(rename = "urn:zitadel:iam:user:resourceowner:id")]
    organization: Option<String>,
    /// The instance of an own token.
    pub instance: Option<Value>,
    /// The user of an own token.
    pub user: Option<Value>,
    /// The roles without organizations; `None` if the claim is malformed.
    #[serde(skip)]
    pub roles: Option<ListedRoles>,
    /// Zitadel's roles; `None` if the claim is malformed.
    #[serde(skip)]
    pub project_roles: Option<ProjectRoles>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// A `NumericDate` (RFC 7519, section 2), which may have a fraction, in whole seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(u64);

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        // Above 2^53 a number in JSON is not exact.
        if (0.0..=9_007_199_254_740_992.0).contains(&seconds) { Ok(Self(seconds as u64)) } else { Err("no date") }
    }
}

/// The time limits of all tokens, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// How far the clock of an issuer may be off.
    pub leeway_s: u64,
    /// The longest lifetime.
    pub max_lifetime_s: u64,
}

impl TimeLimits {
    /// Whether a token with this `exp` has expired at `now`, both in seconds since 1970.
    pub(crate) fn over(self, expires: u64, now: u64) -> bool {
        expires.saturating_add(self.leeway_s) <= now
    }
}

impl Claims {
    /// The issuer in a payload. Reads no other claim: a payload without a verified signature must cost little.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] if there is none.
    pub(crate) fn issuer_of(payload: &[u8]) -> Result<String, AuthError> {
        let issuer = claim(payload, "iss").map_err(|_| MALFORMED)?;
        issuer.ok_or(AuthError::TokenInvalid("the claim iss is missing"))
    }

    /// Reads the claims of a token.
    ///
    /// * `roles`: the name of the claim with the list of roles.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] if they are malformed.
    pub(crate) fn parse(payload: &[u8], roles: &str) -> Result<Self, AuthError> {
        // serde reads a struct from a list, too.
        let object = payload.trim_ascii_start().starts_with(b"{");
        let claims: Option<Self> = object.then(|| serde_json::from_slice(payload).ok()).flatten();
        let claims = claims.ok_or(MALFORMED)?;
        let roles = claim(payload, roles).ok().map(Option::unwrap_or_default);
        let project_roles = claim(payload, PROJECT_ROLES_CLAIM).ok().map(Option::unwrap_or_default);
        Ok(Self { roles, project_roles, ..claims })
    }

    /// The issuer.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] if it is missing.
    pub(crate) fn issuer(&self) -> Result<&str, AuthError> {
        self.iss.as_deref().ok_or(AuthError::TokenInvalid("the claim iss is missing"))
    }

    /// The subject.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] if it is missing.
    pub(crate) fn subject(&self) -> Result<&str, AuthError> {
        self.sub.as_deref().ok_or(AuthError::TokenInvalid("the claim sub is missing"))
    }

    /// The parts that a list of revoked tokens can name.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] if the issuer or the subject is missing.
    pub(crate) fn ids(&self) -> Result<TokenIds<'_>, AuthError> {
        Ok(TokenIds {
            issuer: self.issuer()?,
            id: self.jti.as_deref(),
            subject: self.subject()?,
            issued_at_s: self.iat.map(|Seconds(issued)| issued),
        })
    }

    /// The organization of the token's user.
    pub(crate) fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// Checks that the token is meant for `audience` (RFC 7519, section 4.1.3).
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] when it is not.
    pub(crate) fn check_audience(&self, audience: &str) -> Result<(), AuthError> {
        let meant = match &self.aud {
            None => return Err(AuthError::TokenInvalid("the claim aud is missing")),
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Several(several)) => several.iter().any(|one| one == audience),
        };
        if meant { Ok(()) } else { Err(AuthError::TokenInvalid("it is meant for another audience")) }
    }

    /// Checks that the token is valid at `now`, and returns when it expires, both in seconds since 1970.
    ///
    /// # Errors [`AuthError::TokenExpired`] if it was valid once, [`AuthError::TokenInvalid`] if it is not valid yet,
    /// or for longer than allowed.
    pub(crate) fn check_times(&self, limits: TimeLimits, now: u64) -> Result<u64, AuthError> {
        let Some(Seconds(expires)) = self.exp else {
            return Err(AuthError::TokenInvalid("the claim exp is missing"));
        };
        let soon = now.saturating_add(limits.leeway_s);
        if self.nbf.is_some_and(|Seconds(begins)| begins > soon) {
            return Err(AuthError::TokenInvalid("it is not valid yet"));
        }
        let lifetime = match self.iat {
            // With a date far ahead, a token with a short lifetime could be valid for years.
            Some(Seconds(issued)) if issued > soon => {
                return Err(AuthError::TokenInvalid("it was issued in the future"));
            }
            Some(Seconds(issued)) => expires.saturating_sub(issued),
            None => expires.saturating_sub(now),
        };
        if lifetime > limits.max_lifetime_s {
            return Err(AuthError::TokenInvalid("its lifetime is longer than allowed"));
        }
        if limits.over(expires, now) { Err(AuthError::TokenExpired) } else { Ok(expires) }
    }
}

/// The claim `name` of a payload, unless it is absent or `null`. Skips the other claims.
fn claim<'p, T: Deserialize<'p>>(payload: &'p [u8], name: &str) -> Result<Option<T>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let found: Option<Option<T>> = json.deserialize_map(OneClaim { name, found: PhantomData })?;
    json.end().map(|()| found.flatten())
}

struct OneClaim<'n, T> {
    name: &'n str,
    found: PhantomData<T>,
}

impl<'p, T: Deserialize<'p>> Visitor<'p> for OneClaim<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<M: MapAccess<'p>>(self, mut claims: M) -> Result<Option<T>, M::Error> {
        let mut found = None;
        while let Some(Name(name)) = claims.next_key()? {
            if name != self.name {
                claims.next_value::<IgnoredAny>()?;
            } else if found.replace(claims.next_value()?).is_some() {
                return Err(M::Error::custom("a claim comes twice"));
            }
        }
        Ok(found)
    }
}

/// The name of a claim or field, borrowed if it has no escapes.
#[derive(Deserialize)]
pub(crate) struct Name<'p>(#[serde(borrow)] pub Cow<'p, str>);

#[cfg(test)]
mod tests;
