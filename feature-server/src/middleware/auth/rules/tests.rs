//! The rules of the real protos: which roles may call which methods.

use feature_api::schema::Operation;
use feature_auth::AuthError;
use feature_auth::access::Caller;
use feature_core::{Level, Scope};

use super::*;
use crate::services::testing::{Who, caller, schema};

/// The scope of the resource in the table: organization `acme`, user `42`.
fn resource(caller: &Caller, level: Level) -> Result<Scope, AuthError> {
    match level {
        Level::System => caller.system(),
        Level::Instance => caller.instance(),
        Level::Organization => caller.organization("acme"),
        Level::User => caller.user("42").map(|access| access.scope),
    }
}

#[test]
fn roles_may_call_the_documented_methods_and_no_others() {
    #[rustfmt::skip]
    let table = [
        // roles                       system  instance  organization  user     (r: Get, w: Set, d: Reset; the system's
        //                                                                       and the instance's Get need no role)
        ("",                          ["r",    "r",      "",           ""]),
        ("SYSTEM_OWNER",              ["rwd",  "rwd",    "rwd",        "rwd"]),
        ("SYSTEM_OWNER_VIEWER",       ["r",    "r",      "r",          "r"]),
        ("IAM_OWNER",                 ["r",    "rwd",    "rwd",        "rwd"]),
        ("IAM_OWNER_VIEWER",          ["r",    "r",      "r",          "r"]),
        ("IAM_ORG_MANAGER",           ["r",    "r",      "rwd",        "rwd"]),
        ("IAM_USER_MANAGER",          ["r",    "r",      "",           "rwd"]),
        ("IAM_LOGIN_CLIENT",          ["r",    "r",      "r",          "r"]),
        ("ORG_OWNER@acme",            ["r",    "r",      "rwd",        "rwd"]),
        ("ORG_OWNER_VIEWER@acme",     ["r",    "r",      "r",          "r"]),
        ("ORG_SETTINGS_MANAGER@acme", ["r",    "r",      "rwd",        ""]),
        ("ORG_USER_MANAGER@acme",     ["r",    "r",      "",           "rwd"]),
        ("ORG_OWNER@other",           ["r",    "r",      "",           "rwd"]),
        ("ORG_OWNER",                 ["r",    "r",      "",           ""]),
        ("IAM_USER_MANAGER ORG_SETTINGS_MANAGER@acme", ["r", "r", "rwd", "rwd"]),
    ];
    let schema = schema();
    let methods: Vec<_> = schema.methods().filter(|method| method.operation.is_some()).collect();
    assert_eq!(methods.len(), 12);
    for (roles, cells) in table {
        for method in &methods {
            let (operation, level) = method.operation.unwrap();
            let letter = match operation {
                Operation::Get => 'r',
                Operation::Set => 'w',
                Operation::Reset => 'd',
            };
            let who = Who { instance: "demo", roles, ..Who::default() };
            let caller = caller(who, same_as(&schema, operation, level), "");
            let may = caller.and_then(|caller| resource(&caller, level)).is_ok();
            assert_eq!(may, cells[level as usize].contains(letter), "{roles:?} calls {}", method.path);
        }
    }
}

#[test]
fn methods_of_the_protos_have_a_rule() {
    let rules = of(&schema(), &Server::default());
    for method in schema().methods() {
        assert!(matches!(rules.find(&method.path), Ok(Some(_))), "{}", method.path);
    }
    for path in ["Nothing", "getsystemfeatures"].map(|name| format!("/zitadel.feature.v2.FeatureService/{name}")) {
        assert!(matches!(rules.find(&path), Err(AuthError::MethodUnknown(_))), "{path}");
    }
}

#[test]
fn health_is_public_and_reflection_as_the_setting_says() {
    let (loopback, elsewhere) = ("127.0.0.1:0", "192.0.2.1:0");
    let table = [
        // setting, listen, reflection
        (Reflection::Auto, loopback, "public"),
        (Reflection::Auto, elsewhere, "authenticated"),
        (Reflection::Everybody, elsewhere, "public"),
        (Reflection::Authenticated, loopback, "authenticated"),
        (Reflection::Off, loopback, "unknown"),
    ];
    for (reflection, listen, expected) in table {
        let rules = of(&schema(), &Server { reflection, listen: listen.parse().unwrap(), ..Server::default() });
        let found = |path: &str| match rules.find(path) {
            Ok(None) => "public",
            Ok(Some(_)) => "authenticated",
            Err(AuthError::MethodUnknown(_)) => "unknown",
            Err(_) => "closed",
        };
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            assert_eq!(found(&path), expected, "{reflection:?} {listen} {version}");
        }
        for method in ["Check", "Watch", "List"] {
            assert_eq!(
                found(&format!("/grpc.health.v1.Health/{method}")),
                "public",
                "{reflection:?} {listen} {method}"
            );
        }
    }
}
