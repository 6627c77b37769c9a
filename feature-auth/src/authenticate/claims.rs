//! The parts of a token (RFC 7515), its claims (RFC 7519), and the checks that are the same for every issuer.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::config::Auth;
use crate::error::AuthError;
use crate::keys::jwks::{VerifyingKey, algorithm};

/// The claim with the instance of an own token.
pub(crate) const INSTANCE_CLAIM: &str = "instance";

/// The claim with the user of an own token.
pub(crate) const USER_CLAIM: &str = "user";

/// The claim with the organization of a token's user.
pub(crate) const ORGANIZATION_CLAIM: &str = "urn:zitadel:iam:user:resourceowner:id";

/// Zitadel's claim with the roles of a project.
pub(crate) const PROJECT_ROLES_CLAIM: &str = "urn:zitadel:iam:org:project:roles";

/// The claims that have a meaning already. The list of roles can be none of them.
#[rustfmt::skip]
pub const RESERVED_CLAIMS: [&str; 11] = [
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti",
    INSTANCE_CLAIM, USER_CLAIM, ORGANIZATION_CLAIM, PROJECT_ROLES_CLAIM,
];

/// The accepted types of tokens. Others, such as the logout tokens of OIDC, are signed by the same keys for the same
/// audience and mean something else (RFC 8725, section 3.11).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The parts of a token. Nothing is verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    /// The claims, as JSON.
    pub payload: Vec<u8>,
    message: &'a str,
    signature: &'a str,
}

/// The parameters that count. Parameters with keys (`jwk`, `jku`, `x5c`, `x5u`) are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Jws<'a> {
    /// Splits a token into its parts.
    pub(crate) fn parse(token: &'a str) -> Result<Self, AuthError> {
        const MALFORMED: AuthError = AuthError::TokenInvalid("it is no JSON Web Token in compact form");
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        // A token of four parts fails here: a dot is no base64.
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let (header, payload) = (decode(header)?, decode(payload)?);
        // serde reads a struct from a list, too.
        let header = header.starts_with(b"{").then(|| serde_json::from_slice(&header).ok()).flatten();
        let header: Header = header.ok_or(AuthError::TokenInvalid("its header is malformed"))?;
        if header.crit {
            // RFC 7515, section 4.1.11: a parameter in `crit` that is not implemented makes the token invalid. None is.
            return Err(AuthError::TokenInvalid("its header has critical parameters"));
        }
        if header.typ.is_some_and(|typ| !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            return Err(AuthError::TokenInvalid("it is a token of another type"));
        }
        let algorithm = algorithm(&header.alg).ok_or(AuthError::TokenInvalid("its algorithm is not supported"))?;
        Ok(Self { algorithm, key_id: header.kid, payload, message, signature })
    }

    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), AuthError> {
        if !key.algorithms.contains(&self.algorithm) {
            return Err(AuthError::TokenInvalid("its algorithm is not that of the key"));
        }
        let signed = jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key.key, self.algorithm);
        if signed.is_ok_and(|signed| signed) { Ok(()) } else { Err(AuthError::TokenInvalid("its signature is wrong")) }
    }
}

const MALFORMED: AuthError = AuthError::TokenInvalid("its claims are malformed");

/// The claims of a token.
///
/// A claim about identity or validity that comes twice or has another type makes the token malformed: ignoring it could
/// give more rights. Claims with roles are read apart, since ignoring them only takes rights away.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims<'p> {
    #[serde(skip)]
    payload: &'p [u8],
    #[serde(default)]
    pub iss: String,
    pub sub: Option<String>,
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "seconds")]
    exp: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    pub iat: Option<u64>,
    pub jti: Option<String>,
    #[serde(rename = "urn:zitadel:iam:user:resourceowner:id")]
    pub organization: Option<String>,
    pub instance: Option<Value>,
    pub user: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Reads a `NumericDate` (RFC 7519, section 2), which may have a fraction, as whole seconds.
fn seconds<'de, D: Deserializer<'de>>(date: D) -> Result<Option<u64>, D::Error> {
    match Option::<f64>::deserialize(date)? {
        // Above 2^53 a number in JSON is not exact.
        Some(seconds) if !(0.0..=9_007_199_254_740_992.0).contains(&seconds) => Err(D::Error::custom("no date")),
        seconds => Ok(seconds.map(|seconds| seconds as u64)),
    }
}

/// Whether a token with this `exp` has expired at `now`, both in seconds since 1970.
pub(crate) fn has_expired(exp: u64, config: &Auth, now: u64) -> bool {
    exp.saturating_add(config.leeway_s) <= now
}

impl<'p> Claims<'p> {
    /// The issuer in a payload. Reads no other claim: a payload without a verified signature must cost little.
    pub(crate) fn issuer_of(payload: &[u8]) -> Result<String, AuthError> {
        let issuer = claim(payload, "iss").map_err(|_| MALFORMED)?;
        issuer.ok_or(AuthError::TokenInvalid("the claim iss is missing"))
    }

    pub(crate) fn parse(payload: &'p [u8]) -> Result<Self, AuthError> {
        // serde reads a struct from a list, too.
        let object = payload.trim_ascii_start().starts_with(b"{");
        let claims: Option<Self> = object.then(|| serde_json::from_slice(payload).ok()).flatten();
        Ok(Self { payload, ..claims.ok_or(MALFORMED)? })
    }

    /// A claim with roles: its default if it is absent or `null`, `None` if it is malformed.
    pub(crate) fn roles<T: Deserialize<'p> + Default>(&self, name: &str) -> Option<T> {
        claim(self.payload, name).ok().map(Option::unwrap_or_default)
    }

    /// Checks that the token is meant for `audience` (RFC 7519, section 4.1.3).
    pub(crate) fn check_audience(&self, audience: &str) -> Result<(), AuthError> {
        let meant = match self.aud.as_ref().ok_or(AuthError::TokenInvalid("the claim aud is missing"))? {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        };
        if meant { Ok(()) } else { Err(AuthError::TokenInvalid("it is meant for another audience")) }
    }

    /// Checks that the token is valid at `now`, and returns when it expires, both in seconds since 1970. Fails
    /// with [`AuthError::TokenExpired`] when the token was valid once.
    pub(crate) fn check_times(&self, config: &Auth, now: u64) -> Result<u64, AuthError> {
        let expires = self.exp.ok_or(AuthError::TokenInvalid("the claim exp is missing"))?;
        let soon = now.saturating_add(config.leeway_s);
        if self.nbf.is_some_and(|begins| begins > soon) {
            return Err(AuthError::TokenInvalid("it is not valid yet"));
        }
        // With a date far ahead, a token with a short lifetime could be valid for years.
        if self.iat.is_some_and(|issued| issued > soon) {
            return Err(AuthError::TokenInvalid("it was issued in the future"));
        }
        if expires.saturating_sub(self.iat.unwrap_or(now)) > config.max_token_lifetime_s {
            return Err(AuthError::TokenInvalid("its lifetime is longer than allowed"));
        }
        if has_expired(expires, config, now) { Err(AuthError::TokenExpired) } else { Ok(expires) }
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

/// The name of a claim, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'p>(#[serde(borrow)] Cow<'p, str>);

#[cfg(test)]
mod tests;
