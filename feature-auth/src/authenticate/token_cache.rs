//! Verified tokens, remembered by their digests: in a bounded memory, and never the tokens themselves. Whether one
//! still holds is for the verifier to say.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::issuer::Issuer;
use super::principal::Principal;

/// The room of one token. A token with a few roles needs half of it, one with hundreds takes the room of several.
const TOKEN_BYTES: usize = 1024;

/// What a token takes beside its principal, at about: its place in the cache, and [`Verified`].
const ENTRY_BYTES: usize = 192;

/// What a token is remembered by. Nobody can find another token with the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// What came of verifying a token, and under which circumstances. It holds the numbers of the keys and of the list
/// rather than these themselves, which a token that nobody shows any more would keep in memory.
#[derive(Debug)]
pub struct Verified {
    /// Whom it speaks for.
    pub principal: Arc<Principal>,
    /// Who made it.
    pub issuer: Arc<Issuer>,
    /// Which keys the issuer had.
    pub keys_version: u64,
    /// Which list of revoked tokens was in force.
    pub revocations_version: u64,
}

/// The verified tokens, of which those that are seldom shown are forgotten first. Only tokens that were
/// found to be good are in here, so that who has none cannot push out others'.
#[derive(Debug)]
pub struct RememberedTokens(Cache<TokenDigest, Arc<Verified>, Weight>);

impl RememberedTokens {
    /// Room for so many tokens, each of [`TOKEN_BYTES`]; `None` for none at all.
    pub fn new(entries: usize) -> Option<Self> {
        let bytes = entries as u64 * TOKEN_BYTES as u64;
        (entries > 0).then(|| Self(Cache::with_weighter(entries, bytes, Weight)))
    }

    /// What came of verifying the token with this digest.
    pub fn get(&self, token: &TokenDigest) -> Option<Arc<Verified>> {
        self.0.get(token)
    }

    /// Remembers a token that is good.
    pub fn insert(&self, token: TokenDigest, verified: Verified) {
        self.0.insert(token, Arc::new(verified));
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How much memory they take, by their weights.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
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
