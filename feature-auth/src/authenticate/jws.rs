//! The outer form of a token (RFC 7515, compact serialization): header, payload, signature. Claims have no meaning
//! here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::auth::keys::key_set::VerifyingKey;
use crate::error::Failure;

/// The types of tokens that may be shown here. Others, such as the logout tokens of OIDC, are signed by the same keys
/// for the same audience and mean something else (RFC 8725, section 3.11).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A token taken apart. Nothing about it is proven.
#[derive(Debug)]
pub struct Jws<'a> {
    /// The algorithm that it says it is signed with.
    pub algorithm: Algorithm,
    /// The id of the key that it says it is signed with.
    pub key_id: Option<String>,
    /// The claims, as JSON.
    pub payload: Vec<u8>,
    message: &'a str,
    signature: &'a str,
}

/// The parameters that matter. Those that bring keys along (`jwk`, `jku`, `x5c`, `x5u`) are not read at all.
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

/// The algorithm of this name. `none` has no name here, and neither has any algorithm that the library does not know.
fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        // RFC 9864: EdDSA with the only curve that is supported.
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when it has another form, another type, or demands what is not understood here.
    pub fn parse(token: &'a str) -> Result<Self, Failure> {
        let malformed = Failure::TokenInvalid("it is no JSON Web Token in compact form");
        let Some((message, signature)) = token.rsplit_once('.') else { return Err(malformed) };
        let Some((header, payload)) = message.split_once('.') else { return Err(malformed) };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed.clone())?;
        // A dot in the payload is no base64, so four parts end here.
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed)?;
        // serde would take a list for the struct, too.
        let header = header.starts_with(b"{").then(|| serde_json::from_slice(&header).ok()).flatten();
        let header: Header = header.ok_or(Failure::TokenInvalid("its header is malformed"))?;
        if header.crit {
            // RFC 7515, section 4.1.11: who does not understand all of `crit` must refuse. Nothing is understood.
            return Err(Failure::TokenInvalid("its header has critical parameters"));
        }
        if header.typ.is_some_and(|typ| !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            return Err(Failure::TokenInvalid("it is a token of another type"));
        }
        let algorithm = algorithm(&header.alg).ok_or(Failure::TokenInvalid("its algorithm is not supported"))?;
        Ok(Self { algorithm, key_id: header.kid, payload, message, signature })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] when `key` has not signed this token with an algorithm that the key is for.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), Failure> {
        if !key.algorithms.contains(&self.algorithm) {
            return Err(Failure::TokenInvalid("its algorithm is not that of the key"));
        }
        let signed = jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key.key, self.algorithm);
        match signed {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Failure::TokenInvalid("its signature is wrong")),
        }
    }
}
