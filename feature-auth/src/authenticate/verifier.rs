//! Verifies tokens of the server itself and of the configured issuers with the current keys. Caches verified tokens.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::task::spawn_blocking;

use super::claims::{Claims, has_expired};
use super::issuer::{Issuer, OWN_ISSUER};
use super::jws::Jws;
use super::principal::Principal;
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::KeyFolder;
use crate::revocation::Revocations;
use crate::roles::Roles;

#[derive(Debug)]
pub(crate) struct Verifier {
    config: Auth,
    issuers: HashMap<String, Arc<Issuer>>,
    revocations: Revocations,
    /// The verified tokens by their SHA-256 digests. Rarely used ones are evicted first. It holds valid tokens only, so
    /// a client without one cannot evict the tokens of others.
    token_cache: Cache<[u8; 32], Arc<Verified>, TokenWeight>,
}

/// The memory that is planned for one token. A token with a few roles needs half of it, one with hundreds several times
/// as much.
const TOKEN_BYTES: usize = 1024;

/// The memory of an entry beside its principal, about: its slot in the cache, and [`Verified`].
const ENTRY_BYTES: usize = 192;

/// The result of a verification, with the versions that it depends on. A version is small; the keys and the list
/// themselves would stay in memory as long as the entry.
#[derive(Debug)]
struct Verified {
    principal: Arc<Principal>,
    issuer: Arc<Issuer>,
    keys_version: u64,
    revocations_version: u64,
}

#[derive(Debug, Clone)]
struct TokenWeight;

impl Weighter<[u8; 32], Arc<Verified>> for TokenWeight {
    fn weight(&self, _: &[u8; 32], verified: &Arc<Verified>) -> u64 {
        TOKEN_BYTES.max(ENTRY_BYTES + verified.principal.bytes()) as u64
    }
}

/// Why a token is not accepted.
#[derive(Debug)]
pub(crate) struct Unverified {
    pub error: AuthError,
    /// The token's issuer, if the current keys do not include the token's key: the issuer may have newer ones.
    pub issuer: Option<Arc<Issuer>>,
}

impl From<AuthError> for Unverified {
    fn from(error: AuthError) -> Self {
        Self { error, issuer: None }
    }
}

impl Verifier {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable yet.
    pub(crate) fn new(config: &Auth, roles: &Roles, keys: KeyFolder, now: Timestamp) -> Result<Self, SetupError> {
        let own = Issuer::own(config, keys, roles, now)?;
        let mut issuers = HashMap::from([(OWN_ISSUER.to_owned(), Arc::new(own))]);
        for (index, entry) in config.issuers.iter().enumerate() {
            let issuer = Issuer::oidc(index, config, roles, now)?;
            issuers.insert(entry.issuer.clone(), Arc::new(issuer));
        }
        let file = &config.revocation_file;
        let revocations = Revocations::open(file.as_deref())
            .map_err(|error| SetupError::file("auth.revocation_file", file, error))?;
        let entries = config.token_cache_entries;
        let token_cache = Cache::with_weighter(entries, entries as u64 * TOKEN_BYTES as u64, TokenWeight);
        Ok(Self { config: config.clone(), issuers, revocations, token_cache })
    }

    /// The principal of a token. Must be called on a tokio runtime.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Principal>, Unverified> {
        let digest = digest_of(token);
        if let Some(verified) = self.remembered(&digest, now) {
            return Ok(Arc::clone(&verified.principal));
        }
        let verified = self.verify_anew(token, now)?;
        let principal = Arc::clone(&verified.principal);
        self.token_cache.insert(digest, Arc::new(verified));
        Ok(principal)
    }

    /// Whether the result of an earlier verification still holds.
    pub(crate) fn remembers(&self, token: &str, now: Timestamp) -> bool {
        self.remembered(&digest_of(token), now).is_some()
    }

    fn remembered(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Verified>> {
        self.token_cache.get(digest).filter(|verified| self.is_current(verified, now))
    }

    /// Looks after keys and files, so that a removed key or a revoked token does not stay valid until the next call.
    pub(crate) async fn refresh(self: Arc<Self>) {
        let now = Timestamp::now().monotonic;
        for issuer in self.issuers.values() {
            // `current` loads old keys again. Missing keys are loaded here, so that the first call need not wait.
            if issuer.keys.current(now).is_err() {
                issuer.keys.refresh(now);
            }
        }
        if !self.revocations.has_file() {
            return;
        }
        // The join fails only after a panic. Then the last good list stays.
        let _ = spawn_blocking(move || self.revocations.reload()).await;
    }

    /// Whether the keys, the revocations and the validity of a cached token are still those of its verification.
    fn is_current(&self, verified: &Verified, now: Timestamp) -> bool {
        verified.issuer.keys.current(now.monotonic).is_ok_and(|keys| keys.version == verified.keys_version)
            && self.revocations.current.load().version == verified.revocations_version
            && !has_expired(verified.principal.expires_at, &self.config, now.unix_s)
    }

    /// The only way to a principal: a key of the token's issuer, then the signature, the claims, and the revocations.
    fn verify_anew(&self, token: &str, now: Timestamp) -> Result<Verified, Unverified> {
        let jws = Jws::parse(token)?;
        let issuer = Claims::issuer_of(&jws.payload)?;
        let issuer = self.issuers.get(&issuer).ok_or(AuthError::TokenInvalid("its issuer is not known"))?;
        let key_unknown = |why| Unverified { error: AuthError::TokenInvalid(why), issuer: Some(Arc::clone(issuer)) };
        let snapshot = issuer.keys.current(now.monotonic).map_err(key_unknown)?;
        let key = snapshot.keys.find(jws.key_id.as_deref(), jws.algorithm);
        jws.verify(key.ok_or_else(|| key_unknown("its issuer has no such key"))?)?;
        let claims = Claims::parse(&jws.payload)?;
        let principal = Arc::new(issuer.principal(&claims, &self.config, now)?);
        let revocations = self.revocations.current.load();
        if revocations.list.revokes(&claims.iss, claims.jti.as_deref(), &principal.subject, claims.iat) {
            return Err(AuthError::TokenInvalid("it has been revoked").into());
        }
        let (keys_version, revocations_version) = (snapshot.version, revocations.version);
        Ok(Verified { principal, issuer: Arc::clone(issuer), keys_version, revocations_version })
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
