//! From a token to the principal that it speaks for, with the keys at hand. Where a token comes from is not known here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::claims::{Claims, TimeLimits};
use super::issuer::configured::oidc;
use super::issuer::{Issuer, Kind};
use super::jws::Jws;
use super::principal::Principal;
use crate::auth::authenticate::token_cache::{RememberedTokens, TokenDigest, Verified};
use crate::auth::clock::Moment;
use crate::auth::error::AuthError;
use crate::auth::keys::jwks_cache::{CachedKeys, LoadError, Source};
use crate::auth::keys::signing_keys::KeyFolder;
use crate::auth::mint::OWN_ISSUER;
use crate::auth::revocation::file::Revocations;
use crate::auth::roles::Roles;
use crate::config::settings::Settings;
use crate::error::Failure;

/// Verifies tokens of the server itself and of the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    issuers: HashMap<String, Arc<Issuer>>,
    limits: TimeLimits,
    revocations: Revocations,
    remembered: Option<RememberedTokens>,
}

/// Why a token is not believed.
#[derive(Debug)]
pub enum Unverified {
    /// It is no good.
    Refused(Failure),
    /// The keys at hand, if any, do not tell: its issuer may have newer ones.
    KeyUnknown(Arc<Issuer>),
}

impl From<Failure> for Unverified {
    fn from(failure: Failure) -> Self {
        Unverified::Refused(failure)
    }
}

impl Verifier {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable now.
    ///
    /// `keys`: the server's own.
    ///
    /// # Errors
    /// [`AuthError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(settings: &Settings, keys: KeyFolder, now: Moment) -> Result<Self, AuthError> {
        let auth = &settings.auth;
        let roles = Roles::new(&settings.roles);
        let max_stale = Duration::from_secs(auth.jwks_max_stale_s);
        let own = Issuer {
            audience: OWN_ISSUER.to_owned(),
            keys: CachedKeys::open(OWN_ISSUER, Source::Folder(keys), max_stale, now.steady).map_err(
                |error| match error {
                    LoadError::Folder(error) => AuthError::Keys(error),
                    other => AuthError::setting("server.data", settings.server.data.display(), other),
                },
            )?,
            kind: Kind::Own,
            roles: roles.clone(),
            roles_claim: auth.roles_claim.clone(),
        };
        let mut issuers = HashMap::from([(OWN_ISSUER.to_owned(), Arc::new(own))]);
        for (index, settings) in auth.issuers.iter().enumerate() {
            let issuer = oidc(&format!("auth.issuers[{index}]"), settings, auth, &roles, now)?;
            issuers.insert(settings.issuer.clone(), Arc::new(issuer));
        }
        let revocation_file = auth.revocation_file.as_deref();
        let revocations = Revocations::open(revocation_file).map_err(|error| {
            let file = revocation_file.map(|file| file.display().to_string()).unwrap_or_default();
            AuthError::setting("auth.revocation_file", file, error)
        })?;
        let limits = TimeLimits { leeway_s: auth.leeway_s, max_lifetime_s: auth.max_token_lifetime_s };
        Ok(Self { issuers, limits, revocations, remembered: RememberedTokens::new(auth.token_cache_entries) })
    }

    /// Tells whom a token speaks for. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn verify(&self, token: &str, at: Moment) -> Result<Arc<Principal>, Unverified> {
        let Some(remembered) = &self.remembered else {
            return self.verify_anew(token, at).map(|verified| verified.principal);
        };
        let digest = TokenDigest::of(token);
        if let Some(verified) = remembered.get(&digest)
            && self.still_holds(&verified, at)
        {
            return Ok(Arc::clone(&verified.principal));
        }
        let verified = self.verify_anew(token, at)?;
        let principal = Arc::clone(&verified.principal);
        remembered.insert(digest, verified);
        Ok(principal)
    }

    /// All issuers.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.values()
    }

    /// The list of revoked tokens.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Whether nothing has happened since the token was verified that could change the outcome.
    fn still_holds(&self, verified: &Verified, at: Moment) -> bool {
        let same_keys = |version| verified.keys_version == version;
        verified.issuer.keys.current(at.steady).is_ok_and(|keys| same_keys(keys.version))
            && self.revocations.current().version == verified.revocations_version
            && !self.limits.over(verified.principal.expires_at, at.unix_s)
    }

    /// The one way to a principal: a key of the issuer that the token names, then the signature, the claims, and that
    /// it is not revoked.
    fn verify_anew(&self, token: &str, at: Moment) -> Result<Verified, Unverified> {
        let jws = Jws::parse(token)?;
        let issuer = Claims::issuer_of(&jws.payload)?;
        let issuer = self.issuers.get(&issuer).ok_or(Failure::TokenInvalid("its issuer is not known"))?;
        let key_unknown = || Unverified::KeyUnknown(Arc::clone(issuer));
        let snapshot = issuer.keys.current(at.steady).map_err(|_| key_unknown())?;
        jws.verify(snapshot.keys.find(jws.key_id.as_deref(), jws.algorithm).ok_or_else(key_unknown)?)?;
        let claims = Claims::parse(&jws.payload, &issuer.roles_claim)?;
        let principal = Arc::new(issuer.principal(&claims, self.limits, at)?);
        let revocations = self.revocations.current();
        if revocations.list.revokes(claims.ids()?) {
            return Err(Failure::TokenInvalid("it has been revoked").into());
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
