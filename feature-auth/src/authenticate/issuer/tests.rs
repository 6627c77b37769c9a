//! Settings of issuers that do not work.

mod role_claims;

use std::path::Path;

use super::*;
use crate::config;
use crate::testing::{issuer, now, roles};

#[tokio::test]
async fn unusable_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let plain = issuer("https://issuer.example");
    let url = Some("https://issuer.example/keys".to_owned());
    let table = [
        // issuer                                                                         the error begins with
        (
            config::Issuer { jwks_file: Some("/nowhere".into()), ..plain.clone() },
            "jwks_file = \"/nowhere\": cannot read",
        ),
        (
            config::Issuer { jwks_file: Some(empty.clone()), ..plain.clone() },
            &format!("jwks_file = {empty:?}: the answer"),
        ),
        (
            config::Issuer { jwks_url: url, jwks_ca_file: Some(empty.clone()), ..plain.clone() },
            &format!("jwks_ca_file = {empty:?}: must be a file with PEM certificates"),
        ),
    ];
    for (entry, expected) in table {
        let config = Auth { issuers: vec![entry], ..Auth::default() };
        let issuer = Issuer::oidc(0, &config, &roles(), now());
        let error = issuer.unwrap_err().to_string();
        assert!(error.starts_with(&format!("auth.issuers[0].{expected}")), "{error}");
    }
    assert!(Path::new(&empty).exists());
}
