//! The compact serialization of a token (RFC 7515): header, payload, signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::error::AuthError;
use crate::keys::jwks::{VerifyingKey, algorithm};

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
