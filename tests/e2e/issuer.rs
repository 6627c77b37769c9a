//! Tokens of an OIDC issuer: its roles per organization, its users, and its instance.

use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value as Json, json};
use tonic::Code::{NotFound, PermissionDenied, Unauthenticated};

use crate::harness::Folder;
use crate::raw::{Raw, refusal};

const ISSUER: &str = "https://issuer.example";

/// A key of the issuer, and its public half as a JSON Web Key Set.
fn key() -> (jsonwebtoken::EncodingKey, String) {
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key is made");
    let private = jsonwebtoken::EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("the key is a key");
    let public = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, pair.public_key_raw());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": public}]});
    (private, set.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_tokens_are_worth_what_their_claims_say() {
    let (key, set) = key();
    let config = format!(
        "[[auth.issuers]]\nissuer = \"{ISSUER}\"\naudience = \"features\"\ninstance = \"demo\"\njwks_file = \"jwks.json\"\n"
    );
    let folder = Folder::new(&config);
    std::fs::write(folder.data().with_file_name("jwks.json"), set).expect("the file is written");
    let server = folder.serve();
    let raw = Raw::new(&server).await;

    let sign = |claims: Json| {
        let mut all = json!({"iss": ISSUER, "aud": ["features"], "sub": "ann", "iat": jsonwebtoken::get_current_timestamp(), "exp": jsonwebtoken::get_current_timestamp() + 600});
        all.as_object_mut().expect("claims are an object").extend(claims.as_object().expect("an object").clone());
        let header = jsonwebtoken::Header {
            kid: Some("k1".into()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, &all, &key).expect("the key signs")
    };
    let denied = |permission: &str| Err(refusal(PermissionDenied, "PERMISSION_MISSING", &[permission]));
    let set_organization = |id: &str| json!({"organizationId": id, "actions": true});

    // Roles by organization: ORG_OWNER counts in acme alone.
    let owner = sign(
        json!({"urn:zitadel:iam:org:project:roles": {"ORG_OWNER": {"acme": "acme.example"}, "UNHEARD_OF": {"acme": ""}}}),
    );
    raw.call("SetOrganizationFeatures", set_organization("acme"), &[&owner]).await.expect("the owner of acme sets it");
    let other = raw.call("SetOrganizationFeatures", set_organization("other"), &[&owner]).await;
    assert_eq!(other.map(|_| ()), denied("org.feature.write"));

    // A plain list of roles, here of the instance that the issuer is configured for.
    let admin = sign(json!({"roles": ["IAM_OWNER"]}));
    raw.call("SetInstanceFeatures", json!({"userSchema": true}), &[&admin]).await.expect("the owner sets demo");
    let elsewhere =
        raw.call("SetInstanceFeatures", json!({"actions": true}), &[&admin, "x-zitadel-instance-id = other"]).await;
    assert_eq!(elsewhere.map(|_| ()), denied("iam.feature.write"));

    // No role: the user themself, with their organization.
    let ann = sign(json!({"urn:zitadel:iam:user:resourceowner:id": "acme"}));
    let read =
        raw.call("GetUserFeatures", json!({"userId": "ann", "inheritance": true}), &[&ann]).await.expect("ann reads");
    assert_eq!(read["actions"], json!({"enabled": true, "source": "SOURCE_ORGANIZATION"}));
    let own = raw.call("GetUserFeatures", json!({"userId": "ann"}), &[&ann]).await;
    assert_eq!(own.map(|_| ()), Err(refusal(NotFound, "NO_FEATURES_SET", &[])));
    let bob = raw.call("GetUserFeatures", json!({"userId": "bob"}), &[&ann]).await;
    assert_eq!(bob.map(|_| ()), denied("user.feature.read"));

    let table = [
        // (claims that spoil the token, the reason)
        (json!({"iss": "https://other.example"}), "TOKEN_INVALID"),
        (json!({"aud": "others"}), "TOKEN_INVALID"),
        (json!({"exp": 1_000_000_000}), "TOKEN_EXPIRED"),
        (json!({"iss": "feature-server", "aud": "feature-server"}), "TOKEN_INVALID"),
    ];
    for (claims, reason) in table {
        let spoilt = sign(claims.clone());
        let answer = raw.call("GetSystemFeatures", json!({}), &[&spoilt]).await;
        assert_eq!(answer.map(|_| ()), Err(refusal(Unauthenticated, reason, &[])), "{claims}");
    }
    server.stop();
}
