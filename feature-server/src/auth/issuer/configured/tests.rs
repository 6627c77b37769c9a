//! Settings of issuers that do not work.

use jsonwebtoken::Algorithm;

use super::*;
use crate::auth::authenticator::Authenticator;
use crate::auth::keys::KeyFolder;
use crate::auth::testing::{Signer, issuer, jwks, now};
use crate::auth::token::OWN_ISSUER;
use crate::config::settings::Settings;

#[test]
fn settings_that_do_not_work_are_refused_by_name() {
    type Change = fn(&mut Auth);
    let table: [(Change, &str); 14] = [
        // change                                                           the error begins with
        (|auth| auth.leeway_s = 31, "auth.leeway_s = \"31\": at most 30"),
        (|auth| auth.roles_claim = "sub".to_owned(), "auth.roles_claim = \"sub\""),
        (|auth| auth.roles_claim.clear(), "auth.roles_claim = \"\""),
        (|auth| auth.issuers[0].issuer = OWN_ISSUER.to_owned(), "auth.issuers[0].issuer = \"feature-server\""),
        (|auth| auth.issuers.push(auth.issuers[0].clone()), "auth.issuers[1].issuer = \"https://issuer.example\""),
        (|auth| auth.issuers[0].issuer.clear(), "auth.issuers[0].issuer = \"\": must not be empty"),
        (|auth| auth.issuers[0].audience.clear(), "auth.issuers[0].audience = \"\": must not be empty"),
        (|auth| auth.issuers[0].instance = Some(String::new()), "auth.issuers[0].instance = \"\""),
        (|auth| auth.issuers[0].jwks_file = None, "auth.issuers[0].issuer = \"https://issuer.example\": needs exactly"),
        (|auth| auth.issuers[0].jwks_url = Some("https://x".to_owned()), "auth.issuers[0].issuer = "),
        (
            |auth| auth.issuers[0].jwks_file = Some("/nowhere".into()),
            "auth.issuers[0].jwks_file = \"/nowhere\": cannot",
        ),
        (|auth| auth.issuers[0].jwks_ca_file = Some("/ca".into()), "auth.issuers[0].jwks_ca_file = \"/ca\": belongs"),
        (
            |auth| {
                auth.issuers[0].jwks_file = None;
                auth.issuers[0].jwks_url = Some("http://issuer.example".to_owned());
            },
            "auth.issuers[0].jwks_url = \"http://issuer.example\": must be an https URL",
        ),
        (
            |auth| {
                auth.issuers[0].jwks_file = None;
                auth.issuers[0].jwks_url = Some("https://name:secret@issuer.example".to_owned());
            },
            "auth.issuers[0].jwks_url = \"(not shown)\": must be an https URL",
        ),
    ];
    for (change, expected) in table {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        std::fs::write(&file, jwks(&[&Signer::new("a", Algorithm::EdDSA)])).unwrap();
        let mut settings = Settings::default();
        settings.auth.issuers = vec![settings::Issuer { jwks_file: Some(file), ..issuer("https://issuer.example") }];
        let keys = || KeyFolder::open_or_create(folder.path()).unwrap();
        assert!(Authenticator::new(&settings, keys(), now()).is_ok());
        change(&mut settings.auth);
        let error = Authenticator::new(&settings, keys(), now()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
