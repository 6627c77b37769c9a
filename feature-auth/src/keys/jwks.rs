//! JSON Web Key Sets (RFC 7517): which of their keys are usable and for which algorithms, and how the key of a token is
//! found.
//!
//! jsonwebtoken has a `JwkSet` too, but it is less strict: one malformed key fails the whole set, a private part and a
//! wrong length pass, and `alg` Ed25519 (RFC 9864) is the same to it as any unknown algorithm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::LoadError;
use crate::text_file;

/// The accepted lengths of RSA moduli in bits: RFC 7518, section 3.3, sets the least, aws-lc the most.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The most skipped keys whose reasons are kept, so that a file of nonsense does not fill the log.
const SKIPPED_MAX: usize = 50;

/// The most characters of a key id in the log.
const KID_MAX_CHARS: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct VerifyingKey {
    /// The key id, if the issuer gives one.
    pub id: Option<String>,
    /// The algorithms that the key may verify (RFC 8725, section 3.1): one, unless it is an RSA key without `alg`.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.algorithms, numbers(&self.key)) == (&other.id, &other.algorithms, numbers(&other.key))
    }
}

/// The numbers of a key: modulus and exponent of an RSA key, the point of any other.
fn numbers(key: &DecodingKey) -> (&[u8], &[u8]) {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(point) => (point, &[]),
        DecodingKeyKind::RsaModulusExponent { n, e } => (n, e),
    }
}

/// The algorithm of this name; `None` for `none`, and for algorithms that the library does not have.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        // RFC 9864: EdDSA with the only supported curve.
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeySet {
    pub keys: Vec<VerifyingKey>,
    /// The other ones: the id of each, escaped and cut for the log, and the reason.
    pub skipped: Vec<String>,
}

impl KeySet {
    /// The key that verifies a token.
    ///
    /// * `id`: the token's key id. Without it the issuer must have a single key (OpenID Connect Core 1.0, section
    ///   10.1).
    /// * `algorithm`: the token's algorithm, which chooses among keys of one id (RFC 7517, section 4.5). The found key
    ///   may be for another one: the verification refuses that.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        let Some(id) = id else {
            return if let [only] = self.keys.as_slice() { Some(only) } else { None };
        };
        let mut candidates = self.keys.iter().filter(|key| key.id.as_deref() == Some(id));
        let first = candidates.clone().next();
        candidates.find(|key| key.algorithms.contains(&algorithm)).or(first)
    }
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
pub(crate) fn parse(json: &[u8]) -> Result<KeySet, LoadError> {
    let jwks: Jwks = serde_json::from_slice(text_file::without_mark(json)).map_err(|_| LoadError::Malformed)?;
    let mut set = KeySet::default();
    for value in &jwks.keys {
        match Jwk::deserialize(value).map_err(|_| "the key is malformed").and_then(usable) {
            Ok(key) => set.keys.push(key),
            Err(reason) => {
                let skipped = format!("{}: {reason}", shown(value["kid"].as_str().unwrap_or_default()));
                if set.skipped.len() < SKIPPED_MAX && !set.skipped.contains(&skipped) {
                    set.skipped.push(skipped);
                }
            }
        }
    }
    if set.keys.is_empty() { Err(LoadError::NoUsableKey(set.skipped)) } else { Ok(set) }
}

/// A key id for the log, escaped and cut.
fn shown(kid: &str) -> String {
    match kid.char_indices().nth(KID_MAX_CHARS) {
        _ if kid.is_empty() => "without kid".to_owned(),
        None => format!("kid \"{}\"", kid.escape_debug()),
        Some((end, _)) => format!("kid \"{}...\"", kid[..end].escape_debug()),
    }
}

/// The key, if it is public, for signatures, and strong enough.
fn usable(jwk: Jwk) -> Result<VerifyingKey, &'static str> {
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
            (algorithms(&jwk, &[Algorithm::EdDSA])?, DecodingKey::from_ed_der(&bytes(&jwk.x, 32)?))
        }
        ("EC", Some("P-256")) => (algorithms(&jwk, &[Algorithm::ES256])?, point(&jwk, 32)?),
        ("EC", Some("P-384")) => (algorithms(&jwk, &[Algorithm::ES384])?, point(&jwk, 48)?),
        ("RSA", _) => (algorithms(&jwk, AlgorithmFamily::Rsa.algorithms())?, rsa(&jwk)?),
        // With a symmetric key (`oct`) everybody who can verify can also sign.
        _ => return Err("the key's type is not supported"),
    };
    Ok(VerifyingKey { id: jwk.kid, algorithms, key })
}

/// The algorithm that the key names, or all algorithms of its type.
fn algorithms(jwk: &Jwk, of_type: &[Algorithm]) -> Result<Vec<Algorithm>, &'static str> {
    let Some(name) = &jwk.alg else { return Ok(of_type.to_vec()) };
    let named = algorithm(name).filter(|named| of_type.contains(named));
    Ok(vec![named.ok_or("the key's algorithm does not fit its type")?])
}

/// The uncompressed form of SEC 1, section 2.3.3: 4, x, y.
fn point(jwk: &Jwk, length: usize) -> Result<DecodingKey, &'static str> {
    Ok(DecodingKey::from_ec_der(&[vec![4], bytes(&jwk.x, length)?, bytes(&jwk.y, length)?].concat()))
}

fn rsa(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let (modulus, exponent) = (decode(&jwk.n)?, decode(&jwk.e)?);
    let significant: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("an RSA key needs 2048 to 8192 bits");
    }
    Ok(DecodingKey::from_rsa_raw_components(&significant, &exponent))
}

fn bytes(text: &Option<String>, length: usize) -> Result<Vec<u8>, &'static str> {
    let bytes = decode(text)?;
    if bytes.len() == length { Ok(bytes) } else { Err("a part of the key has the wrong length") }
}

fn decode(text: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let text = text.as_ref().ok_or("a part of the key is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of the key is no base64url")
}

#[cfg(test)]
mod tests;
