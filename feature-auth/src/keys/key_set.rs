//! Public keys that verify tokens, and how the key of a token is found.

use std::fmt;

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// The most characters of a key id in the log.
const KID_MAX_CHARS: usize = 64;

/// A public key with its algorithms.
#[derive(Debug, Clone)]
pub(crate) struct VerifyingKey {
    /// The key id, if the issuer gives one.
    pub id: Option<String>,
    /// The algorithms that the key may verify (RFC 8725, section 3.1): one, unless it is an RSA key without `alg`.
    pub algorithms: Vec<Algorithm>,
    /// The key.
    pub key: DecodingKey,
}

impl VerifyingKey {
    /// An Ed25519 key of 32 bytes. Its id is its thumbprint (RFC 7638) with SHA-256, in base64url.
    pub(crate) fn ed25519(public: &[u8; 32]) -> Self {
        let key = DecodingKey::from_ed_der(public);
        let jwk = Jwk::from_decoding_key(&key, Some(Algorithm::EdDSA)).expect("32 bytes are an Ed25519 key");
        let id = jwk.thumbprint(ThumbprintHash::SHA256).expect("a thumbprint is defined for Ed25519 keys");
        Self { id: Some(id), algorithms: vec![Algorithm::EdDSA], key }
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        let same_bytes = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(other)) => one == other,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: other_n, e: other_e },
            ) => n == other_n && e == other_e,
            _ => false,
        };
        same_bytes && self.id == other.id && self.algorithms == other.algorithms
    }
}

/// A key of an issuer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SkippedKey {
    /// Its id, escaped and cut for a line of the log; empty if it has none.
    pub kid: String,
    /// Why it cannot be used.
    pub reason: &'static str,
}

impl SkippedKey {
    /// A key with this id, as the issuer spells it.
    pub(crate) fn new(kid: &str, reason: &'static str) -> Self {
        let rest = if kid.chars().nth(KID_MAX_CHARS).is_some() { "..." } else { "" };
        let kid = kid.chars().take(KID_MAX_CHARS).flat_map(char::escape_debug).chain(rest.chars()).collect();
        Self { kid, reason }
    }
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kid.as_str() {
            "" => write!(f, "without kid: {}", self.reason),
            kid => write!(f, "kid \"{kid}\": {}", self.reason),
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: Vec<SkippedKey>,
}

impl KeySet {
    /// A set of these keys.
    pub(crate) fn new(keys: Vec<VerifyingKey>) -> Self {
        Self { keys, skipped: Vec::new() }
    }

    /// The same set, with the keys of the issuer that cannot be used.
    pub(crate) fn with_skipped(self, skipped: Vec<SkippedKey>) -> Self {
        Self { skipped, ..self }
    }

    /// The keys of the issuer that cannot be used.
    pub(crate) fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The ids of the keys, in the order of the set.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_deref().unwrap_or_default())
    }

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
        let first = candidates.next()?;
        if first.algorithms.contains(&algorithm) {
            return Some(first);
        }
        candidates.find(|key| key.algorithms.contains(&algorithm)).or(Some(first))
    }
}
