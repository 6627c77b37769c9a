//! Issuers from the settings. What settings may be is for `config`; here is what only their use can tell. Tokens are
//! not known here.

use std::time::Duration;

use feature_core::InstanceId;

use super::{Issuer, Kind};
use crate::auth::clock::Moment;
use crate::auth::error::AuthError;
use crate::auth::keys::jwks_cache::{CachedKeys, Source};
use crate::auth::keys::jwks_http::{Fetcher, FetcherError};
use crate::auth::roles::Roles;
use crate::config::settings::{self, Auth};

/// An issuer as it is configured.
///
/// * `key`: where it stands in the settings, such as `auth.issuers[0]`.
/// * `auth`: what holds for all issuers.
/// * `roles`: all roles that there are.
///
/// # Errors
/// [`AuthError`] names the setting that does not work.
pub fn oidc(
    key: &str,
    settings: &settings::Issuer,
    auth: &Auth,
    roles: &Roles,
    now: Moment,
) -> Result<Issuer, AuthError> {
    let error =
        |field: &str, value: &str, problem: String| AuthError::setting(format!("{key}.{field}"), value, problem);
    let (source, field, value) = match &settings.jwks_file {
        Some(file) => (Source::File(file.clone()), "jwks_file", file.display().to_string()),
        None => {
            let url = settings.jwks_url.as_deref().unwrap_or_default();
            let ca_file = settings.jwks_ca_file.as_deref();
            let fetcher = Fetcher::new(url, ca_file).map_err(|problem| match (&problem, ca_file) {
                (FetcherError::CaFile(_), Some(file)) => {
                    error("jwks_ca_file", &file.display().to_string(), problem.to_string())
                }
                _ => error("jwks_url", url, problem.to_string()),
            })?;
            (Source::Url(Box::new(fetcher)), "jwks_url", url.to_owned())
        }
    };
    let instance = settings.instance.as_deref().map(InstanceId::new).transpose();
    let instance = instance
        .map_err(|problem| error("instance", settings.instance.as_deref().unwrap_or_default(), problem.to_string()))?;
    let max_stale = Duration::from_secs(auth.jwks_max_stale_s);
    let keys = CachedKeys::open(&settings.issuer, source, max_stale, now.steady);
    Ok(Issuer {
        audience: settings.audience.clone(),
        keys: keys.map_err(|problem| error(field, &value, problem.to_string()))?,
        roles: if instance.is_some() { roles.within_instance() } else { roles.clone() },
        kind: Kind::Oidc(instance),
        roles_claim: auth.roles_claim.clone(),
    })
}

#[cfg(test)]
mod tests;
