//! From the headers of a call to the principal who makes it. What the principal may do is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::cached::{CachedKeys, LoadError, Running, Source};
use super::claims::{Claims, TimeLimits};
use super::error::AuthError;
use super::issuer::configured::{check_roles_claim, oidc};
use super::issuer::{Issuer, Kind};
use super::jws::Jws;
use super::keys::KeyFolder;
use super::moment::Moment;
use super::principal::Principal;
use super::roles::Roles;
use super::token::OWN_ISSUER;
use crate::config::settings::Settings;
use crate::error::Failure;

/// The most that clocks may be off, in seconds.
const LEEWAY_MAX_S: u64 = 30;

/// Verifies tokens of the server itself and of the configured issuers.
#[derive(Debug)]
pub struct Authenticator {
    issuers: HashMap<String, Arc<Issuer>>,
    limits: TimeLimits,
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
    issuer: Arc<Issuer>,
    running: Running,
    token: String,
    limits: TimeLimits,
    at: Moment,
}

/// A token whose issuer is known and has not got the key that it names.
struct KeyUnknown;

impl Authenticator {
    /// Opens the keys of all issuers. Those behind URLs need not be reachable now.
    ///
    /// `keys`: the server's own.
    ///
    /// # Errors
    /// [`AuthError`] names the setting that does not work, or says what is wrong with the server's own keys.
    pub fn new(settings: &Settings, keys: KeyFolder, now: Moment) -> Result<Self, AuthError> {
        let auth = &settings.auth;
        check_roles_claim(auth)?;
        if auth.leeway_s > LEEWAY_MAX_S {
            return Err(AuthError::setting("auth.leeway_s", auth.leeway_s, "at most 30 is allowed"));
        }
        let roles = Roles::new(&settings.roles);
        let own = Issuer {
            audience: OWN_ISSUER.to_owned(),
            keys: CachedKeys::open(OWN_ISSUER, Source::Folder(keys), now.steady).map_err(|error| match error {
                LoadError::Folder(error) => AuthError::Keys(error),
                other => AuthError::setting("server.data", settings.server.data.display(), other),
            })?,
            kind: Kind::Own,
            roles: roles.clone(),
            roles_claim: auth.roles_claim.clone(),
        };
        let mut issuers = HashMap::from([(OWN_ISSUER.to_owned(), Arc::new(own))]);
        for (index, settings) in auth.issuers.iter().enumerate() {
            let key = format!("auth.issuers[{index}]");
            let issuer = oidc(&key, settings, &roles, &auth.roles_claim, now)?;
            if issuers.insert(settings.issuer.clone(), Arc::new(issuer)).is_some() {
                let problem = "is the name of another issuer, or of the server itself";
                return Err(AuthError::setting(format!("{key}.issuer"), &settings.issuer, problem));
            }
        }
        let limits = TimeLimits { leeway_s: auth.leeway_s, max_lifetime_s: auth.max_token_lifetime_s };
        Ok(Self { issuers, limits })
    }

    /// Begins to load the keys of all issuers, so that the first calls need not wait. Must be called on a tokio
    /// runtime.
    pub fn prefetch(&self, now: Moment) {
        for issuer in self.issuers.values().filter(|issuer| issuer.keys.current(now.steady).keys.is_empty()) {
            issuer.keys.refresh(now.steady);
        }
    }

    /// Tells who calls. Must be called on a tokio runtime.
    pub fn attempt(&self, headers: &HeaderMap, at: Moment) -> Attempt {
        bearer(headers).and_then(|token| self.verify(token, at)).unwrap_or_else(|failure| Attempt::Known(Err(failure)))
    }

    fn verify(&self, token: &str, at: Moment) -> Result<Attempt, Failure> {
        let jws = Jws::parse(token)?;
        let claims = Claims::parse(&jws.payload)?;
        let issuer = self.issuers.get(claims.issuer()?).ok_or(Failure::TokenInvalid("its issuer is not known"))?;
        match verified(issuer, &jws, &claims, self.limits, at) {
            Ok(known) => Ok(Attempt::Known(known)),
            Err(KeyUnknown) => match issuer.keys.refresh(at.steady) {
                None => Err(unknown(issuer, at)),
                Some(running) => {
                    let (issuer, token) = (Arc::clone(issuer), token.to_owned());
                    Ok(Attempt::Waiting(Waiting { issuer, running, token, limits: self.limits, at }))
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
        let jws = Jws::parse(&self.token)?;
        let claims = Claims::parse(&jws.payload)?;
        match verified(&self.issuer, &jws, &claims, self.limits, self.at) {
            Ok(known) => known,
            Err(KeyUnknown) => Err(unknown(&self.issuer, self.at)),
        }
    }
}

/// The one way to a principal: a key of the issuer that the token names, then the signature, then the claims.
fn verified(
    issuer: &Issuer,
    jws: &Jws<'_>,
    claims: &Claims,
    limits: TimeLimits,
    at: Moment,
) -> Result<Result<Arc<Principal>, Failure>, KeyUnknown> {
    let snapshot = issuer.keys.current(at.steady);
    let key = snapshot.keys.find(jws.key_id.as_deref(), jws.algorithm).ok_or(KeyUnknown)?;
    Ok(jws.verify(key).and_then(|()| issuer.principal(claims, limits, at)).map(Arc::new))
}

fn unknown(issuer: &Issuer, at: Moment) -> Failure {
    if issuer.keys.current(at.steady).keys.is_empty() {
        return Failure::TokenInvalid("the keys of its issuer cannot be loaded at the moment");
    }
    Failure::TokenInvalid("its issuer has no such key")
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
