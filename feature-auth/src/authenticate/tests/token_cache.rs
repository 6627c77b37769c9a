//! Cached tokens: a token stays cached until something changes, and not a call longer.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::authenticate::principal::Grant;
use crate::authenticate::*;
use crate::config;
use crate::testing::{NOW, Signer, issuer, jwks, now, roles};

const ISSUER: &str = "https://issuer.example";

struct Setup {
    folder: tempfile::TempDir,
    key: Signer,
    verifier: Arc<Verifier>,
    start: Timestamp,
}

impl Setup {
    fn new(change: impl FnOnce(&mut Auth)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Signer::new("a", Algorithm::EdDSA);
        let (file, revoked) = (folder.path().join("jwks.json"), folder.path().join("revoked"));
        std::fs::write(&file, jwks(&[&key])).unwrap();
        std::fs::write(&revoked, "# nothing is revoked\n").unwrap();
        let mut config = Auth::default();
        config.issuers = vec![config::Issuer { jwks_file: Some(file), ..issuer(ISSUER) }];
        config.revocation_file = Some(revoked);
        change(&mut config);
        let (keys, start) = (KeyFolder::open_or_create(folder.path()).unwrap(), now());
        Self { verifier: Authenticator::new(&config, &roles(), keys, start).unwrap().0, folder, key, start }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn token(&self, changes: Value) -> String {
        let mut claims =
            json!({"iss": ISSUER, "aud": "features", "sub": "ann", "jti": "t1", "iat": NOW, "exp": NOW + 60});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.key.token(&claims)
    }

    /// Loads the keys of the issuer from its file, this many seconds after the start.
    async fn load(&self, at_s: u64) {
        let at = self.start.after(Duration::from_secs(at_s)).monotonic;
        let mut load = self.verifier.issuers[ISSUER].keys.refresh(at).expect("it is time for a load");
        assert!(load.changed().await.is_err(), "a load ends without a message");
    }

    fn cached(&self) -> usize {
        self.verifier.token_cache.len()
    }
}

/// The result of a token, compared with the result before.
fn outcome(actual: Result<Arc<Principal>, Unverified>, before: &Arc<Principal>) -> &'static str {
    match actual {
        Ok(principal) if Arc::ptr_eq(&principal, before) => "cached",
        Ok(_) => "verified anew",
        Err(Unverified { key_missing: Some(_), .. }) => "key unknown",
        Err(Unverified { error: AuthError::TokenInvalid(why), .. }) => why,
        Err(Unverified { error: AuthError::TokenExpired, .. }) => "expired",
        Err(Unverified { error, .. }) => panic!("{error}"),
    }
}

#[tokio::test]
async fn verified_token_is_cached_until_something_changes() {
    let other = Signer::new("b", Algorithm::ES256);
    let usurper = Signer::new("a", Algorithm::EdDSA);
    #[rustfmt::skip]
    let table = [
        // the file        becomes                                          at s    what comes of the token then
        ("",               Vec::new(),                                      0,      "cached"),
        ("",               Vec::new(),                                      69,     "cached"),
        ("",               Vec::new(),                                      70,     "expired"),
        ("jwks.json",      Vec::new(),                                      5,      "cached"),
        ("jwks.json",      b"no keys".to_vec(),                             5,      "cached"),
        ("jwks.json",      jwks(&[&other]),                                 5,      "key unknown"),
        ("jwks.json",      jwks(&[&usurper]),                               5,      "its signature is wrong"),
        ("revoked",        b"jti t1\n".to_vec(),                            5,      "it has been revoked"),
        ("revoked",        b"subject ann\n".to_vec(),                       5,      "it has been revoked"),
        ("revoked",        format!("subject ann before {NOW}\n").into(),    5,      "verified anew"),
        ("revoked",        format!("subject ann before {}\n", NOW + 1).into(), 5,   "it has been revoked"),
        ("revoked",        b"jti t1 issuer https://other.example\n".to_vec(), 5,    "verified anew"),
        ("revoked",        b"nonsense\n".to_vec(),                          5,      "cached"),
    ];
    for (file, becomes, at_s, expected) in table {
        let setup = Setup::new(|_| {});
        let token = setup.token(json!({}));
        assert!(!setup.verifier.remembers(&token, setup.start));
        let before = setup.verifier.verify(&token, setup.start).unwrap();
        let what = String::from_utf8_lossy(&becomes).into_owned();
        if !becomes.is_empty() {
            std::fs::write(setup.file(file), becomes).unwrap();
        }
        match file {
            "jwks.json" => setup.load(at_s).await,
            "revoked" => setup.verifier.revocations.reload(setup.start),
            _ => {}
        }
        let at = setup.start.after(Duration::from_secs(at_s));
        assert_eq!(setup.verifier.remembers(&token, at), expected == "cached", "{file} {what} {at_s}");
        assert_eq!(outcome(setup.verifier.verify(&token, at), &before), expected, "{file} {what} {at_s}");
    }
}

#[tokio::test]
async fn token_is_accepted_with_more_keys_and_refused_with_stale_ones() {
    let setup = Setup::new(|config| config.jwks_max_stale_s = 30);
    let token = setup.token(json!({}));
    let before = setup.verifier.verify(&token, setup.start).unwrap();
    std::fs::write(setup.file("jwks.json"), jwks(&[&setup.key, &Signer::new("b", Algorithm::EdDSA)])).unwrap();
    setup.load(10).await;
    let at = |at_s| setup.start.after(Duration::from_secs(at_s));
    assert_eq!(outcome(setup.verifier.verify(&token, at(10)), &before), "verified anew");
    std::fs::remove_file(setup.file("jwks.json")).unwrap();
    setup.load(20).await;
    assert!(setup.verifier.verify(&token, at(40)).is_ok(), "30 s after the last good load");
    assert_eq!(outcome(setup.verifier.verify(&token, at(41)), &before), "key unknown");
}

#[tokio::test]
async fn only_good_tokens_take_room_and_only_so_much() {
    let setup = Setup::new(|config| config.token_cache_entries = 50);
    let good = setup.token(json!({}));
    setup.verifier.verify(&good, setup.start).unwrap();
    for index in 0..200 {
        let bad = [
            setup.token(json!({"sub": format!("{index}"), "aud": "others"})),
            setup.token(json!({"sub": format!("{index}"), "exp": NOW - 20})),
            format!("{good}{index}"),
        ];
        for token in bad {
            assert!(setup.verifier.verify(&token, setup.start).is_err());
        }
    }
    assert_eq!(setup.cached(), 1);
    for index in 0..500 {
        setup.verifier.verify(&setup.token(json!({"sub": format!("{index}")})), setup.start).unwrap();
    }
    assert!((1..=50).contains(&setup.cached()), "{}", setup.cached());
}

#[tokio::test]
async fn cached_tokens_take_a_bounded_memory_whatever_they_claim() {
    const ENTRIES: usize = 500;
    let granted = |index: usize, count: usize| -> Value {
        (0..count).map(|other| (format!("organization-{index}-{other}"), json!(""))).collect()
    };
    #[rustfmt::skip]
    let table = [
        // the claims of the n-th token                                                       cached of 600
        (&(|_| json!({"roles": ["IAM_OWNER"]})) as &dyn Fn(usize) -> Value,                   400..=ENTRIES),
        (&|_| json!({"roles": vec!["IAM_OWNER"; 480]}),                                       400..=ENTRIES),
        (&|_| json!({"more": "x".repeat(8 * 1024)}),                                          400..=ENTRIES),
        (&|n| json!({"urn:zitadel:iam:org:project:roles": {"ORG_OWNER": granted(n, 60)}}),    50..=120),
        (&|n| json!({"urn:zitadel:iam:org:project:roles": {"ORG_OWNER": granted(n, 300)}}),   5..=24),
    ];
    for (claims, cached) in table {
        let setup = Setup::new(|config| config.token_cache_entries = ENTRIES);
        for index in 0..600 {
            let mut claims = claims(index);
            claims["sub"] = json!(index.to_string());
            let principal = setup.verifier.verify(&setup.token(claims), setup.start).unwrap();
            let ids = principal.grants.iter().filter_map(|grant| grant.organization.as_ref());
            let least = principal.grants.len() * size_of::<Grant>() + ids.map(|id| id.as_str().len()).sum::<usize>();
            assert!(principal.bytes() > least && principal.bytes() < 512 + 4 * least, "{}", principal.bytes());
        }
        let bytes = setup.verifier.token_cache.weight();
        assert!(bytes <= ENTRIES as u64 * 1024, "{bytes}");
        assert!(cached.contains(&setup.cached()), "{} of {cached:?}", setup.cached());
    }
}

#[tokio::test]
async fn tokens_are_verified_anew_without_a_cache() {
    let setup = Setup::new(|config| config.token_cache_entries = 0);
    let token = setup.token(json!({}));
    let before = setup.verifier.verify(&token, setup.start).unwrap();
    assert_eq!(outcome(setup.verifier.verify(&token, setup.start), &before), "verified anew");
}
