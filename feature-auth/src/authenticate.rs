//! From a token to the principal that it speaks for. If the token's key is unknown, the issuer's keys are loaded first.

pub(crate) mod certificates;
pub(crate) mod claims;
pub(crate) mod issuer;
mod jws;
pub(crate) mod principal;
mod refresh;
mod role_claims;
mod token_cache;
mod verifier;

use std::sync::Arc;

use self::issuer::Issuer;
use self::principal::Principal;
use self::verifier::{Unverified, Verifier};
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::KeyFolder;
use crate::keys::jwks_cache::{NoKeys, RunningLoad};
use crate::roles::Roles;

/// Authenticates calls by their tokens.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Arc<Verifier>,
}

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
    load: RunningLoad,
    token: String,
    now: Timestamp,
}

impl Authenticator {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable yet.
    ///
    /// * `roles`: all roles.
    /// * `keys`: the server's own keys.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(config: &Auth, roles: &Roles, keys: KeyFolder, now: Timestamp) -> Result<Self, SetupError> {
        Ok(Self { verifier: Arc::new(Verifier::new(config, roles, keys, now)?) })
    }

    /// Spawns a task that keeps keys and revocations up to date, for as long as this authenticator lives. Must be
    /// called on a tokio runtime.
    pub fn spawn_refresh(&self) {
        refresh::spawn(&self.verifier);
    }

    /// Authenticates a call by its token. Must be called on a tokio runtime.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Authentication {
        match self.verifier.verify(token, now) {
            Ok(principal) => Authentication::Ready(Ok(principal)),
            Err(Unverified::Refused(error)) => Authentication::Ready(Err(error)),
            Err(Unverified::KeyUnknown(issuer)) => match issuer.keys.refresh(now.monotonic) {
                None => Authentication::Ready(Err(key_unknown(&issuer, now))),
                Some(load) => {
                    let (verifier, token) = (Arc::clone(&self.verifier), token.to_owned());
                    Authentication::Pending(PendingAuthentication { verifier, load, token, now })
                }
            },
        }
    }
}

impl PendingAuthentication {
    /// Waits for the end of the load, and verifies the token with the keys of then.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] or [`AuthError::TokenExpired`].
    pub async fn finish(self) -> Result<Arc<Principal>, AuthError> {
        self.load.finished().await;
        self.verifier.verify(&self.token, self.now).map_err(|unverified| match unverified {
            Unverified::Refused(error) => error,
            Unverified::KeyUnknown(issuer) => key_unknown(&issuer, self.now),
        })
    }
}

/// Refuses a token whose key is unknown, although its issuer's keys were just loaded.
fn key_unknown(issuer: &Issuer, now: Timestamp) -> AuthError {
    AuthError::TokenInvalid(match issuer.keys.current(now.monotonic) {
        Ok(_) => "its issuer has no such key",
        Err(NoKeys::NeverLoaded) => "the keys of its issuer cannot be loaded at the moment",
        Err(NoKeys::TooOld) => "the keys of its issuer are too old: no newer ones could be loaded for a long time",
    })
}

#[cfg(test)]
mod tests;
