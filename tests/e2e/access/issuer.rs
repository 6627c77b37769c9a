//! Tokens of an OIDC issuer: roles per organization, users, and the instance.

use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value as Json, json};
use tonic::Code::{NotFound, PermissionDenied, Unauthenticated};

use crate::support::harness::Folder;
use crate::support::raw::{Raw, refusal};

const ISSUER: &str = "https://issuer.example";

/// A key of the issuer, and its public part as a JSON Web Key Set.
fn key() -> (jsonwebtoken::EncodingKey, String) {
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key is made");
    let private = jsonwebtoken::EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("the key is a key");
    let public = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, pair.public_key_raw());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": public}]});
    (private, set.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_tokens_have_the_rights_of_their_claims() {
    let (key, set) = key();
    let config = format!(
        "[[auth.issuers]]\nissuer = \"{ISSUER}\"\naudience = \"features\"\ninstance = \"demo\"\n\
         jwks_file = \"jwks.json\"\n"
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

    // Roles by organization: ORG_OWNER applies to acme only.
    let owner = sign(
        json!({"urn:zitadel:iam:org:project:roles": {"ORG_OWNER": {"acme": "acme.example"}, "UNHEARD_OF": {"acme": ""}}}),
    );
    raw.call("SetOrganizationFeatures", set_organization("acme"), &[&owner]).await.expect("the owner of acme sets it");
    let other = raw.call("SetOrganizationFeatures", set_organization("other"), &[&owner]).await;
    assert_eq!(other.map(|_| ()), denied("org.feature.write"));

    // A plain list of roles applies to the instance that the configuration names for the issuer.
    let admin = sign(json!({"roles": ["IAM_OWNER"]}));
    raw.call("SetInstanceFeatures", json!({"userSchema": true}), &[&admin]).await.expect("the owner sets demo");
    let elsewhere =
        raw.call("SetInstanceFeatures", json!({"actions": true}), &[&admin, "x-zitadel-instance-id = other"]).await;
    assert_eq!(elsewhere.map(|_| ()), denied("iam.feature.write"));

    // The history tells the subjects of this issuer from those of others.
    let own = server.token("--role IAM_OWNER --instance demo --user ann");
    raw.call("SetInstanceFeatures", json!({"userSchema": false}), &[&own]).await.expect("another ann sets it back");
    let table = [
        // (filter, revisions)
        (format!("issuer = \"{ISSUER}\""), vec!["2", "1"]),
        ("actor = ann AND issuer = feature-server".to_owned(), vec!["3"]),
        ("actor = ann AND credential_kind = CREDENTIAL_KIND_TOKEN".to_owned(), vec!["3", "2", "1"]),
    ];
    for (filter, revisions) in table {
        let request = json!({"parent": "instances/demo", "filter": filter});
        let page =
            raw.call("HistoryService/ListChanges", request, &[&admin]).await.expect("an owner reads the history");
        let changes = page["changes"].as_array().expect("there are changes").iter();
        assert_eq!(changes.map(|change| change["revision"].as_str().expect("a text")).collect::<Vec<_>>(), revisions);
    }

    // Without roles, a user reads their own features, which inherit from their organization.
    let ann = sign(json!({"urn:zitadel:iam:user:resourceowner:id": "acme"}));
    let read =
        raw.call("GetUserFeatures", json!({"userId": "ann", "inheritance": true}), &[&ann]).await.expect("ann reads");
    assert_eq!(read["actions"], json!({"enabled": true, "source": "SOURCE_ORGANIZATION"}));
    let own = raw.call("GetUserFeatures", json!({"userId": "ann"}), &[&ann]).await;
    assert_eq!(own.map(|_| ()), Err(refusal(NotFound, "NO_FEATURES_SET", &[])));
    let bob = raw.call("GetUserFeatures", json!({"userId": "bob"}), &[&ann]).await;
    assert_eq!(bob.map(|_| ()), denied("user.feature.read"));

    let table = [
        // (claims that make the token invalid, reason)
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

#[tokio::test(flavor = "multi_thread")]
async fn issuer_keys_and_roles_may_have_several_forms_and_files_a_byte_order_mark() {
    const MARK: &str = "\u{feff}";
    let (key, set) = key();
    let config = format!(
        "{MARK}[limits]\nheader_bytes = 65536\n[auth]\nrevocation_file = \"revoked\"\n\
         [[auth.issuers]]\nissuer = \"{ISSUER}\"\naudience = \"features\"\ninstance = \"demo\"\n\
         jwks_file = \"jwks.json\"\n"
    );
    let folder = Folder::new(&config);
    assert!(folder.run("token keygen").status.success());
    let write = |name: &str, text: &str| std::fs::write(folder.file(name), format!("{MARK}{text}")).expect(name);
    write("revoked", "# nothing is revoked\n");
    let own_key = std::fs::read_to_string(folder.data().join("keys/1.pem")).expect("the server's key is there");
    write("feature-data/keys/1.pem", &own_key);
    let set = |more: &[&str]| {
        let mut set: Json = serde_json::from_str(&set).expect("the set is JSON");
        let keys = set["keys"].as_array_mut().expect("keys are a list");
        keys[0]["alg"] = json!("Ed25519");
        keys.push(json!({"kty": "RSA", "kid": "for\nencryption", "use": "enc", "n": "AQAB", "e": "AQAB"}));
        keys.extend(more.iter().map(|kid| json!({"kty": "oct", "kid": kid, "k": "AQAB"})));
        set.to_string()
    };
    write("jwks.json", &set(&[]));
    let server = folder.serve();
    let raw = Raw::new(&server).await;
    const LEFT_OUT: &str = "a key of the issuer is left out";
    server.wait_for_log(LEFT_OUT, 1);

    let sign = |claims: Json| {
        let now = jsonwebtoken::get_current_timestamp();
        let mut all = json!({"iss": ISSUER, "aud": "features", "sub": "ann", "iat": now, "exp": now + 600});
        all.as_object_mut().expect("claims are an object").extend(claims.as_object().expect("an object").clone());
        let encode =
            |part: Json| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part.to_string());
        let message = format!("{}.{}", encode(json!({"alg": "Ed25519", "kid": "k1"})), encode(all));
        let algorithm = jsonwebtoken::Algorithm::EdDSA;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("the key signs");
        format!("{message}.{signature}")
    };
    let denied = Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["iam.feature.write"]));
    let table = [
        // (claims, answer to a write to the instance)
        (json!({"roles": "IAM_OWNER"}), Ok(())),
        (json!({"roles": ["IAM_OWNER"], "more": "x".repeat(40_000)}), Ok(())),
        (json!({"roles": [{"id": "7", "name": "IAM_OWNER"}]}), Ok(())),
        (json!({"roles": [{"value": "IAM_OWNER", "display": "Owner"}]}), Ok(())),
        (json!({"roles": {"IAM_OWNER": true}}), denied.clone()),
    ];
    for (claims, expected) in table {
        let token = sign(claims.clone());
        let answer = raw.call("SetInstanceFeatures", json!({"userSchema": true}), &[&token]).await;
        assert_eq!(answer.map(|_| ()), expected, "{}", claims["roles"]);
        // The token stays valid without a role.
        raw.call("GetInstanceFeatures", json!({"inheritance": true}), &[&token]).await.expect("the token is good");
    }
    server.wait_for_log("it gives no roles", 1);

    // A new key set does not log again the keys that the server already skips.
    write("jwks.json", &set(&["secret"]));
    server.wait_for_log(LEFT_OUT, 2);
    let log = server.log();
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((count("the key is not for signatures"), count("the key's type is not supported")), (1, 1), "{log}");
    assert_eq!(count("it gives no roles"), 1, "a remembered token is not read again");
    server.stop();
}
