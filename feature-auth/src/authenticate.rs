//! From a token to the principal that it speaks for. If the token's key is unknown, the issuer's keys are loaded first.
//! Verified tokens are cached.

pub(crate) mod certificates;
pub(crate) mod claims;
pub(crate) mod issuer;
pub(crate) mod principal;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::futures::OwnedNotified;
use tokio::task::spawn_blocking;

use self::claims::{Claims, Jws, has_expired};
use self::issuer::{Issuer, OWN_ISSUER};
use self::principal::{Principal, TokenNames};
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::KeyFolder;
use crate::keys::jwks_cache::LoadEnd;
use crate::revocation::Revocations;
use crate::roles::Roles;

/// Authenticates calls by their tokens: those of the server itself and of the configured issuers.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Verifier>);

/// The result of [`Authenticator::authenticate`].
pub enum Authentication {
    /// The current keys are enough to accept or refuse the token.
    Ready(Result<Arc<Principal>, AuthError>),
    /// The token's key may be new: its issuer's keys are being loaded.
    Pending(PendingAuthentication),
}

/// A token that waits for its issuer's keys.
pub struct PendingAuthentication {
    verifier: Arc<Verifier>,
    load: LoadEnd,
    token: String,
    now: Timestamp,
}

#[derive(Debug)]
struct Verifier {
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

const REVOKED: AuthError = AuthError::TokenInvalid("it has been revoked");

/// Why a token is not accepted.
#[derive(Debug)]
struct Unverified {
    error: AuthError,
    /// Set if the keys that were looked at do not include the token's key: its issuer may have newer ones.
    key_missing: Option<KeyMissing>,
}

/// A look at an issuer's keys that did not find the one of a token.
#[derive(Debug)]
struct KeyMissing {
    issuer: Arc<Issuer>,
    /// When the keys had been loaded.
    loaded: Option<Instant>,
}

impl From<AuthError> for Unverified {
    fn from(error: AuthError) -> Self {
        Self { error, key_missing: None }
    }
}

impl Authenticator {
    /// Opens the server's own `keys`, those of all issuers, and the list of revoked tokens. Keys behind URLs need not
    /// be reachable yet. `roles` are all roles.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(config: &Auth, roles: &Roles, keys: KeyFolder, now: Timestamp) -> Result<Self, SetupError> {
        let own = Issuer::own(config, keys, roles, now)?;
        let mut issuers = HashMap::from([(OWN_ISSUER.to_owned(), Arc::new(own))]);
        for (index, entry) in config.issuers.iter().enumerate() {
            let issuer = Issuer::oidc(index, config, roles, now)?;
            issuers.insert(entry.issuer.clone(), Arc::new(issuer));
        }
        let file = &config.revocation_file;
        let revocations = Revocations::open(file.as_deref(), now)
            .map_err(|error| SetupError::file("auth.revocation_file", file, error))?;
        let entries = config.token_cache_entries;
        let token_cache = Cache::with_weighter(entries, entries as u64 * TOKEN_BYTES as u64, TokenWeight);
        Ok(Self(Arc::new(Verifier { config: config.clone(), issuers, revocations, token_cache })))
    }

    /// Spawns a task that keeps keys and revocations up to date every second, for as long as this authenticator lives.
    /// Must be called on a tokio runtime.
    pub fn spawn_refresh(&self) {
        let verifier = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(verifier) = verifier.upgrade() {
                verifier.refresh().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// Replaces the list of revoked tokens that the servers of a fleet have in common. Each entry is like a line of the
    /// revocation file.
    pub fn set_shared_revocations(&self, entries: &[String]) {
        self.0.revocations.set_shared(entries);
    }

    /// Whether a principal's credential still counts: its token has not expired, and was not revoked. For calls that
    /// last, and were authenticated once.
    ///
    /// # Errors
    /// [`AuthError::TokenExpired`] and [`AuthError::TokenInvalid`].
    pub fn check_again(&self, principal: &Principal, now: Timestamp) -> Result<(), AuthError> {
        let Verifier { config, revocations, .. } = &*self.0;
        if has_expired(principal.expires_at, config, now.unix_s) {
            return Err(AuthError::TokenExpired);
        }
        let is_revoked = |token: &TokenNames| {
            revocations.revokes(&token.issuer, token.id.as_deref(), &principal.subject, token.issued_at_s)
        };
        if principal.token.as_ref().is_some_and(is_revoked) { Err(REVOKED) } else { Ok(()) }
    }

    /// When a principal's token expires, with the leeway of the settings, in seconds since 1970-01-01T00:00:00Z.
    pub fn expires_at_s(&self, principal: &Principal) -> u64 {
        principal.expires_at.saturating_add(self.0.config.leeway_s)
    }

    /// Ready at the next change of the list of revoked tokens.
    pub fn next_revocation(&self) -> OwnedNotified {
        self.0.revocations.next_change()
    }

    /// The issuers of the settings, each with the time since its keys were last loaded; `None` before the first time.
    pub fn jwks_ages(&self, now: Instant) -> Vec<(&str, Option<Duration>)> {
        self.0.jwks_ages(now)
    }

    /// Whether the token needs no verification, because the result of an earlier one still holds.
    pub fn remembers(&self, token: &str, now: Timestamp) -> bool {
        self.0.remembers(token, now)
    }

    /// Authenticates a call by its token. Must be called on a tokio runtime.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Authentication {
        match self.0.verify(token, now) {
            Ok(principal) => Authentication::Ready(Ok(principal)),
            Err(unverified) => self.with_newer_keys(unverified, token, now),
        }
    }

    /// Authenticates with newer keys, if there are or may be any.
    fn with_newer_keys(&self, unverified: Unverified, token: &str, now: Timestamp) -> Authentication {
        let Unverified { error, key_missing } = unverified;
        let Some(KeyMissing { issuer, loaded }) = key_missing else { return Authentication::Ready(Err(error)) };
        match issuer.keys.refresh(now.monotonic) {
            Some(load) => {
                let (verifier, token) = (Arc::clone(&self.0), token.to_owned());
                Authentication::Pending(PendingAuthentication { verifier, load, token, now })
            }
            // A load has ended since the look at the keys.
            None if issuer.keys.loaded() != loaded => {
                Authentication::Ready(self.0.verify(token, now).map_err(|unverified| unverified.error))
            }
            None => Authentication::Ready(Err(error)),
        }
    }
}

impl PendingAuthentication {
    /// Waits for the end of the load, and verifies the token with the keys of then. The error is
    /// [`AuthError::TokenInvalid`] or [`AuthError::TokenExpired`].
    pub async fn finish(mut self) -> Result<Arc<Principal>, AuthError> {
        // An error means the end.
        let _ = self.load.changed().await;
        self.verifier.verify(&self.token, self.now).map_err(|unverified| unverified.error)
    }
}

impl Verifier {
    /// The principal of a token. Must be called on a tokio runtime.
    fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Principal>, Unverified> {
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
    fn remembers(&self, token: &str, now: Timestamp) -> bool {
        self.remembered(&digest_of(token), now).is_some()
    }

    fn remembered(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Verified>> {
        self.token_cache.get(digest).filter(|verified| self.is_current(verified, now))
    }

    /// Looks after keys and files, so that a removed key or a revoked token does not stay valid until the next call.
    async fn refresh(self: Arc<Self>) {
        let now = Timestamp::now();
        for issuer in self.issuers.values() {
            // `current` loads old keys again. Missing keys are loaded here, so that the first call need not wait.
            if issuer.keys.current(now.monotonic).is_err() {
                issuer.keys.refresh(now.monotonic);
            }
        }
        if self.config.revocation_file.is_some() {
            // The join fails only after a panic. Then the last good list stays.
            let _ = spawn_blocking(move || self.revocations.reload(now)).await;
        }
    }

    /// The issuers of the settings, each with the time since its keys were last loaded.
    fn jwks_ages(&self, now: Instant) -> Vec<(&str, Option<Duration>)> {
        let issuers = self.config.issuers.iter().map(|entry| entry.issuer.as_str());
        issuers.map(|issuer| (issuer, self.issuers[issuer].keys.age(now))).collect()
    }

    /// Whether the keys, the revocations and the validity of a cached token are still those of its verification.
    fn is_current(&self, verified: &Verified, now: Timestamp) -> bool {
        verified.issuer.keys.current(now.monotonic).is_ok_and(|keys| keys.version == verified.keys_version)
            && self.revocations.version() == verified.revocations_version
            && !has_expired(verified.principal.expires_at, &self.config, now.unix_s)
    }

    /// The only way to a principal: a key of the token's issuer, then the signature, the claims, and the revocations.
    fn verify_anew(&self, token: &str, now: Timestamp) -> Result<Verified, Unverified> {
        let jws = Jws::parse(token)?;
        let issuer = Claims::issuer_of(&jws.payload)?;
        let issuer = self.issuers.get(&issuer).ok_or(AuthError::TokenInvalid("its issuer is not known"))?;
        let loaded = issuer.keys.loaded();
        let key_unknown = |why| Unverified {
            error: AuthError::TokenInvalid(why),
            key_missing: Some(KeyMissing { issuer: Arc::clone(issuer), loaded }),
        };
        let snapshot = issuer.keys.current(now.monotonic).map_err(key_unknown)?;
        let key = snapshot.keys.find(jws.key_id.as_deref(), jws.algorithm);
        jws.verify(key.ok_or_else(|| key_unknown("its issuer has no such key"))?)?;
        let claims = Claims::parse(&jws.payload)?;
        let principal = Arc::new(issuer.principal(&claims, &self.config, now)?);
        // Before the look, so that a later change counts.
        let (keys_version, revocations_version) = (snapshot.version, self.revocations.version());
        if self.revocations.revokes(&claims.iss, claims.jti.as_deref(), &principal.subject, claims.iat) {
            return Err(REVOKED.into());
        }
        Ok(Verified { principal, issuer: Arc::clone(issuer), keys_version, revocations_version })
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
