//! Public keys that verify tokens, and how the key of a token is found.

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

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

    /// The ids of the keys, in the order of the set.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_deref().unwrap_or_default())
    }
}
