//! Rights by role, binding, instance, organization and method.

use std::collections::BTreeMap;

use super::*;
use crate::authenticate::principal::Grant;
use crate::config::{Bound, RoleSettings};
use crate::roles::Roles;
use crate::testing::{Names, Who, outcome};

const DEMO: Who = Who { instance: "demo", organization: "", user: "", roles: "" };

fn rule(permission: &str, exemption: Option<Exemption>, level: Level) -> Rule {
    Rule::new(Some(permission.to_owned()), exemption, Some(level))
}

/// A call that names this instance.
fn call(who: Who, rule: Rule, instance: &str) -> Result<Caller, AuthError> {
    Caller::admit(who.principal(), Arc::new(rule), &Names { instance, ..Names::default() })
}

/// The scope of the resource in the tables: organization `acme`, user `42`.
fn resource(caller: &Caller, level: Level) -> Result<Scope, AuthError> {
    match level {
        Level::System => caller.system(),
        Level::Instance => caller.instance(),
        Level::Organization => caller.organization("acme"),
        Level::User => caller.user("42").map(|access| access.scope),
    }
}

#[test]
fn rights_bound_to_an_instance_or_organization_count_only_at_home() {
    let unbound = Who { instance: "", ..DEMO };
    let (none, home, foreign) = ("", "demo", "other");
    let (system, iam) = ("system.feature.write", "iam.feature.write");
    let (org, user) = ("org.feature.write", "user.feature.write");
    let (s, i, o, u) = (Level::System, Level::Instance, Level::Organization, Level::User);
    #[rustfmt::skip]
    let table = [
        // token    roles                 permission level  names    outcome
        (DEMO,      "IAM_OWNER",          iam,       i,     none,    "demo"),
        (DEMO,      "IAM_OWNER",          iam,       i,     home,    "demo"),
        (DEMO,      "IAM_OWNER",          iam,       i,     foreign, "denied"),
        (DEMO,      "IAM_OWNER",          org,       o,     foreign, "denied"),
        (DEMO,      "IAM_OWNER",          user,      u,     foreign, "denied"),
        (DEMO,      "ORG_OWNER@acme",     org,       o,     home,    "demo/acme"),
        (DEMO,      "ORG_OWNER@acme",     org,       o,     foreign, "denied"),
        (DEMO,      "ORG_OWNER@acme",     user,      u,     home,    "demo/42"),
        (DEMO,      "ORG_OWNER@acme",     user,      u,     foreign, "denied"),
        (DEMO,      "SYSTEM_OWNER",       iam,       i,     none,    "demo"),
        (DEMO,      "SYSTEM_OWNER",       iam,       i,     foreign, "denied"),
        (DEMO,      "SYSTEM_OWNER",       system,    s,     none,    "system"),
        (DEMO,      "SYSTEM_OWNER",       system,    s,     foreign, "system"),
        (unbound,   "SYSTEM_OWNER",       system,    s,     none,    "system"),
        (unbound,   "SYSTEM_OWNER",       iam,       i,     none,    "no instance"),
        (unbound,   "SYSTEM_OWNER",       iam,       i,     home,    "demo"),
        (unbound,   "SYSTEM_OWNER",       org,       o,     foreign, "other/acme"),
        (unbound,   "SYSTEM_OWNER",       user,      u,     foreign, "other/42"),
        (unbound,   "IAM_OWNER",          iam,       i,     none,    "denied"),
        (unbound,   "IAM_OWNER",          iam,       i,     home,    "denied"),
        (unbound,   "IAM_OWNER",          org,       o,     home,    "denied"),
        (unbound,   "IAM_OWNER",          user,      u,     home,    "denied"),
        (unbound,   "ORG_OWNER@acme",     org,       o,     home,    "denied"),
        (unbound,   "ORG_OWNER@acme",     user,      u,     home,    "denied"),
    ];
    for (who, roles, permission, level, named, expected) in table {
        let caller = call(Who { roles, ..who }, rule(permission, None, level), named);
        let scope = outcome(caller.and_then(|caller| resource(&caller, level)), |scope| match scope {
            Scope::System => "system".to_owned(),
            Scope::Instance(instance) => instance.to_string(),
            Scope::Organization(instance, id) => format!("{instance}/{id}"),
            Scope::User(instance, id) => format!("{instance}/{id}"),
            Scope::Definition(..) => panic!("no call of this API has the scope {scope:?}"),
        });
        assert_eq!(scope, expected, "{:?} with {roles} on {level:?}, naming {named:?}", who.instance);
    }
}

#[test]
fn roles_reach_no_wider_level_than_they_are_bound_to() {
    // Only configuration can make such roles: the built-in ones hold no such permission.
    let everything = ["system.feature.write", "iam.feature.write", "org.feature.write", "user.feature.write"];
    let role = |name: &str, bound_to| {
        let permissions = everything.iter().map(|permission| (*permission).to_owned()).collect();
        (name.to_owned(), RoleSettings { bound_to, permissions })
    };
    let roles = Roles::new(&BTreeMap::from([
        role("E", Bound::Everything),
        role("I", Bound::Instance),
        role("O", Bound::Organization),
    ]));
    let table = [
        // role  reaches system, instance, organization, user
        ("E", [true, true, true, true]),
        ("I", [false, true, true, true]),
        ("O", [false, false, true, true]),
    ];
    for (name, reaches) in table {
        let mut principal = Principal::clone(&DEMO.principal());
        let organization = Some(OrganizationId::new("acme").unwrap());
        let role = Arc::clone(roles.get(name).unwrap());
        principal.grants = vec![Grant { role, organization }];
        let principal = Arc::new(principal);
        for level in Level::ALL {
            let rule = Arc::new(rule(everything[level as usize], None, level));
            let caller = Caller::admit(Arc::clone(&principal), rule, &());
            let may = caller.and_then(|caller| resource(&caller, level)).is_ok();
            assert_eq!(may, reaches[level as usize], "{name} on {level:?}");
        }
    }
    let without_level = Rule::new(Some(everything[0].to_owned()), None, None);
    let may = |roles| without_level.may_suffice(&Who { roles, ..DEMO }.principal());
    assert!(may("SYSTEM_OWNER") && !may("IAM_OWNER"), "a method without a level is about more than one instance");
}

#[test]
fn members_read_their_organization_and_users_themselves_at_home_only() {
    let member = Who { organization: "acme", ..DEMO };
    let other = Who { organization: "other", ..DEMO };
    let itself = Who { user: "42", ..DEMO };
    let someone = Who { user: "43", ..DEMO };
    let unbound = |who: Who| Who { instance: "", ..who };
    let (org, user) = ("org.feature.read", "user.feature.read");
    let (o, u) = (Level::Organization, Level::User);
    let (members, self_) = (Some(Exemption::Member), Some(Exemption::SelfAccess));
    #[rustfmt::skip]
    let table = [
        // who                     permission level  exception  allowed
        (member,                   org,       o,     members,   true),
        (member,                   org,       o,     None,      false),
        (other,                    org,       o,     members,   false),
        (itself,                   org,       o,     members,   false),
        (unbound(member),          org,       o,     members,   false),
        (itself,                   user,      u,     self_,     true),
        (itself,                   user,      u,     None,      false),
        (someone,                  user,      u,     self_,     false),
        (member,                   user,      u,     self_,     false),
        (unbound(itself),          user,      u,     self_,     false),
    ];
    for (who, permission, level, exemption, allowed) in table {
        let caller = call(who, rule(permission, exemption, level), "demo");
        let may = caller.and_then(|caller| resource(&caller, level));
        assert_eq!(may.is_ok(), allowed, "{who:?} {permission} {exemption:?}: {may:?}");
    }
}

#[test]
fn ids_are_read_only_after_the_right() {
    let long = "x".repeat(201);
    #[rustfmt::skip]
    let table = [
        // roles            id                 of organization            of user
        ("IAM_OWNER",       "",                "bad organization_id",     "bad user_id"),
        ("IAM_OWNER",       "a\n",             "bad organization_id",     "bad user_id"),
        ("IAM_OWNER",       long.as_str(),     "bad organization_id",     "bad user_id"),
        ("IAM_OWNER",       "x",               "ok",                      "ok"),
        ("ORG_OWNER@acme",  "",                "denied",                  "bad user_id"),
        ("",                "",                "denied",                  "denied"),
        ("",                long.as_str(),     "denied",                  "denied"),
    ];
    for (roles, id, organization, user) in table {
        let who = Who { roles, organization: "acme", user: "42", ..DEMO };
        let rule_o = rule("org.feature.read", Some(Exemption::Member), Level::Organization);
        let actual = call(who, rule_o, "").and_then(|caller| caller.organization(id));
        assert_eq!(outcome(actual, |_| "ok".to_owned()), organization, "{roles} {id:?}");
        let rule_u = rule("user.feature.read", Some(Exemption::SelfAccess), Level::User);
        let actual = call(who, rule_u, "").and_then(|caller| caller.user(id));
        assert_eq!(outcome(actual, |_| "ok".to_owned()), user, "{roles} {id:?}");
    }
}

#[test]
fn denial_names_the_permission_and_what_is_lacking() {
    let unbound = Who { instance: "", ..DEMO };
    let (none, foreign) = ("", "other");
    let write = || rule("iam.feature.write", None, Level::Instance);
    let authenticated = || Rule::new(None, None, Some(Level::Instance));
    #[rustfmt::skip]
    let table = [
        // who                                    rule       names    permission           why holds
        (DEMO,                                    write(),   none,    "iam.feature.write", "no role of the token"),
        (Who { roles: "IAM_OWNER", ..unbound },   write(),   none,    "iam.feature.write", "get a token of an instance"),
        (Who { roles: "IAM_OWNER", ..DEMO },      write(),   foreign, "iam.feature.write", "another instance"),
        (DEMO,                                    authenticated(), foreign, "authenticated",     "another instance"),
    ];
    for (who, rule, named, expected, text) in table {
        match call(who, rule, named).unwrap_err() {
            AuthError::PermissionMissing { permission, why } => {
                assert_eq!(permission, expected);
                assert!(why.contains(text), "{why}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn instance_is_the_token_s_or_the_named_one_or_the_default() {
    let rule = Rule::new(None, None, Some(Level::Instance));
    #[rustfmt::skip]
    let table = [
        // token's  named    default   instance of the call
        ("",       "",       "",       "no instance"),
        ("",       "",       "usual",  "usual"),
        ("",       "other",  "usual",  "other"),
        ("own",    "",       "",       "own"),
        ("own",    "",       "usual",  "own"),
        ("own",    "own",    "usual",  "own"),
        ("own",    "OWN",    "",       "denied"),
        ("own",    "other",  "",       "denied"),
        ("own",    "a\n",    "",       "bad x-zitadel-instance-id"),
        ("",       "",       "a\n",    "bad default"),
        ("own",    "",       "a\n",    "own"),
    ];
    for (own, instance, default_instance, expected) in table {
        let principal = Who { instance: own, ..DEMO }.principal();
        let names = Names { instance, default_instance, ..Names::default() };
        let actual = outcome(instance_of_call(&principal, &rule, &names), |instance| instance.to_string());
        assert_eq!(actual, expected, "{own:?} {instance:?} {default_instance:?}");
    }
}

#[test]
fn methods_need_a_rule_unless_their_service_is_public() {
    let rule = Rule::new(Some("system.feature.read".to_owned()), None, Some(Level::System));
    let methods =
        [("/some.v1.Service/Get", Some(MethodRules::One(Arc::new(rule)))), ("/some.v1.Service/Forgotten", None)];
    let rules = AccessRules::new(methods.map(|(path, rule)| (path.to_owned(), rule)), ["grpc.health.v1.Health"]);
    let table = [
        // path                                  result
        ("/grpc.health.v1.Health/Check", "public"),
        ("/grpc.health.v1.Health/Watch", "public"),
        ("/some.v1.Service/Get", "by rule"),
        ("/some.v1.Service/Nothing", "unknown"),
        ("/some.v1.Service/get", "unknown"),
        ("/some.v1.Service/Get/", "unknown"),
        ("//some.v1.Service/Get", "unknown"),
        ("/grpc.health.v1.health/Check", "unknown"),
        ("/grpc.health.v1.Health", "unknown"),
        ("grpc.health.v1.Health/Check", "unknown"),
        ("/x/grpc.health.v1.Health/Check", "unknown"),
        ("/", "unknown"),
        ("", "unknown"),
        ("/some.v1.Service/Forgotten", "closed"),
    ];
    for (path, expected) in table {
        let actual = match rules.find(path) {
            Ok(None) => "public",
            Ok(Some(_)) => "by rule",
            Err(AuthError::MethodUnknown(named)) if named == path => "unknown",
            Err(AuthError::MethodWithoutAccess(named)) if named == path => "closed",
            Err(other) => panic!("{path}: {other}"),
        };
        assert_eq!(actual, expected, "{path}");
    }
}
