//! From the headers of a call to the principal who makes it. What the principal may do is not known here.

pub(crate) mod certificates;
pub(super) mod claims;
pub(super) mod issuer;
mod jws;
pub mod principal;
mod refresh;
mod role_claims;
mod token_cache;
mod verifier;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::AuthError;
use crate::auth::authenticate::issuer::Issuer;
use crate::auth::authenticate::principal::Principal;
use crate::auth::authenticate::verifier::{Unverified, Verifier};
use crate::auth::clock::Moment;
use crate::auth::keys::jwks_cache::{NoKeys, Running};
use crate::auth::keys::signing_keys::KeyFolder;
use crate::config::settings::Settings;
use crate::error::Failure;

/// Tells who makes a call.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Arc<Verifier>,
}

/// What comes of a token at once.
pub enum Attempt {
    /// The keys at hand tell who it is, or that it is nobody.
    Known(Result<Arc<Principal>, Failure>),
    /// Its key may be a new one: its issuer's keys are being loaded.
    Waiting(Waiting),
}

/// A token that waits for its issuer's keys.
pub struct Waiting {
    verifier: Arc<Verifier>,
    running: Running,
    token: String,
    at: Moment,
}

impl Authenticator {
    /// Opens the keys of all issuers, and the list of revoked tokens. Keys behind URLs need not be reachable now.
    ///
    /// `keys`: the server's own.
    ///
    /// # Errors
    /// [`AuthError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(settings: &Settings, keys: KeyFolder, now: Moment) -> Result<Self, AuthError> {
        Ok(Self { verifier: Arc::new(Verifier::new(settings, keys, now)?) })
    }

    /// Begins to keep keys and revocations up to date, for as long as this is in use. Must be called on a tokio runtime.
    pub fn keep_up(&self) {
        refresh::begin(&self.verifier);
    }

    /// Tells who calls. Must be called on a tokio runtime.
    pub fn attempt(&self, headers: &HeaderMap, at: Moment) -> Attempt {
        let token = match bearer(headers) {
            Ok(token) => token,
            Err(failure) => return Attempt::Known(Err(failure)),
        };
        match self.verifier.verify(token, at) {
            Ok(principal) => Attempt::Known(Ok(principal)),
            Err(Unverified::Refused(failure)) => Attempt::Known(Err(failure)),
            Err(Unverified::KeyUnknown(issuer)) => match issuer.keys.refresh(at.steady) {
                None => Attempt::Known(Err(unknown(&issuer, at))),
                Some(running) => {
                    let (verifier, token) = (Arc::clone(&self.verifier), token.to_owned());
                    Attempt::Waiting(Waiting { verifier, running, token, at })
                }
            },
        }
    }
}

impl Waiting {
    /// Tells who calls once the keys are there, or cannot be had.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] or [`Failure::TokenExpired`].
    pub async fn finish(self) -> Result<Arc<Principal>, Failure> {
        self.running.finished().await;
        self.verifier.verify(&self.token, self.at).map_err(|unverified| match unverified {
            Unverified::Refused(failure) => failure,
            Unverified::KeyUnknown(issuer) => unknown(&issuer, self.at),
        })
    }
}

/// A token whose key is not known even after its issuer was asked, or cannot be asked again so soon.
fn unknown(issuer: &Issuer, at: Moment) -> Failure {
    Failure::TokenInvalid(match issuer.keys.current(at.steady) {
        Ok(_) => "its issuer has no such key",
        Err(NoKeys::NeverLoaded) => "the keys of its issuer cannot be loaded at the moment",
        Err(NoKeys::TooOld) => "the keys of its issuer are too old: no newer ones could be loaded for a long time",
    })
}

/// The token of the one `authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Failure::TokenMissing)?;
    if values.next().is_some() {
        return Err(Failure::TokenInvalid("there is more than one authorization header"));
    }
    let value = value.to_str().map_err(|_| Failure::TokenInvalid("it is not plain ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        _ => Err(Failure::TokenInvalid("the authorization header is not 'Bearer TOKEN'")),
    }
}

#[cfg(test)]
mod tests;
