//! Verifies tokens of the server itself and of the configured issuers with the current keys. Caches verified tokens.

use std::collections::HashMap;
use std::sync::Arc;

use super::claims::{Claims, TimeLimits};
use super::issuer::Issuer;
use super::issuer::own::OWN_ISSUER;
use super::jws::Jws;
use super::principal::Principal;
use super::token_cache::{TokenCache, TokenDigest, Verified};
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::KeyFolder;
use crate::revocation::file::Revocations;
use crate::roles::Roles;

/// Verifies tokens.
#[derive(Debug)]
pub(crate) struct Verifier {
    issuers: HashMap<String, Arc<Issuer>>,
    limits: TimeLimits,
    revocations: Revocations,
    token_cache: Option<TokenCache>,
}

/// Why a token is not accepted.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// The token is not valid.
    Refused(AuthError),
    /// The current keys do not include the token's key. Its issuer may have newer ones.
    KeyUnknown(Arc<Issuer>),
}

impl From<AuthError> for Unverified {
    fn from(error: AuthError) -> Self {
        Unverified::Refused(error)
    }
}

impl Verifier {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable yet.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub(crate) fn new(config: &Auth, roles: &Roles, keys: KeyFolder, now: Timestamp) -> Result<Self, SetupError> {
        let own = Issuer::own(config, keys, roles, now)?;
        let mut issuers = HashMap::from([(OWN_ISSUER.to_owned(), Arc::new(own))]);
        for (index, entry) in config.issuers.iter().enumerate() {
            let issuer = Issuer::oidc(&format!("auth.issuers[{index}]"), entry, config, roles, now)?;
            issuers.insert(entry.issuer.clone(), Arc::new(issuer));
        }
        let file = config.revocation_file.as_deref();
        let revocations = Revocations::open(file).map_err(|error| {
            let file = file.map(|file| file.display().to_string()).unwrap_or_default();
            SetupError::setting("auth.revocation_file", file, error)
        })?;
        let limits = TimeLimits { leeway_s: config.leeway_s, max_lifetime_s: config.max_token_lifetime_s };
        Ok(Self { issuers, limits, revocations, token_cache: TokenCache::new(config.token_cache_entries) })
    }

    /// The principal of a token. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Unverified`].
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Principal>, Unverified> {
        let Some(cache) = &self.token_cache else {
            return self.verify_anew(token, now).map(|verified| verified.principal);
        };
        let digest = TokenDigest::of(token);
        if let Some(verified) = cache.get(&digest)
            && self.is_current(&verified, now)
        {
            return Ok(Arc::clone(&verified.principal));
        }
        let verified = self.verify_anew(token, now)?;
        let principal = Arc::clone(&verified.principal);
        cache.insert(digest, verified);
        Ok(principal)
    }

    /// All issuers.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.values()
    }

    /// The revoked tokens.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Whether the keys, the revocations and the validity of a cached token are still those of its verification.
    fn is_current(&self, verified: &Verified, now: Timestamp) -> bool {
        let same_keys = |version| verified.keys_version == version;
        verified.issuer.keys.current(now.monotonic).is_ok_and(|keys| same_keys(keys.version))
            && self.revocations.current().version == verified.revocations_version
            && !self.limits.over(verified.principal.expires_at, now.unix_s)
    }

    /// The only way to a principal: a key of the token's issuer, then the signature, the claims, and the revocations.
    fn verify_anew(&self, token: &str, now: Timestamp) -> Result<Verified, Unverified> {
        let jws = Jws::parse(token)?;
        let issuer = Claims::issuer_of(&jws.payload)?;
        let issuer = self.issuers.get(&issuer).ok_or(AuthError::TokenInvalid("its issuer is not known"))?;
        let key_unknown = || Unverified::KeyUnknown(Arc::clone(issuer));
        let snapshot = issuer.keys.current(now.monotonic).map_err(|_| key_unknown())?;
        jws.verify(snapshot.keys.find(jws.key_id.as_deref(), jws.algorithm).ok_or_else(key_unknown)?)?;
        let claims = Claims::parse(&jws.payload, &issuer.roles_claim)?;
        let principal = Arc::new(issuer.principal(&claims, self.limits, now)?);
        let revocations = self.revocations.current();
        if revocations.list.revokes(claims.ids()?) {
            return Err(AuthError::TokenInvalid("it has been revoked").into());
        }
        Ok(Verified {
            principal,
            issuer: Arc::clone(issuer),
            keys_version: snapshot.version,
            revocations_version: revocations.version,
        })
    }
}

#[cfg(test)]
mod tests;
