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
pub(crate) fn digest_of(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The result of a verification, with the versions that it depends on. A version is small; the keys and the list
/// themselves would stay in memory as long as the entry.
#[derive(Debug)]
pub(crate) struct Verified {
    pub principal: Arc<Principal>,
    pub issuer: Arc<Issuer>,
    pub keys_version: u64,
    pub revocations_version: u64,
}

/// The verified tokens by their digests. Rarely used tokens are evicted first. It holds valid tokens only, so a client
/// without one cannot evict the tokens of others.
pub(crate) type TokenCache = Cache<[u8; 32], Arc<Verified>, Weight>;

/// A cache for this number of tokens of [`TOKEN_BYTES`] each. With 0 it holds none.
pub(crate) fn new(entries: usize) -> TokenCache {
    Cache::with_weighter(entries, entries as u64 * TOKEN_BYTES as u64, Weight)
}

/// The memory that a token takes.
#[derive(Debug, Clone)]
pub(crate) struct Weight;

impl Weighter<[u8; 32], Arc<Verified>> for Weight {
    fn weight(&self, _: &[u8; 32], verified: &Arc<Verified>) -> u64 {
        TOKEN_BYTES.max(ENTRY_BYTES + verified.principal.bytes()) as u64
    }
}
