//! Tokens of issuers: which are accepted, and which principals they make.

mod token_cache;

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use feature_core::{Credential, InstanceId, OrganizationId, UserId};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::authenticate::issuer::OWN_ISSUER;
use crate::config::{self, Bound};
use crate::testing::{Answer, NOW, Server, Signer, authenticate, issuer, jwks, now, roles, unsigned};

const ISSUER: &str = "https://issuer.example";

struct Signers {
    ed: Signer,
    p256: Signer,
    p384: Signer,
    rsa: Signer,
    pss: Signer,
    /// An RSA key that is published without `alg`.
    any: Signer,
    stranger: Signer,
}

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| Signers {
    ed: Signer::new("ed", Algorithm::EdDSA),
    p256: Signer::new("p256", Algorithm::ES256),
    p384: Signer::new("p384", Algorithm::ES384),
    rsa: Signer::new("rsa", Algorithm::RS256),
    pss: Signer::new("pss", Algorithm::PS512),
    any: Signer::new("any", Algorithm::RS512),
    stranger: Signer::new("ed", Algorithm::EdDSA),
});

/// A configuration with one issuer of the instance `demo`, whose keys are in a file.
struct Setup {
    folder: tempfile::TempDir,
    config: Auth,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let Signers { ed, p256, p384, rsa, pss, any, .. } = &*SIGNERS;
        let mut keys = [ed, p256, p384, rsa, pss, any].map(Signer::jwk);
        keys[5].as_object_mut().unwrap().remove("alg");
        std::fs::write(&file, json!({"keys": keys}).to_string()).unwrap();
        let mut config = Auth::default();
        let instance = Some("demo".to_owned());
        config.issuers = vec![config::Issuer { jwks_file: Some(file), instance, ..issuer(ISSUER) }];
        Self { folder, config }
    }

    fn authenticator(&self) -> Result<Authenticator, SetupError> {
        let keys = KeyFolder::open_or_create(self.folder.path()).unwrap();
        Authenticator::new(&self.config, &roles(), keys, now())
    }
}

fn good() -> Value {
    json!({"iss": ISSUER, "aud": ["features", "more"], "sub": "42", "iat": NOW - 60, "exp": NOW + 60})
}

/// The good claims with changes; `null` removes a claim.
fn claims(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

#[tokio::test]
async fn tokens_are_accepted_only_if_valid_in_everything() {
    let setup = Setup::new();
    let authenticator = setup.authenticator().unwrap();
    let Signers { ed, p256, p384, rsa, pss, any, stranger } = &*SIGNERS;
    let header = |header: Value| ed.token_with(&header, &good());
    let changed = |changes: Value| ed.token(&claims(changes));
    let symmetric = {
        let public = URL_SAFE_NO_PAD.decode(ed.jwk()["x"].as_str().unwrap()).unwrap();
        let secret = jsonwebtoken::EncodingKey::from_secret(&public);
        let message = unsigned(&json!({"alg": "HS256", "kid": "ed"}), &good());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let good_token = ed.token(&good());
    let (message, signature) = good_token.rsplit_once('.').unwrap();
    let foreign_claims = unsigned(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(json!({"sub": "43"})));

    let algorithm = Some("its algorithm is not that of the key");
    let unsupported = Some("its algorithm is not supported");
    let no_key = Some("its issuer has no such key");
    let signed = Some("its signature is wrong");
    let shape = Some("it is no JSON Web Token in compact form");
    let bad_header = Some("its header is malformed");
    let kind = Some("it is a token of another type");
    let critical = Some("its header has critical parameters");
    let audience = Some("it is meant for another audience");
    let stranger_issuer = Some("its issuer is not known");
    #[rustfmt::skip]
    let table = [
        // what                          token                                                    why it is not accepted
        ("Ed25519",                      ed.token(&good()),                                       None),
        ("P-256",                        p256.token(&good()),                                     None),
        ("P-384",                        p384.token(&good()),                                     None),
        ("RSA PKCS#1",                   rsa.token(&good()),                                      None),
        ("RSA PSS",                      pss.token(&good()),                                      None),
        ("Ed25519 by its own name",      header(json!({"alg": "Ed25519", "kid": "ed"})),          None),
        ("Ed25519 for a P-256 key",      p256.token_with(&json!({"alg": "Ed25519", "kid": "p256"}), &good()), algorithm),
        ("RS512 with any RSA key",       any.token_with(&json!({"alg": "RS512", "kid": "any"}), &good()), None),
        ("RS512 called PS512",           any.token_with(&json!({"alg": "PS512", "kid": "any"}), &good()), signed),
        ("as large as headers may be",   changed(json!({"more": "x".repeat(65_536)})),            None),
        ("roles in an unknown form",     changed(json!({"roles": {"IAM_OWNER": true}})),          None),
        ("an access token by type",      header(json!({"alg": "EdDSA", "kid": "ed", "typ": "AT+jwt"})), None),
        ("a logout token",               header(json!({"alg": "EdDSA", "kid": "ed", "typ": "logout+jwt"})), kind),
        ("keys brought along",           header(json!({"alg": "EdDSA", "kid": "ed", "jwk": stranger.jwk(), "jku": "https://x"})), None),
        ("own keys brought along",       stranger.token_with(&json!({"alg": "EdDSA", "kid": "ed", "jwk": stranger.jwk()}), &good()), signed),
        ("another key of that id",       stranger.token(&good()),                                 signed),
        ("an unknown key id",            header(json!({"alg": "EdDSA", "kid": "new"})),           no_key),
        ("no key id, several keys",      header(json!({"alg": "EdDSA"})),                         no_key),
        ("alg none",                     format!("{}.", unsigned(&json!({"alg": "none", "kid": "ed"}), &good())), unsupported),
        ("alg None",                     header(json!({"alg": "None", "kid": "ed"})),             unsupported),
        ("alg ES512",                    header(json!({"alg": "ES512", "kid": "ed"})),            unsupported),
        ("alg missing",                  header(json!({"kid": "ed"})),                            bad_header),
        ("HS256 with the public key",    symmetric,                                               algorithm),
        ("alg of another key",           header(json!({"alg": "RS256", "kid": "ed"})),            algorithm),
        ("PSS with a PKCS#1 key",        pss.token_with(&json!({"alg": "PS512", "kid": "rsa"}), &good()), algorithm),
        ("crit",                         header(json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false})), critical),
        ("crit that is null",            header(json!({"alg": "EdDSA", "kid": "ed", "crit": null})), critical),
        ("a list as header",             header(json!(["EdDSA", "ed", null])),                    bad_header),
        ("other claims",                 format!("{foreign_claims}.{signature}"),                 signed),
        ("no signature",                 format!("{message}."),                                   signed),
        ("half a signature",             format!("{message}.{}", &signature[..40]),               signed),
        ("two parts",                    message.to_owned(),                                      shape),
        ("four parts",                   format!("{good_token}.x"),                               shape),
        ("padding",                      format!("{}=.{signature}", message),                     shape),
        ("garbage",                      "garbage".to_owned(),                                    shape),
        ("empty",                        String::new(),                                           shape),
        ("no exp",                       changed(json!({"exp": null})),                           Some("the claim exp is missing")),
        ("no aud",                       changed(json!({"aud": null})),                           Some("the claim aud is missing")),
        ("no iss",                       changed(json!({"iss": null})),                           Some("the claim iss is missing")),
        ("no sub",                       changed(json!({"sub": null})),                           Some("the claim sub is missing")),
        ("an empty sub",                 changed(json!({"sub": ""})),                             Some("the claim sub is no valid id")),
        ("a sub with a line break",      changed(json!({"sub": "a\nb"})),                         Some("the claim sub is no valid id")),
        ("another audience",             changed(json!({"aud": "other"})),                        audience),
        ("the server's own audience",    changed(json!({"aud": OWN_ISSUER})),                     audience),
        ("another issuer",               changed(json!({"iss": "https://other.example"})),        stranger_issuer),
        ("an issuer but for a slash",    changed(json!({"iss": format!("{ISSUER}/")})),           stranger_issuer),
        ("the server itself as issuer",  changed(json!({"iss": OWN_ISSUER, "aud": OWN_ISSUER})),  no_key),
        ("not valid yet",                changed(json!({"nbf": NOW + 11})),                       Some("it is not valid yet")),
        ("issued in the future",         changed(json!({"iat": NOW + 11})),                       Some("it was issued in the future")),
        ("valid for too long",           changed(json!({"iat": NOW - 60, "exp": NOW + 86_400})),  Some("its lifetime is longer than allowed")),
        ("for too long without iat",     changed(json!({"iat": null, "exp": NOW + 86_401})),      Some("its lifetime is longer than allowed")),
        ("an organization without id",   changed(json!({"urn:zitadel:iam:user:resourceowner:id": ""})), Some("it names an organization whose id is not valid")),
    ];
    for (what, token, why) in table {
        let actual = authenticate(&authenticator, &token, now()).await;
        match (actual, why) {
            (Ok(principal), None) => assert_eq!(principal.subject, "42", "{what}"),
            (Err(AuthError::TokenInvalid(actual)), Some(why)) => assert_eq!(actual, why, "{what}"),
            (actual, _) => panic!("{what}: {actual:?}"),
        }
    }
    let expired = changed(json!({"exp": NOW - 10}));
    assert!(matches!(authenticate(&authenticator, &expired, now()).await, Err(AuthError::TokenExpired)));
    let expired = stranger.token(&claims(json!({"exp": NOW - 10})));
    let unsigned = authenticate(&authenticator, &expired, now()).await;
    assert!(matches!(unsigned, Err(AuthError::TokenInvalid(_))), "what is not signed was never valid");
}

#[tokio::test]
async fn claims_of_an_issuer_make_the_principal() {
    let mut setup = Setup::new();
    setup.config.roles_claim = "groups".to_owned();
    let authenticator = setup.authenticator().unwrap();
    let token = SIGNERS.ed.token(&claims(json!({
        "urn:zitadel:iam:user:resourceowner:id": "acme",
        "urn:zitadel:iam:org:project:roles": {
            "ORG_OWNER": {"acme": "acme.example", "other": "other.example"},
            "SYSTEM_OWNER": {"acme": "acme.example"},
            "cook": {"acme": "acme.example"},
        },
        "groups": [{"id": "7", "value": "ORG_USER_MANAGER"}, "gardener", "ORG_USER_MANAGER"],
        // Neither means anything in the token of an issuer.
        "instance": "other",
        "user": {"name": "Mary"},
    })));
    let principal = authenticate(&authenticator, &token, now()).await.unwrap();
    assert_eq!(principal.user, Some(UserId::new("42").unwrap()));
    assert_eq!(principal.instance, Some(InstanceId::new("demo").unwrap()));
    assert_eq!(principal.organization, Some(OrganizationId::new("acme").unwrap()));
    assert_eq!(principal.expires_at, NOW + 60);
    assert_eq!(principal.credential(), Credential::Token { issuer: ISSUER.to_owned() });
    let grants = principal.grants.iter().map(|grant| {
        let organization = grant.organization.as_ref().map(|id| id.as_str());
        (grant.role.name.as_str(), grant.role.bound, organization)
    });
    let expected = [
        ("ORG_USER_MANAGER", Bound::Organization, Some("acme")),
        ("ORG_OWNER", Bound::Organization, Some("acme")),
        ("ORG_OWNER", Bound::Organization, Some("other")),
        // An issuer that is bound to an instance gives no rights beyond its instance.
        ("SYSTEM_OWNER", Bound::Instance, Some("acme")),
    ];
    assert_eq!(grants.collect::<Vec<_>>(), expected);

    setup.config.issuers[0].instance = None;
    let principal = authenticate(&setup.authenticator().unwrap(), &token, now()).await.unwrap();
    assert_eq!(principal.instance, None);
    assert!(principal.holds_everywhere("system.feature.write"));
    assert_eq!(principal.holds_in_organizations("org.feature.write").count(), 0, "without an instance it counts not");
}

#[tokio::test]
async fn issuer_that_is_down_at_start_works_once_it_is_up_and_rotates_its_keys() {
    let Signers { ed, p256, .. } = &*SIGNERS;
    let mut setup = Setup::new();
    let server = Server::start(setup.folder.path(), Answer::Status(503)).await;
    let (jwks_url, jwks_ca_file) = (Some(server.url.clone()), Some(server.ca_file.clone()));
    setup.config.issuers = vec![config::Issuer { jwks_url, jwks_ca_file, ..issuer(ISSUER) }];
    let authenticator = setup.authenticator().unwrap();
    let start = now();
    let (old, new) = (ed.token(&good()), p256.token(&good()));
    let at = |seconds| start.after(Duration::from_secs(seconds));
    let unloaded = Some("the keys of its issuer cannot be loaded at the moment");
    let unknown = Some("its issuer has no such key");
    #[rustfmt::skip]
    let table = [
        // at s  the server answers                     token  why it is not accepted   requests in all
        (0,      Answer::Status(503),                   &old,  unloaded,                1),
        (5,      Answer::Body(jwks(&[ed])),             &old,  unloaded,                1),
        (10,     Answer::Body(jwks(&[ed])),             &old,  None,                    2),
        (11,     Answer::Body(jwks(&[ed, p256])),       &new,  unknown,                 2),
        (20,     Answer::Body(jwks(&[ed, p256])),       &new,  None,                    3),
        (20,     Answer::Status(500),                   &old,  None,                    3),
        (30,     Answer::Status(500),                   &new,  None,                    3),
    ];
    for (at_s, answer, token, why, requests) in table {
        server.answers(answer);
        match (authenticate(&authenticator, token, at(at_s)).await, why) {
            (Ok(_), None) => {}
            (Err(AuthError::TokenInvalid(actual)), Some(why)) => assert_eq!(actual, why, "at {at_s} s"),
            (actual, _) => panic!("at {at_s} s: {actual:?}"),
        }
        assert_eq!(server.requests(), requests, "at {at_s} s");
    }
    let many = (0..50).map(|index| ed.token_with(&json!({"alg": "EdDSA", "kid": format!("{index}")}), &good()));
    for token in many {
        assert!(authenticate(&authenticator, &token, at(40)).await.is_err());
    }
    assert_eq!(server.requests(), 4, "unknown keys make one request in ten seconds");
}

#[tokio::test]
async fn a_key_that_arrives_after_the_look_at_the_keys_counts() {
    let Signers { ed, p256, .. } = &*SIGNERS;
    let mut setup = Setup::new();
    let server = Server::start(setup.folder.path(), Answer::Body(jwks(&[ed, p256]))).await;
    let (jwks_url, jwks_ca_file) = (Some(server.url.clone()), Some(server.ca_file.clone()));
    setup.config.issuers = vec![config::Issuer { jwks_url, jwks_ca_file, ..issuer(ISSUER) }];
    let authenticator = setup.authenticator().unwrap();
    let (token, now) = (p256.token(&good()), now());
    let missing = authenticator.0.verify(&token, now).unwrap_err();
    // Another call loads the keys meanwhile, so no further load is allowed for a while.
    authenticate(&authenticator, &ed.token(&good()), now).await.unwrap();
    let Authentication::Ready(principal) = authenticator.with_newer_keys(missing, &token, now) else {
        panic!("it waits for another load");
    };
    assert_eq!(principal.unwrap().subject, "42");
}

#[test]
fn debug_output_shows_no_key() {
    let setup = Setup::new();
    let shown = format!("{:?}", setup.authenticator().unwrap());
    let public = URL_SAFE_NO_PAD.decode(SIGNERS.ed.jwk()["x"].as_str().unwrap()).unwrap();
    assert!(!shown.contains(&format!("{public:?}")), "not even public keys: {shown}");
}
