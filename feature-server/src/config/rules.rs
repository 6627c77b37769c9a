//! The rules that span several keys. That each value by itself is allowed was checked before.

use std::collections::HashSet;
use std::str::FromStr;

use feature_auth::{OWN_ISSUER, RESERVED_CLAIMS};
use feature_store::{Keep, PostgresUrl};

use super::print::{string, value};
use super::settings::{Certificate, Durability, Settings, Store, WhenStale};
use super::{ConfigError, Origins};

/// Checks the settings of all sources together.
pub(super) fn check(settings: &Settings, origins: &Origins) -> Result<(), ConfigError> {
    let Settings { server, limits, tls, auth, traces, .. } = settings;
    let bad = |key: &str, value: &str, allowed: &str| Err(ConfigError::value(key, value, origins.of(key), allowed));

    if !server.allow_cleartext && tls.certificate_file.is_none() && !server.is_on_loopback() {
        let allowed = "a loopback address such as 127.0.0.1:8080, unless there is a tls.certificate_file, or \
                       server.allow_cleartext = true says that other machines may connect without TLS";
        return bad("server.listen", &string(&server.listen.to_string()), allowed);
    }
    check_store(&settings.store, &bad)?;
    if let (Some(_), Keep::Bytes(_)) = (&settings.store.url, settings.history.keep()) {
        let allowed = "\"forever\" or a number of days, since store.url names a database for the history";
        return bad("history.keep", &string(&settings.history.keep), allowed);
    }
    let files = [
        // a setting, its file, the setting that it needs, and that file
        ("tls.certificate_file", &tls.certificate_file, "tls.key_file", &tls.key_file),
        ("tls.key_file", &tls.key_file, "tls.certificate_file", &tls.certificate_file),
        ("tls.client_ca_file", &tls.client_ca_file, "tls.certificate_file", &tls.certificate_file),
        ("tls.client_crl_file", &tls.client_crl_file, "tls.client_ca_file", &tls.client_ca_file),
    ];
    for (key, file, needed_key, needed) in files {
        if let (Some(file), None) = (file, needed) {
            return bad(key, &string(&file.to_string_lossy()), &format!("accompanied by {needed_key}"));
        }
    }
    // Variables of OpenTelemetry are set for all programs on a machine, so this rule does not apply to them.
    let for_all = ["traces.endpoint", "traces.ca_file"].iter().any(|key| origins.of(key).starts_with("OTEL_"));
    if let Some(file) = traces.ca_file.as_ref().filter(|_| traces.endpoint.starts_with("http:") && !for_all) {
        return bad(
            "traces.ca_file",
            &string(&file.to_string_lossy()),
            "accompanied by an https URL in traces.endpoint",
        );
    }
    let pairs = [
        // a setting, its value, the setting that bounds it, and that value
        ("limits.default_deadline_ms", limits.default_deadline_ms, "limits.max_deadline_ms", limits.max_deadline_ms),
        ("limits.message_bytes", limits.message_bytes as u64, "limits.request_bytes", limits.request_bytes as u64),
    ];
    for (key, value, max_key, max) in pairs {
        if value > max {
            return bad(key, &value.to_string(), &format!("at most {max_key} = {max} ({})", origins.of(max_key)));
        }
    }
    if RESERVED_CLAIMS.contains(&auth.roles_claim.as_str()) {
        return bad("auth.roles_claim", &string(&auth.roles_claim), "a claim that has no other meaning");
    }

    let mut issuers = HashSet::new();
    for (index, entry) in auth.issuers.iter().enumerate() {
        let bad =
            |field: &str, text: &str, allowed| bad(&format!("auth.issuers[{index}].{field}"), &string(text), allowed);
        if entry.issuer == OWN_ISSUER {
            return bad("issuer", &entry.issuer, "another name than that of the server itself");
        }
        if !issuers.insert(&entry.issuer) {
            return bad("issuer", &entry.issuer, "an issuer that no other entry of auth.issuers names");
        }
        if entry.jwks_file.is_some() == entry.jwks_url.is_some() {
            return bad("issuer", &entry.issuer, "accompanied by exactly one of jwks_file and jwks_url");
        }
        if let (None, Some(file)) = (&entry.jwks_url, &entry.jwks_ca_file) {
            return bad("jwks_ca_file", &file.to_string_lossy(), "accompanied by jwks_url");
        }
    }

    let mut names = HashSet::new();
    for (index, entry) in auth.certificates.iter().enumerate() {
        let bad =
            |field: &str, value: &str, allowed| bad(&format!("auth.certificates[{index}].{field}"), value, allowed);
        let (field, name) = match entry {
            Certificate { uri: Some(uri), subject: None, .. } => ("uri", uri),
            Certificate { uri: None, subject: Some(subject), .. } => ("subject", subject),
            _ => {
                let roles = value(&entry.roles.clone().into());
                return bad("roles", &roles, "accompanied by exactly one of uri and subject");
            }
        };
        if !names.insert((field, name)) {
            return bad(field, &string(name), "a name that no other entry of auth.certificates has");
        }
        if tls.client_ca_file.is_none() {
            let allowed = "accompanied by tls.client_ca_file, whose certificates the client's is checked against";
            return bad(field, &string(name), allowed);
        }
    }
    Ok(())
}

/// The settings of a database need one, and its URL says what is wrong with it.
fn check_store(store: &Store, bad: &dyn Fn(&str, &str, &str) -> Result<(), ConfigError>) -> Result<(), ConfigError> {
    let Some(url) = &store.url else {
        let files = [("store.password_file", &store.password_file), ("store.ca_file", &store.ca_file)];
        let demands = [
            ("store.durability", "\"replicated\"", store.durability == Durability::Replicated),
            ("store.when_stale", "\"refuse\"", store.when_stale == WhenStale::Refuse),
            ("store.allow_cleartext", "true", store.allow_cleartext),
        ];
        let file = files.into_iter().find_map(|(key, file)| Some((key, string(&file.as_ref()?.to_string_lossy()))));
        let demand = demands.into_iter().find(|(.., is_set)| *is_set).map(|(key, value, _)| (key, value.to_owned()));
        return match file.or(demand) {
            Some((key, value)) => bad(key, &value, "accompanied by store.url"),
            None => Ok(()),
        };
    };
    let parsed = PostgresUrl::from_str(url);
    match parsed.and_then(|parsed| parsed.uses_tls(store.allow_cleartext)) {
        Ok(_) => Ok(()),
        // The text is not repeated: it may hold a password.
        Err(problem) => Err(ConfigError::new("store.url", problem.to_string())),
    }
}
