//! The rules that span several keys. That each value by itself is allowed was checked before.

use std::collections::HashSet;

use super::settings::{Issuer, Settings};
use super::{ConfigError, Origins, print};

/// Checks the settings of all sources together.
pub(super) fn check(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    cleartext(settings, origins)?;
    deadlines(settings, origins)?;
    messages(settings, origins)?;
    issuers(&settings.auth.issuers, origins)
}

fn cleartext(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let server = &settings.server;
    if server.allow_cleartext || server.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let allowed = "a loopback address such as 127.0.0.1:8080, unless server.allow_cleartext = true says that other \
                   machines may connect without TLS";
    Err(bad(origins, "server.listen", print::string(&server.listen.to_string()), allowed.to_owned()))
}

fn deadlines(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let (default, max) = (settings.limits.default_deadline_ms, settings.limits.max_deadline_ms);
    if default <= max {
        return Ok(());
    }
    let origin = origins.of("limits.max_deadline_ms");
    let allowed = format!("at most limits.max_deadline_ms = {max} ({origin})");
    Err(bad(origins, "limits.default_deadline_ms", default.to_string(), allowed))
}

fn messages(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let (one, all) = (settings.limits.message_bytes, settings.limits.request_bytes);
    if one <= all {
        return Ok(());
    }
    let origin = origins.of("limits.request_bytes");
    let allowed = format!("at most limits.request_bytes = {all} ({origin})");
    Err(bad(origins, "limits.message_bytes", one.to_string(), allowed))
}

fn issuers(issuers: &[Issuer], origins: &Origins) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let of_issuer = |allowed: &str| {
            bad(origins, &format!("auth.issuers[{index}].issuer"), print::string(&issuer.issuer), allowed.to_owned())
        };
        if !seen.insert(&issuer.issuer) {
            return Err(of_issuer("an issuer that no other entry of auth.issuers names"));
        }
        match (&issuer.jwks_file, &issuer.jwks_url, &issuer.jwks_ca_file) {
            (Some(_), None, None) | (None, Some(_), _) => {}
            (Some(_), Some(_), _) | (None, None, _) => {
                return Err(of_issuer("accompanied by exactly one of jwks_file and jwks_url"));
            }
            (Some(_), None, Some(file)) => {
                let (key, value) =
                    (format!("auth.issuers[{index}].jwks_ca_file"), print::string(&file.to_string_lossy()));
                return Err(bad(origins, &key, value, "accompanied by jwks_url".to_owned()));
            }
        }
    }
    Ok(())
}

fn bad(origins: &Origins, key: &str, value: String, allowed: String) -> ConfigError {
    ConfigError::BadValue { key: key.to_owned(), value, origin: origins.of(key).to_owned(), allowed }
}
