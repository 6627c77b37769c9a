//! From a token to a principal: from the cache, and verified anew.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use feature_auth::config::Auth;
use feature_auth::keys::KeyFolder;
use feature_auth::mint::{TokenRequest, mint};
use feature_auth::roles::Roles;
use feature_auth::{Authentication, Authenticator, Timestamp};
use feature_core::InstanceId;

/// The built-in roles.
pub fn roles() -> Roles {
    Roles::new(&BTreeMap::new())
}

/// A token as operators mint them.
pub fn token(keys: &KeyFolder) -> String {
    let asked = TokenRequest {
        roles: vec!["IAM_OWNER".to_owned()],
        instance: Some(InstanceId::new("demo").unwrap()),
        lifetime: Duration::from_secs(3600),
        ..TokenRequest::default()
    };
    mint(&keys.signing().unwrap(), &Auth::default(), &roles(), &asked, Timestamp::now()).unwrap().token
}

pub fn measure(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let keys = || KeyFolder::open_or_create(folder.path()).unwrap();
    let token = token(&keys());
    let cached = Auth::default().token_cache_entries;
    for (name, entries) in [("token, cached", cached), ("token, Ed25519 signature verified", 0)] {
        let config = Auth { token_cache_entries: entries, ..Auth::default() };
        let authenticator = Authenticator::new(&config, &roles(), keys(), Timestamp::now()).unwrap();
        let authenticate = || {
            let principal = authenticator.authenticate(black_box(&token), Timestamp::now());
            assert!(matches!(principal, Authentication::Ready(Ok(_))));
        };
        criterion.bench_function(name, |bencher| bencher.iter(authenticate));
    }
}
