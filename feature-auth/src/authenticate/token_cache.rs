//! A cache of verified tokens by their digests, with bounded memory. It never holds the tokens themselves. The verifier
//! checks whether an entry is still current.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::issuer::Issuer;
use super::principal::Principal;

/// The memory that is planned for one token. A token with a few roles needs half of it, one with hundreds several times
/// as much.
const TOKEN_BYTES: usize = 1024;

/// The memory of an entry beside its principal, about: its slot in the cache, and [`Verified`].
const ENTRY_BYTES: usize = 192;

/// The SHA-256 digest of a token, which no other token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of this token.
    pub(crate) fn of(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// The result of a verification, with the versions that it depends on. A version is small; the keys and the list
/// themselves would stay in memory as long as the entry.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The principal of the token.
    pub principal: Arc<Principal>,
    /// Its issuer.
    pub issuer: Arc<Issuer>,
    /// The version of the issuer's keys.
    pub keys_version: u64,
    /// The version of the list of revoked tokens.
    pub revocations_version: u64,
}

/// The verified tokens. Rarely used tokens are evicted first. It holds valid tokens only, so a client without one
/// cannot evict the tokens of others.
#[derive(Debug)]
pub(crate) struct TokenCache(Cache<TokenDigest, Arc<Verified>, Weight>);

impl TokenCache {
    /// A cache for this number of tokens of [`TOKEN_BYTES`] each; `None` for 0.
    pub(crate) fn new(entries: usize) -> Option<Self> {
        let bytes = entries as u64 * TOKEN_BYTES as u64;
        (entries > 0).then(|| Self(Cache::with_weighter(entries, bytes, Weight)))
    }

    /// The result for the token with this digest.
    pub(crate) fn get(&self, token: &TokenDigest) -> Option<Arc<Verified>> {
        self.0.get(token)
    }

    /// Adds a valid token.
    pub(crate) fn insert(&self, token: TokenDigest, verified: Verified) {
        self.0.insert(token, Arc::new(verified));
    }

    /// The number of tokens.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The memory of all tokens, by their weights.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<TokenDigest, Arc<Verified>> for Weight {
    fn weight(&self, _: &TokenDigest, verified: &Arc<Verified>) -> u64 {
        TOKEN_BYTES.max(ENTRY_BYTES + verified.principal.bytes()) as u64
    }
}
