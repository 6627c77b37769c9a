//! JSON Web Key Sets (RFC 7517): which of their keys are usable, and for which algorithm. Nothing is loaded here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key_set::{KeySet, VerifyingKey};

/// The lengths of RSA moduli that are accepted, in bits (RFC 7518, section 3.3, and what aws-lc verifies).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a text is no key set that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// The text is no JSON object with a list `keys`.
    #[error("is no JSON Web Key Set")]
    Malformed,
    /// No key is left after those that cannot be used.
    #[error("holds no usable key{}", .0.map(|why| format!(": {why}")).unwrap_or_default())]
    NoUsableKey(Option<&'static str>),
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
    let set: Jwks = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
    let mut keys = Vec::new();
    let mut refused = None;
    for value in set.keys {
        let key = serde_json::from_value(value).map_err(|_| "a key is malformed").and_then(|jwk| usable(&jwk));
        match key {
            Ok(key) => keys.push(key),
            Err(why) => refused = Some(why),
        }
    }
    if keys.is_empty() { Err(JwksError::NoUsableKey(refused)) } else { Ok(KeySet::new(keys)) }
}

/// The key, when it is public, for signatures, and strong enough. Its algorithm follows from its type alone.
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
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => {
            let x = bytes(jwk.x.as_deref(), 32)?;
            (only(jwk, Algorithm::EdDSA, "EdDSA")?, DecodingKey::from_ed_der(&x))
        }
        ("EC", Some("P-256")) => (only(jwk, Algorithm::ES256, "ES256")?, point(jwk, 32)?),
        ("EC", Some("P-384")) => (only(jwk, Algorithm::ES384, "ES384")?, point(jwk, 48)?),
        ("RSA", _) => (rsa_algorithm(jwk.alg.as_deref())?, rsa(jwk)?),
        // Symmetric keys (`oct`) would let whoever can verify also sign.
        _ => return Err("the key's type is not supported"),
    };
    Ok(VerifyingKey { id: jwk.kid.clone(), algorithm, key })
}

fn only(jwk: &Jwk, algorithm: Algorithm, name: &str) -> Result<Algorithm, &'static str> {
    match jwk.alg.as_deref() {
        None => Ok(algorithm),
        Some(given) if given == name => Ok(algorithm),
        Some(_) => Err("the key's algorithm does not fit its type"),
    }
}

fn rsa_algorithm(name: Option<&str>) -> Result<Algorithm, &'static str> {
    match name {
        None | Some("RS256") => Ok(Algorithm::RS256),
        Some("RS384") => Ok(Algorithm::RS384),
        Some("RS512") => Ok(Algorithm::RS512),
        Some("PS256") => Ok(Algorithm::PS256),
        Some("PS384") => Ok(Algorithm::PS384),
        Some("PS512") => Ok(Algorithm::PS512),
        Some(_) => Err("the key's algorithm does not fit its type"),
    }
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
