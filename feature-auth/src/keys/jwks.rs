//! JSON Web Key Sets (RFC 7517): which of their keys are usable, and for which algorithms.
//!
//! jsonwebtoken has a `JwkSet` too, but it is less strict: one malformed key fails the whole set, a private part and a
//! wrong length pass, and `alg` Ed25519 (RFC 9864) is the same to it as any unknown algorithm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key_set::{KeySet, SkippedKey, VerifyingKey};
use crate::text_file;

/// The algorithms of each key type by their names (RFC 7518, RFC 8037, RFC 9864).
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

/// The accepted lengths of RSA moduli in bits: RFC 7518, section 3.3, sets the least, aws-lc the most.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The most skipped keys whose reasons are kept, so that a file of nonsense does not fill the log.
const SKIPPED_MAX: usize = 50;

/// Why a key set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwksError {
    /// The text is no JSON object with a list `keys`.
    #[error("is no JSON Web Key Set")]
    Malformed,
    /// None of its keys can be used.
    #[error("holds no usable key{}", listed(.0))]
    NoUsableKey(Vec<SkippedKey>),
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

/// Reads a key set. It skips keys that cannot be used, as RFC 7517, section 5, demands.
///
/// # Errors
/// [`JwksError`] if no key is usable.
pub(crate) fn parse(json: &[u8]) -> Result<KeySet, JwksError> {
    let json = text_file::without_mark(json);
    let set: Jwks = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
    let mut keys = Vec::new();
    let mut skipped = Vec::new();
    for value in &set.keys {
        match Jwk::deserialize(value).map_err(|_| "the key is malformed").and_then(|jwk| usable(&jwk)) {
            Ok(key) => keys.push(key),
            Err(reason) => {
                let kid = value.get("kid").and_then(|kid| kid.as_str()).unwrap_or_default();
                let key = SkippedKey::new(kid, reason);
                if skipped.len() < SKIPPED_MAX && !skipped.contains(&key) {
                    skipped.push(key);
                }
            }
        }
    }
    if keys.is_empty() { Err(JwksError::NoUsableKey(skipped)) } else { Ok(KeySet::new(keys).with_skipped(skipped)) }
}

/// The first three keys with their reasons, as the end of a sentence.
fn listed(skipped: &[SkippedKey]) -> String {
    let keys: Vec<String> = skipped.iter().take(3).map(ToString::to_string).collect();
    if keys.is_empty() { String::new() } else { format!(" ({})", keys.join("; ")) }
}

/// The key, if it is public, for signatures, and strong enough.
fn usable(jwk: &Jwk) -> Result<VerifyingKey, &'static str> {
    if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
        return Err("the key is not for signatures");
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return Err("the key is not for verifying");
    }
    if jwk.d.is_some() {
        // Everybody who has read the set can sign with this key.
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
        // With a symmetric key (`oct`) everybody who can verify can also sign.
        _ => return Err("the key's type is not supported"),
    };
    Ok(VerifyingKey { id: jwk.kid.clone(), algorithms, key })
}

/// The algorithm that the key names, or all algorithms of its type.
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
