//! The claims of a token (RFC 7519), and the checks that are the same for every issuer. Nobody's rights follow here.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::role_claims::{ListedRoles, ProjectRoles};
use crate::auth::revocation::list::TokenIds;
use crate::error::Failure;

/// The claim with the organization of a token's user.
pub const ORGANIZATION_CLAIM: &str = "urn:zitadel:iam:user:resourceowner:id";

/// Zitadel's claim with the roles of a project.
pub const PROJECT_ROLES_CLAIM: &str = "urn:zitadel:iam:org:project:roles";

/// The claims with a meaning of their own here: the list of roles can be none of them.
pub const RESERVED_CLAIMS: [&str; 11] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "instance", "user", ORGANIZATION_CLAIM, PROJECT_ROLES_CLAIM];

const MALFORMED: Failure = Failure::TokenInvalid("its claims are malformed");

/// The claims of a token. One that says who somebody is, or for how long, makes the token malformed when it comes twice
/// or has another type: left out, it could mean more rights. Claims with roles can only mean fewer, and are read later.
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
    /// The instance that an own token names.
    pub instance: Option<Value>,
    /// The user that an own token names.
    pub user: Option<Value>,
    /// The roles without organizations; `None` when their claim is not in a form that is read.
    #[serde(skip)]
    pub roles: Option<ListedRoles>,
    /// Zitadel's roles, in the same way.
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
    /// Who made a token, as it says. Nothing else is read: a payload whose signature is not verified yet must cost little.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it does not say.
    pub fn issuer_of(payload: &[u8]) -> Result<String, Failure> {
        let issuer = claim(payload, "iss").map_err(|_| MALFORMED)?;
        issuer.ok_or(Failure::TokenInvalid("the claim iss is missing"))
    }

    /// Reads the claims of a token.
    ///
    /// * `roles`: the name of the claim with the list of roles.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when they are malformed.
    pub fn parse(payload: &[u8], roles: &str) -> Result<Self, Failure> {
        // serde would take a list for the struct, too.
        let object = payload.trim_ascii_start().starts_with(b"{");
        let claims: Option<Self> = object.then(|| serde_json::from_slice(payload).ok()).flatten();
        let claims = claims.ok_or(MALFORMED)?;
        let roles = claim(payload, roles).ok().map(Option::unwrap_or_default);
        let project_roles = claim(payload, PROJECT_ROLES_CLAIM).ok().map(Option::unwrap_or_default);
        Ok(Self { roles, project_roles, ..claims })
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

/// The claim `name` of a payload, unless it is absent or `null`. Nothing is made of the others.
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

/// The name of a claim or field, borrowed where it has no escapes.
#[derive(Deserialize)]
pub struct Name<'p>(#[serde(borrow)] pub Cow<'p, str>);

#[cfg(test)]
mod tests;
