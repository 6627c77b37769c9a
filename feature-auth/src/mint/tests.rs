//! Minting: the content of a token, refused requests, and that the server accepts its own tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::authenticate::Authenticator;
use crate::error::AuthError;
use crate::keys::KeyFolder;
use crate::testing::{NOW, authenticate, now, roles};

fn asked(roles: &[&str]) -> TokenRequest {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    TokenRequest { roles, lifetime: Duration::from_secs(3600), ..TokenRequest::default() }
}

fn keys(data: &std::path::Path) -> KeyFolder {
    KeyFolder::open_or_create(data).unwrap()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn token_holds_what_was_requested_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let key = keys(folder.path()).signing().unwrap();
    let config = Auth::default();

    let bare = mint(&key, &config, &roles(), &asked(&[]), now()).unwrap();
    assert_eq!(bare.expires_at, NOW + 3600);
    assert_eq!(part(&bare.token, 0), json!({"typ": "JWT", "alg": "EdDSA", "kid": key.id}));
    let mut claims = part(&bare.token, 1);
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert!(Uuid::parse_str(id.as_str().unwrap()).is_ok());
    let expected =
        json!({"iss": "feature-server", "aud": "feature-server", "sub": "operator", "iat": NOW, "exp": NOW + 3600});
    assert_eq!(claims, expected);

    let mut full = asked(&["ORG_OWNER", "ORG_USER_MANAGER"]);
    full.instance = Some(InstanceId::new("demo").unwrap());
    full.organization = Some(OrganizationId::new("acme").unwrap());
    full.user = Some(UserId::new("42").unwrap());
    let full = mint(&key, &config, &roles(), &full, now()).unwrap();
    assert!(full.hints.is_empty());
    let claims = part(&full.token, 1);
    assert_eq!(claims["sub"], "42");
    assert_eq!(claims["user"], "42");
    assert_eq!(claims["instance"], "demo");
    assert_eq!(claims[ORGANIZATION_CLAIM], "acme");
    assert_eq!(claims["roles"], json!(["ORG_OWNER", "ORG_USER_MANAGER"]));
    assert_ne!(claims["jti"], id, "no two tokens have one id");
}

#[test]
fn unusable_lifetimes_and_roles_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let key = keys(folder.path()).signing().unwrap();
    let lifetime = |seconds| TokenRequest { lifetime: Duration::from_secs(seconds), ..asked(&[]) };
    let table = [
        // asked for           the error holds
        (lifetime(86_401), "auth.max_token_lifetime_s = 86400"),
        (lifetime(0), "at least one second"),
        (asked(&["IAM_OWNR"]), "no role \"IAM_OWNR\"; there are IAM_LOGIN_CLIENT, "),
    ];
    for (asked, expected) in table {
        let error = mint(&key, &Auth::default(), &roles(), &asked, now()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(mint(&key, &Auth::default(), &roles(), &lifetime(86_400), now()).is_ok());
}

#[test]
fn roles_without_effect_in_the_token_are_pointed_out() {
    let instance = Some(InstanceId::new("demo").unwrap());
    let organization = Some(OrganizationId::new("acme").unwrap());
    #[rustfmt::skip]
    let table = [
        // role           instance          organization           it lacks
        ("SYSTEM_OWNER", None,             None,                  None),
        ("IAM_OWNER",    None,             None,                  Some("an instance")),
        ("IAM_OWNER",    instance.clone(), None,                  None),
        ("ORG_OWNER",    None,             None,                  Some("an instance and an organization")),
        ("ORG_OWNER",    instance.clone(), None,                  Some("an organization")),
        ("ORG_OWNER",    None,             organization.clone(),  Some("an instance")),
        ("ORG_OWNER",    instance,         organization,          None),
    ];
    let folder = tempfile::tempdir().unwrap();
    let key = keys(folder.path()).signing().unwrap();
    for (role, instance, organization, lacks) in table {
        let asked = TokenRequest { instance, organization, ..asked(&[role]) };
        let hints = mint(&key, &Auth::default(), &roles(), &asked, now()).unwrap().hints;
        let expected = lacks.map(|lacks| format!("{role} counts only in a token with {lacks}, and this one has none"));
        assert_eq!(hints, Vec::from_iter(expected));
    }
}

#[tokio::test]
async fn own_tokens_are_accepted_and_those_of_older_keys() {
    let folder = tempfile::tempdir().unwrap();
    let config = Auth::default();
    let authenticator = Authenticator::new(&config, &roles(), keys(folder.path()), now()).unwrap();
    let asked = |user: Option<&str>| TokenRequest {
        instance: Some(InstanceId::new("demo").unwrap()),
        user: user.map(|user| UserId::new(user).unwrap()),
        ..asked(&["SYSTEM_OWNER"])
    };
    let token = |asked: &TokenRequest| {
        mint(&keys(folder.path()).signing().unwrap(), &config, &roles(), asked, now()).unwrap().token
    };
    let old = token(&asked(None));
    let principal = authenticate(&authenticator, &old, now()).await.unwrap();
    assert_eq!((principal.subject.as_str(), &principal.user), ("operator", &None), "an operator is no user");
    assert_eq!(principal.instance.as_ref().unwrap().as_str(), "demo");
    assert!(principal.holds_everywhere("system.feature.write"), "own tokens of an instance may reach the system");
    assert_eq!(principal.expires_at, NOW + 3600);

    // A new key is taken up when its first token comes, and not more often than every two seconds.
    KeyFolder::add(folder.path()).unwrap();
    let new = token(&asked(Some("42")));
    let start = now();
    let principal = authenticate(&authenticator, &new, start).await.unwrap();
    assert_eq!(principal.user.as_ref().unwrap().as_str(), "42");
    assert!(authenticate(&authenticator, &old, start).await.is_ok());
    KeyFolder::add(folder.path()).unwrap();
    let newest = token(&asked(None));
    let soon = authenticate(&authenticator, &newest, start.after(Duration::from_secs(1))).await;
    assert!(matches!(soon, Err(AuthError::TokenInvalid("its issuer has no such key"))), "{soon:?}");
    assert!(authenticate(&authenticator, &newest, start.after(Duration::from_secs(2))).await.is_ok());

    // A key that is taken away is forgotten with the next load, which the age of the keys begins.
    KeyFolder::add(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("keys/1.pem")).unwrap();
    let late = start.after(Duration::from_secs(62));
    assert!(
        authenticate(&authenticator, &old, late).await.is_ok(),
        "the use that begins the load does not wait for it"
    );
    assert!(authenticate(&authenticator, &token(&asked(None)), late).await.is_ok(), "a new key does");
    let forgotten = authenticate(&authenticator, &old, late).await;
    assert!(matches!(forgotten, Err(AuthError::TokenInvalid("its issuer has no such key"))), "{forgotten:?}");
}
