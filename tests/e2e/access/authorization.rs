//! The authorisation matrix: all methods of all services with every kind of credential.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use serde_json::{Value as Json, json};
use tonic::Code::{PermissionDenied, Unauthenticated};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::harness::Server;
use crate::support::raw::{Raw, Refusal, refusal};

/// The default roles, as docs/access.md has them: what each may do per kind of permission, and where.
const ROLES: &str = "
| SYSTEM_OWNER         | rwd | rwd | rwd | rwd | everything   |
| SYSTEM_OWNER_VIEWER  | r   | r   | r   | r   | everything   |
| IAM_OWNER            |     | rwd | rwd | rwd | instance     |
| IAM_OWNER_VIEWER     |     | r   | r   | r   | instance     |
| IAM_ORG_MANAGER      |     |     | rwd | rwd | instance     |
| IAM_USER_MANAGER     |     |     |     | rwd | instance     |
| IAM_LOGIN_CLIENT     |     | r   | r   | r   | instance     |
| ORG_OWNER            |     |     | rwd | rwd | organization |
| ORG_OWNER_VIEWER     |     |     | r   | r   | organization |
| ORG_SETTINGS_MANAGER |     |     | rwd |     | organization |
| ORG_USER_MANAGER     |     |     |     | rwd | organization |
";

/// The methods with their permissions; `None` for methods that every authenticated caller may call.
const METHODS: [(&str, Option<&str>); 12] = [
    ("SetSystemFeatures", Some("system.feature.write")),
    ("ResetSystemFeatures", Some("system.feature.delete")),
    ("GetSystemFeatures", None),
    ("SetInstanceFeatures", Some("iam.feature.write")),
    ("ResetInstanceFeatures", Some("iam.feature.delete")),
    ("GetInstanceFeatures", None),
    ("SetOrganizationFeatures", Some("org.feature.write")),
    ("ResetOrganizationFeatures", Some("org.feature.delete")),
    ("GetOrganizationFeatures", Some("org.feature.read")),
    ("SetUserFeatures", Some("user.feature.write")),
    ("ResetUserFeatures", Some("user.feature.delete")),
    ("GetUserFeatures", Some("user.feature.read")),
];

struct Role {
    name: &'static str,
    permissions: Vec<String>,
    bound_to: &'static str,
}

fn roles() -> Vec<Role> {
    ROLES.lines().filter(|line| !line.is_empty()).map(role).collect()
}

fn role(line: &'static str) -> Role {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let mut permissions = Vec::new();
    for (kind, letters) in ["system", "iam", "org", "user"].iter().zip(&cells[2..6]) {
        for (letter, operation) in [('r', "read"), ('w', "write"), ('d', "delete")] {
            if letters.contains(letter) {
                permissions.push(format!("{kind}.feature.{operation}"));
            }
        }
    }
    Role { name: cells[1], permissions, bound_to: cells[6] }
}

/// A valid request of the method for the organization `acme` or the user `ann`.
fn request(method: &str) -> Json {
    let mut request = serde_json::Map::new();
    if method.contains("Organization") {
        request.insert("organizationId".into(), json!("acme"));
    }
    if method.contains("User") {
        request.insert("userId".into(), json!("ann"));
    }
    if method.starts_with("Set") {
        request.insert("actions".into(), json!(true));
    }
    Json::Object(request)
}

/// A server on which the user `ann` is recorded under the organization `acme` of the instance `demo`.
async fn server() -> (Server, Raw) {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    let set = raw.call("SetUserFeatures", request("SetUserFeatures"), &[&owner, "x-zitadel-orgid = acme"]).await;
    set.expect("the owner of the instance sets a user");
    (server, raw)
}

async fn outcome(raw: &Raw, method: &str, caller: &[&str]) -> Result<(), Refusal> {
    match raw.call(method, request(method), caller).await {
        Err(refused) if [PermissionDenied, Unauthenticated].contains(&refused.code) => Err(refused),
        // The call was authorised; its own outcome, such as NOT_FOUND, does not matter here.
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_methods_is_complete() {
    let (server, raw) = server().await;
    let names: Vec<String> = raw.methods().iter().map(|method| method.name().to_owned()).collect();
    assert_eq!(names, METHODS.map(|(name, _)| name), "a new method needs a row here");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_have_the_permissions_of_the_table_within_their_scope() {
    let (server, raw) = server().await;
    for role in roles() {
        let organization = if role.bound_to == "organization" { "--organization acme" } else { "" };
        let name = role.name;
        let everywhere = role.bound_to == "everything";
        let member = role.bound_to == "organization";
        let table = [
            // (token, metadata, whether the role applies to this resource, whether calls for the instance are refused
            // at once)
            (format!("--role {name} --instance demo {organization}"), "", true, false),
            (
                format!("--role {name} --instance other {organization}"),
                "x-zitadel-instance-id = demo",
                everywhere,
                true,
            ),
            (format!("--role {name} {organization}"), "x-zitadel-instance-id = demo", everywhere, false),
            (format!("--role {name} --instance demo --organization other"), "", !member, false),
        ];
        for (row, (token, metadata, counts, foreign)) in table.into_iter().enumerate() {
            let token = server.token(&token);
            for (method, permission) in METHODS {
                let about_instance = !method.contains("System");
                let Some(permission) = permission else {
                    let expected = if foreign && about_instance { Err(denied("authenticated")) } else { Ok(()) };
                    let place = format!("{name}, row {row}, {method}");
                    assert_eq!(outcome(&raw, method, &[&token, metadata]).await, expected, "{place}");
                    continue;
                };
                let granted = role.permissions.iter().any(|held| held == permission) && counts;
                let is_member = member && row == 0 && method == "GetOrganizationFeatures";
                let allowed = (granted || is_member) && !(foreign && about_instance);
                let expected = if allowed { Ok(()) } else { Err(denied(permission)) };
                let place = format!("{name}, row {row}, {method}");
                assert_eq!(outcome(&raw, method, &[&token, metadata]).await, expected, "{place}");
            }
        }
    }
    server.stop();
}

fn denied(permission: &str) -> Refusal {
    refusal(PermissionDenied, "PERMISSION_MISSING", &[permission])
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_role_read_only_open_features_and_their_own() {
    let (server, raw) = server().await;
    let ann = server.token("--instance demo --organization acme --user ann");
    let stranger = server.token("--instance demo");
    for (method, permission) in METHODS {
        let theirs = ["GetOrganizationFeatures", "GetUserFeatures"].contains(&method);
        for (caller, allowed) in [(&ann, permission.is_none() || theirs), (&stranger, permission.is_none())] {
            let expected = if allowed { Ok(()) } else { Err(denied(permission.unwrap_or_default())) };
            assert_eq!(outcome(&raw, method, &[caller]).await, expected, "{method}, {allowed}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_credentials_allow_only_health_and_reflection() {
    let (server, raw) = server().await;
    let good = server.token("--role SYSTEM_OWNER --instance demo");
    let mut table: Vec<(&str, Vec<String>, &str)> = vec![
        // (credential, metadata, reason)
        ("nothing", vec![], "TOKEN_MISSING"),
        ("an empty header", vec!["authorization = ".into()], "TOKEN_INVALID"),
        ("another scheme", vec![format!("authorization = Basic {good}")], "TOKEN_INVALID"),
        ("garbage", vec!["garbage".into()], "TOKEN_INVALID"),
        ("two tokens", vec![good.clone(), good.clone()], "TOKEN_INVALID"),
        ("a changed signature", vec![changed(&good)], "TOKEN_INVALID"),
    ];
    table.extend(forged(&server, &good).into_iter().map(|(what, token, reason)| (what, vec![token], reason)));
    for (what, metadata, reason) in &table {
        let metadata: Vec<&str> = metadata.iter().map(String::as_str).collect();
        for (method, _) in METHODS {
            let expected = Err(refusal(Unauthenticated, reason, &[]));
            assert_eq!(outcome(&raw, method, &metadata).await, expected, "{what}, {method}");
        }
    }
    assert_eq!(outcome(&raw, "GetSystemFeatures", &[&good]).await, Ok(()), "the token that all were made from");

    let mut health = HealthClient::new(server.channel().await);
    health.check(HealthCheckRequest::default()).await.expect("health needs no token");
    server.stop();
}

fn changed(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').expect("a token has a signature");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{rest}.{first}{}", &signature[1..])
}

/// Tokens signed with the server's own key, each with one fault.
fn forged(server: &Server, good: &str) -> Vec<(&'static str, String, &'static str)> {
    let header = decode_header(good).expect("a token has a header");
    let pem = std::fs::read(server.folder().data().join("keys/1.pem")).expect("the server has made its key");
    let key = EncodingKey::from_ed_pem(&pem).expect("the server's key is an Ed25519 key");
    let now = jsonwebtoken::get_current_timestamp();
    let claims = |changes: Json| {
        let mut claims: BTreeMap<String, Json> = serde_json::from_value(json!({
            "iss": "feature-server", "aud": "feature-server", "sub": "operator", "iat": now, "exp": now + 600,
            "roles": ["SYSTEM_OWNER"], "instance": "demo",
        }))
        .expect("an object is a map");
        for (name, value) in changes.as_object().expect("changes are an object") {
            match value {
                Json::Null => claims.remove(name),
                value => claims.insert(name.clone(), value.clone()),
            };
        }
        claims
    };
    let sign = |changes: Json| encode(&header, &claims(changes), &key).expect("the key signs");
    let with_header =
        |changed: Header, key: &EncodingKey| encode(&changed, &claims(json!({})), key).expect("a key signs");
    let other_key = {
        let other = Server::new();
        other.token("");
        let pem = std::fs::read(other.folder().data().join("keys/1.pem")).expect("the other server has a key too");
        EncodingKey::from_ed_pem(&pem).expect("it is an Ed25519 key")
    };
    let hmac = Header { alg: Algorithm::HS256, ..header.clone() };
    let stranger = Header { kid: Some("unknown".into()), ..header.clone() };
    vec![
        ("an expired token", sign(json!({"iat": now - 7200, "exp": now - 3600})), "TOKEN_EXPIRED"),
        ("a token of the future", sign(json!({"nbf": now + 300})), "TOKEN_INVALID"),
        ("another issuer", sign(json!({"iss": "another"})), "TOKEN_INVALID"),
        ("another audience", sign(json!({"aud": "another"})), "TOKEN_INVALID"),
        ("no issuer", sign(json!({"iss": null})), "TOKEN_INVALID"),
        ("no audience", sign(json!({"aud": null})), "TOKEN_INVALID"),
        ("no subject", sign(json!({"sub": null})), "TOKEN_INVALID"),
        ("no expiry", sign(json!({"exp": null})), "TOKEN_INVALID"),
        ("valid for too long", sign(json!({"exp": now + 40 * 86_400})), "TOKEN_INVALID"),
        ("the public key as an HMAC secret", with_header(hmac, &EncodingKey::from_secret(&pem)), "TOKEN_INVALID"),
        ("an unknown key", with_header(stranger, &other_key), "TOKEN_INVALID"),
        ("another key under the known name", with_header(header.clone(), &other_key), "TOKEN_INVALID"),
        ("no algorithm", unsigned(&sign(json!({}))), "TOKEN_INVALID"),
    ]
}

/// The same claims with the header `{"alg":"none"}` and without a signature.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("a token has claims");
    format!("eyJhbGciOiJub25lIn0.{claims}.")
}
