//! The claims of a token (RFC 7519), and the checks that are the same for every issuer. Nobody's rights follow here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::revocations::TokenIds;
use crate::error::Failure;

/// The claim with the organization of a token's user.
pub const ORGANIZATION_CLAIM: &str = "urn:zitadel:iam:user:resourceowner:id";

/// The claims with a meaning of their own here: the list of roles can be none of them.
pub const RESERVED_CLAIMS: [&str; 11] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "instance",
    "user",
    ORGANIZATION_CLAIM,
    "urn:zitadel:iam:org:project:roles",
];

/// Roles by name; for each the organizations that it was granted in, by id. The values are their domains.
pub type ProjectRoles = BTreeMap<String, BTreeMap<String, IgnoredAny>>;

/// The claims of a token. A known claim that comes twice, or has another type, makes the token malformed.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    jti: Option<String>,
    #[serde(rename = "urn:zitadel:iam:user:resourceowner:id")]
    organization: Option<String>,
    /// Zitadel's roles.
    #[serde(default, rename = "urn:zitadel:iam:org:project:roles")]
    pub project_roles: ProjectRoles,
    #[serde(flatten)]
    others: Map<String, Value>,
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
        // Beyond 2^53 a number in JSON is not exact any more.
        if (0.0..=9_007_199_254_740_992.0).contains(&seconds) { Ok(Self(seconds as u64)) } else { Err("no date") }
    }
}

/// The limits that every token is held to, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// How far the issuer's clock may be off.
    pub leeway_s: u64,
    /// The longest lifetime.
    pub max_lifetime_s: u64,
}

impl TimeLimits {
    /// Whether a token that expires at `expires` is over at `now`, both in seconds since 1970.
    pub fn over(self, expires: u64, now: u64) -> bool {
        expires.saturating_add(self.leeway_s) <= now
    }
}

impl Claims {
    /// Reads the claims of a token.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when they are malformed.
    pub fn parse(payload: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(payload).map_err(|_| Failure::TokenInvalid("its claims are malformed"))
    }

    /// Who made the token, as it says.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it does not.
    pub fn issuer(&self) -> Result<&str, Failure> {
        self.iss.as_deref().ok_or(Failure::TokenInvalid("the claim iss is missing"))
    }

    /// Whom the token was made for.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it does not say.
    pub fn subject(&self) -> Result<&str, Failure> {
        self.sub.as_deref().ok_or(Failure::TokenInvalid("the claim sub is missing"))
    }

    /// What a list of revoked tokens is asked about this one.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it does not say who made it for whom.
    pub fn ids(&self) -> Result<TokenIds<'_>, Failure> {
        Ok(TokenIds {
            issuer: self.issuer()?,
            id: self.jti.as_deref(),
            subject: self.subject()?,
            issued_at_s: self.iat.map(|Seconds(issued)| issued),
        })
    }

    /// The organization of the token's user.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The text in a claim that only some issuers have.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] with `wrong` when it holds something else.
    pub fn text(&self, name: &str, wrong: &'static str) -> Result<Option<&str>, Failure> {
        match self.others.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Failure::TokenInvalid(wrong)),
        }
    }

    /// The plain list of roles in the claim `name`.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it holds something else.
    pub fn roles(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let wrong = || Failure::TokenInvalid("the claim with its roles is no list of names");
        match self.others.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(roles)) => roles.iter().map(|role| role.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Checks that the token is meant for `audience` (RFC 7519, section 4.1.3).
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it is not.
    pub fn check_audience(&self, audience: &str) -> Result<(), Failure> {
        let meant = match &self.aud {
            None => return Err(Failure::TokenInvalid("the claim aud is missing")),
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Several(several)) => several.iter().any(|one| one == audience),
        };
        if meant { Ok(()) } else { Err(Failure::TokenInvalid("it is meant for another audience")) }
    }

    /// Checks that the token is valid at `now`, and returns when it expires, both in seconds since 1970.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`] when it was valid once, [`Failure::TokenInvalid`] when it is not valid yet, or for
    /// longer than allowed.
    pub fn check_times(&self, limits: TimeLimits, now: u64) -> Result<u64, Failure> {
        let Some(Seconds(expires)) = self.exp else {
            return Err(Failure::TokenInvalid("the claim exp is missing"));
        };
        let soon = now.saturating_add(limits.leeway_s);
        if self.nbf.is_some_and(|Seconds(begins)| begins > soon) {
            return Err(Failure::TokenInvalid("it is not valid yet"));
        }
        let lifetime = match self.iat {
            // With such a date a token of short lifetime could be valid for years to come.
            Some(Seconds(issued)) if issued > soon => {
                return Err(Failure::TokenInvalid("it was issued in the future"));
            }
            Some(Seconds(issued)) => expires.saturating_sub(issued),
            None => expires.saturating_sub(now),
        };
        if lifetime > limits.max_lifetime_s {
            return Err(Failure::TokenInvalid("its lifetime is longer than allowed"));
        }
        if limits.over(expires, now) { Err(Failure::TokenExpired) } else { Ok(expires) }
    }
}

#[cfg(test)]
mod tests;
