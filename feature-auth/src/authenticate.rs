//! From a token to the principal that it speaks for. If the token's key is unknown, the issuer's keys are loaded first.

pub(crate) mod certificates;
pub(crate) mod claims;
pub(crate) mod issuer;
mod jws;
pub(crate) mod principal;
mod role_claims;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use self::principal::Principal;
use self::verifier::{Unverified, Verifier};
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::KeyFolder;
use crate::keys::jwks_cache::LoadEnd;
use crate::roles::Roles;

/// Authenticates calls by their tokens.
#[derive(Debug)]
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

impl Authenticator {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable yet.
    ///
    /// * `roles`: all roles.
    /// * `keys`: the server's own keys.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(config: &Auth, roles: &Roles, keys: KeyFolder, now: Timestamp) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Verifier::new(config, roles, keys, now)?)))
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

    /// Whether the token needs no verification, because the result of an earlier one still holds.
    pub fn remembers(&self, token: &str, now: Timestamp) -> bool {
        self.0.remembers(token, now)
    }

    /// Authenticates a call by its token. Must be called on a tokio runtime.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Authentication {
        let Unverified { error, issuer } = match self.0.verify(token, now) {
            Ok(principal) => return Authentication::Ready(Ok(principal)),
            Err(unverified) => unverified,
        };
        let Some(load) = issuer.and_then(|issuer| issuer.keys.refresh(now.monotonic)) else {
            return Authentication::Ready(Err(error));
        };
        let (verifier, token) = (Arc::clone(&self.0), token.to_owned());
        Authentication::Pending(PendingAuthentication { verifier, load, token, now })
    }
}

impl PendingAuthentication {
    /// Waits for the end of the load, and verifies the token with the keys of then.
    ///
    /// # Errors
    /// [`AuthError::TokenInvalid`] or [`AuthError::TokenExpired`].
    pub async fn finish(mut self) -> Result<Arc<Principal>, AuthError> {
        // An error means the end.
        let _ = self.load.changed().await;
        self.verifier.verify(&self.token, self.now).map_err(|unverified| unverified.error)
    }
}

#[cfg(test)]
mod tests;
