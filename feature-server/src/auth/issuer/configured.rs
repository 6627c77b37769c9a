//! Issuers from the settings: every value is checked once, at start. Tokens are not known here.

use feature_core::InstanceId;

use super::{Issuer, Kind};
use crate::auth::cached::{CachedKeys, Source};
use crate::auth::claims::RESERVED_CLAIMS;
use crate::auth::error::AuthError;
use crate::auth::fetch::{Fetcher, FetcherError};
use crate::auth::moment::Moment;
use crate::auth::roles::Roles;
use crate::config::settings::{self, Auth};

/// Checks that the claim with the list of roles means nothing else.
///
/// # Errors
/// [`AuthError`] when it is none or a reserved one.
pub fn check_roles_claim(auth: &Auth) -> Result<(), AuthError> {
    let name = auth.roles_claim.as_str();
    if name.is_empty() || RESERVED_CLAIMS.contains(&name) {
        let problem = "must be the name of a claim that has no other meaning";
        return Err(AuthError::setting("auth.roles_claim", name, problem));
    }
    Ok(())
}

/// An issuer as it is configured.
///
/// * `key`: where it stands in the settings, such as `auth.issuers[0]`.
/// * `roles`: all roles that there are.
/// * `roles_claim`: the claim with the plain list of roles.
///
/// # Errors
/// [`AuthError`] names the setting that does not work.
pub fn oidc(
    key: &str,
    settings: &settings::Issuer,
    roles: &Roles,
    roles_claim: &str,
    now: Moment,
) -> Result<Issuer, AuthError> {
    let error =
        |field: &str, value: &str, problem: String| AuthError::setting(format!("{key}.{field}"), value, problem);
    let (file, url) = (settings.jwks_file.as_deref(), settings.jwks_url.as_deref());
    let ca_file = settings.jwks_ca_file.as_deref();
    let ca_file_text = ca_file.map(|path| path.display().to_string()).unwrap_or_default();
    let (source, field, value) = match (file, url) {
        (Some(file), None) => {
            if ca_file.is_some() {
                return Err(error("jwks_ca_file", &ca_file_text, "belongs to jwks_url".to_owned()));
            }
            (Source::File(file.to_owned()), "jwks_file", file.display().to_string())
        }
        (None, Some(url)) => {
            let fetcher = Fetcher::new(url, ca_file).map_err(|problem| match problem {
                FetcherError::CaFile(_) => error("jwks_ca_file", &ca_file_text, problem.to_string()),
                // User information is a secret.
                _ => error("jwks_url", if url.contains('@') { "(not shown)" } else { url }, problem.to_string()),
            })?;
            (Source::Url(Box::new(fetcher)), "jwks_url", url.to_owned())
        }
        _ => return Err(error("issuer", &settings.issuer, "needs exactly one of jwks_file and jwks_url".to_owned())),
    };
    for (field, value) in [("issuer", &settings.issuer), ("audience", &settings.audience)] {
        if value.is_empty() {
            return Err(error(field, value, "must not be empty".to_owned()));
        }
    }
    let instance = settings.instance.as_deref().map(InstanceId::new).transpose();
    let instance = instance
        .map_err(|problem| error("instance", settings.instance.as_deref().unwrap_or_default(), problem.to_string()))?;
    let keys = CachedKeys::open(&settings.issuer, source, now.steady);
    Ok(Issuer {
        audience: settings.audience.clone(),
        keys: keys.map_err(|problem| error(field, &value, problem.to_string()))?,
        roles: if instance.is_some() { roles.within_instance() } else { roles.clone() },
        kind: Kind::Oidc(instance),
        roles_claim: roles_claim.to_owned(),
    })
}

#[cfg(test)]
mod tests;
