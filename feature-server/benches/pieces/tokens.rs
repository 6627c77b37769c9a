//! From a token to a principal: remembered, and verified anew.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use feature_core::InstanceId;
use feature_server::auth::mint::{TokenRequest, mint};
use feature_server::auth::signing_keys::KeyFolder;
use feature_server::auth::{Attempt, Authenticator, Moment};
use feature_server::config::Settings;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// A token as operators mint them, in the headers of a call.
pub fn headers(keys: &KeyFolder, settings: &Settings) -> HeaderMap {
    let asked = TokenRequest {
        roles: vec!["IAM_OWNER".to_owned()],
        instance: Some(InstanceId::new("demo").unwrap()),
        lifetime: Duration::from_secs(3600),
        ..TokenRequest::default()
    };
    let minted = mint(&keys.signing().unwrap(), settings, &asked, Moment::now()).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", minted.token).parse().unwrap())])
}

pub fn measure(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let keys = || KeyFolder::open_or_create(folder.path()).unwrap();
    let mut settings = Settings::default();
    let headers = headers(&keys(), &settings);
    for (name, entries) in
        [("token, remembered", settings.auth.token_cache_entries), ("token, Ed25519 signature verified", 0)]
    {
        settings.auth.token_cache_entries = entries;
        let authenticator = Authenticator::new(&settings, keys(), Moment::now()).unwrap();
        let known = || {
            let attempt = authenticator.attempt(black_box(&headers), Moment::now());
            assert!(matches!(attempt, Attempt::Known(Ok(_))));
        };
        criterion.bench_function(name, |bencher| bencher.iter(known));
    }
}
