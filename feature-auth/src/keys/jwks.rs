//! JSON Web Key Sets (RFC 7517): which of their keys are usable, and for which algorithm. Nothing is loaded here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key_set::{KeySet, LeftOut, VerifyingKey};
use crate::text_file;

/// The algorithms of each type of key by their names (RFC 7518, RFC 8037, RFC 9864).
const ED25519: &[(&str, Algorithm)] = &[("Ed25519", Algorithm::EdDSA), ("EdDSA", Algorithm::EdDSA)];
const P256: &[(&str, Algorithm)] = &[("ES256", Algorithm::ES256)];
const P384: &[(&str, Algorithm)] = &[("ES384", Algorithm::ES384)];
const RSA: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

/// The lengths of RSA moduli that are accepted, in bits (RFC 7518, section 3.3, and what aws-lc verifies).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The most keys whose reasons are kept, so that a file of nonsense does not fill the log. Real sets have a few keys.
const LEFT_OUT_MAX: usize = 50;

/// Why a text is no key set that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// The text is no JSON object with a list `keys`.
    #[error("is no JSON Web Key Set")]
    Malformed,
    /// No key is left after those that cannot be used.
    #[error("holds no usable key{}", listed(.0))]
    NoUsableKey(Vec<LeftOut>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<IgnoredAny>,
}

/// Reads a key set. Keys that cannot be used are left out, as RFC 7517, section 5, asks for.
///
/// # Errors
/// [`JwksError`] when nothing usable is in it.
pub fn parse(json: &[u8]) -> Result<KeySet, JwksError> {
    let json = text_file::without_mark(json);
    let set: Jwks = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
    let mut keys = Vec::new();
    let mut left_out = Vec::new();
    for value in &set.keys {
        match Jwk::deserialize(value).map_err(|_| "the key is malformed").and_then(|jwk| usable(&jwk)) {
            Ok(key) => keys.push(key),
            Err(reason) => {
                let kid = value.get("kid").and_then(|kid| kid.as_str()).unwrap_or_default();
                let key = LeftOut::new(kid, reason);
                if left_out.len() < LEFT_OUT_MAX && !left_out.contains(&key) {
                    left_out.push(key);
                }
            }
        }
    }
    if keys.is_empty() { Err(JwksError::NoUsableKey(left_out)) } else { Ok(KeySet::new(keys).without(left_out)) }
}

/// The first few keys with their reasons, to end a sentence.
fn listed(left_out: &[LeftOut]) -> String {
    let keys: Vec<String> = left_out.iter().take(3).map(ToString::to_string).collect();
    if keys.is_empty() { String::new() } else { format!(" ({})", keys.join("; ")) }
}

/// The key, when it is public, for signatures, and strong enough. Its type tells which algorithms it can be for.
fn usable(jwk: &Jwk) -> Result<VerifyingKey, &'static str> {
    if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
        return Err("the key is not for signatures");
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return Err("the key is not for verifying");
    }
    if jwk.d.is_some() {
        // Whoever published it can no longer be the only one who signs with it.
        return Err("the key is published with its private part");
    }
    let (algorithms, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => {
            let x = bytes(jwk.x.as_deref(), 32)?;
            (algorithms(jwk, ED25519)?, DecodingKey::from_ed_der(&x))
        }
        ("EC", Some("P-256")) => (algorithms(jwk, P256)?, point(jwk, 32)?),
        ("EC", Some("P-384")) => (algorithms(jwk, P384)?, point(jwk, 48)?),
        ("RSA", _) => (algorithms(jwk, RSA)?, rsa(jwk)?),
        // Symmetric keys (`oct`) would let whoever can verify also sign.
        _ => return Err("the key's type is not supported"),
    };
    Ok(VerifyingKey { id: jwk.kid.clone(), algorithms, key })
}

/// The one algorithm that the key names, else all of its type.
fn algorithms(jwk: &Jwk, of_type: &[(&str, Algorithm)]) -> Result<Vec<Algorithm>, &'static str> {
    let named = jwk.alg.as_deref();
    let fitting = of_type.iter().filter(|(name, _)| named.is_none_or(|named| named == *name));
    let mut algorithms: Vec<Algorithm> = fitting.map(|(_, algorithm)| *algorithm).collect();
    algorithms.dedup();
    if algorithms.is_empty() { Err("the key's algorithm does not fit its type") } else { Ok(algorithms) }
}

fn point(jwk: &Jwk, length: usize) -> Result<DecodingKey, &'static str> {
    // The uncompressed form of SEC 1, section 2.3.3: 4, x, y.
    let coordinates = [bytes(jwk.x.as_deref(), length)?, bytes(jwk.y.as_deref(), length)?].concat();
    Ok(DecodingKey::from_ec_der(&[&[4], coordinates.as_slice()].concat()))
}

fn rsa(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let (modulus, exponent) = (decode(jwk.n.as_deref())?, decode(jwk.e.as_deref())?);
    let significant: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("an RSA key needs 2048 to 8192 bits");
    }
    Ok(DecodingKey::from_rsa_raw_components(&significant, &exponent))
}

fn bytes(text: Option<&str>, length: usize) -> Result<Vec<u8>, &'static str> {
    let bytes = decode(text)?;
    if bytes.len() == length { Ok(bytes) } else { Err("a part of the key has the wrong length") }
}

fn decode(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a part of the key is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of the key is no base64url")
}

#[cfg(test)]
mod tests;
