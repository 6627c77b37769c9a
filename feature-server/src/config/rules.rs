//! The rules that span several keys. That each value by itself is allowed was checked before.

use std::collections::HashSet;

use feature_auth::{OWN_ISSUER, RESERVED_CLAIMS};

use super::settings::{Certificate, Issuer, Settings};
use super::{ConfigError, Origins, print};

/// Checks the settings of all sources together.
pub(super) fn check(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    cleartext(settings, origins)?;
    tls(settings, origins)?;
    deadlines(settings, origins)?;
    roles_claim(&settings.auth.roles_claim, origins)?;
    messages(settings, origins)?;
    issuers(&settings.auth.issuers, origins)?;
    certificates(settings, origins)
}

fn cleartext(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let server = &settings.server;
    if server.allow_cleartext || settings.tls.certificate_file.is_some() || server.is_on_loopback() {
        return Ok(());
    }
    let allowed = "a loopback address such as 127.0.0.1:8080, unless there is a tls.certificate_file, or \
                   server.allow_cleartext = true says that other machines may connect without TLS";
    Err(bad(origins, "server.listen", print::string(&server.listen.to_string()), allowed.to_owned()))
}

fn tls(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let tls = &settings.tls;
    let pairs = [
        // a file, its setting, what it needs, that setting
        (&tls.certificate_file, "tls.certificate_file", &tls.key_file, "tls.key_file"),
        (&tls.key_file, "tls.key_file", &tls.certificate_file, "tls.certificate_file"),
        (&tls.client_ca_file, "tls.client_ca_file", &tls.certificate_file, "tls.certificate_file"),
        (&tls.client_crl_file, "tls.client_crl_file", &tls.client_ca_file, "tls.client_ca_file"),
    ];
    for (file, key, needed, needed_key) in pairs {
        if let (Some(file), None) = (file, needed) {
            let value = print::string(&file.to_string_lossy());
            return Err(bad(origins, key, value, format!("accompanied by {needed_key}")));
        }
    }
    Ok(())
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

fn roles_claim(name: &str, origins: &Origins) -> Result<(), ConfigError> {
    if !RESERVED_CLAIMS.contains(&name) {
        return Ok(());
    }
    Err(bad(origins, "auth.roles_claim", print::string(name), "a claim that has no other meaning".to_owned()))
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
        if issuer.issuer == OWN_ISSUER {
            return Err(of_issuer("another name than that of the server itself"));
        }
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

fn certificates(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for (index, certificate) in settings.auth.certificates.iter().enumerate() {
        let of_entry = |field: &str, value: &str, allowed: &str| {
            bad(origins, &format!("auth.certificates[{index}].{field}"), value.to_owned(), allowed.to_owned())
        };
        let (field, name) = match certificate {
            Certificate { uri: Some(uri), subject: None, .. } => ("uri", uri),
            Certificate { uri: None, subject: Some(subject), .. } => ("subject", subject),
            _ => {
                let roles = certificate.roles.iter().map(|role| print::string(role)).collect::<Vec<_>>().join(", ");
                return Err(of_entry("roles", &format!("[{roles}]"), "accompanied by exactly one of uri and subject"));
            }
        };
        if !seen.insert((field, name)) {
            return Err(of_entry(field, &print::string(name), "a name that no other entry of auth.certificates has"));
        }
        if settings.tls.client_ca_file.is_none() {
            let allowed = "accompanied by tls.client_ca_file, whose certificates the client's is checked against";
            return Err(of_entry(field, &print::string(name), allowed));
        }
    }
    Ok(())
}

fn bad(origins: &Origins, key: &str, value: String, allowed: String) -> ConfigError {
    ConfigError::BadValue { key: key.to_owned(), value, origin: origins.of(key).to_owned(), allowed }
}
