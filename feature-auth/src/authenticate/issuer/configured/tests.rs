//! Settings of issuers that turn out not to work.

use std::path::Path;

use super::*;
use crate::auth::testing::{issuer, now};

#[tokio::test]
async fn settings_that_do_not_work_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let plain = issuer("https://issuer.example");
    let url = Some("https://issuer.example/keys".to_owned());
    let table = [
        // issuer                                                                         the error begins with
        (
            settings::Issuer { jwks_file: Some("/nowhere".into()), ..plain.clone() },
            "jwks_file = \"/nowhere\": cannot read",
        ),
        (
            settings::Issuer { jwks_file: Some(empty.clone()), ..plain.clone() },
            &format!("jwks_file = {empty:?}: the answer"),
        ),
        (
            settings::Issuer { jwks_url: url, jwks_ca_file: Some(empty.clone()), ..plain.clone() },
            &format!("jwks_ca_file = {empty:?}: is no file with PEM certificates"),
        ),
    ];
    for (settings, expected) in table {
        let roles = Roles::new(&Default::default());
        let error = oidc("auth.issuers[0]", &settings, &Auth::default(), &roles, now()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("auth.issuers[0].{expected}")), "{error}");
    }
    assert!(Path::new(&empty).exists());
}
