//! Role × binding × instance × organization × method: who may do what.

use feature_api::schema::{Access, Exception};
use http::{HeaderMap, Uri};

use super::*;
use crate::auth::testing::{Who, metadata, outcome, schema};

const DEMO: Who = Who { instance: "demo", organization: "", user: "", roles: "" };

fn rule(permission: &str, exception: Option<Exception>, level: Level) -> Rule {
    Rule::new(&Access::Permission { name: permission.to_owned(), exception }, Some(level))
}

fn call(who: Who, rule: Rule, headers: &HeaderMap) -> Result<Caller, Failure> {
    let uri = Uri::from_static("http://localhost/");
    Caller::admit(who.principal(), Arc::new(rule), &Instances::default(), CallParts { headers, uri: &uri })
}

/// The scope of the resource that the table rows are about: organization `acme`, user `42`.
fn resource(caller: &Caller, level: Level) -> Result<Scope, Failure> {
    match level {
        Level::System => caller.system(),
        Level::Instance => caller.instance(),
        Level::Organization => caller.organization("acme"),
        Level::User => caller.user("42").map(|access| access.scope),
    }
}

#[test]
fn every_role_may_call_the_methods_of_the_issue_and_no_others() {
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
                feature_api::schema::Operation::Get => 'r',
                feature_api::schema::Operation::Set => 'w',
                feature_api::schema::Operation::Reset => 'd',
            };
            let rule = Rule::new(method.access.as_ref().unwrap(), Some(level));
            let caller = call(Who { roles, ..DEMO }, rule, &HeaderMap::new());
            let may = caller.and_then(|caller| resource(&caller, level)).is_ok();
            assert_eq!(may, cells[level as usize].contains(letter), "{roles:?} calls {}", method.path);
        }
    }
}

#[test]
fn rights_bound_to_an_instance_or_organization_count_only_at_home() {
    let at = |instance: &str| metadata(&[&format!("x-zitadel-instance-id: {instance}")]);
    let none = HeaderMap::new();
    let unbound = Who { instance: "", ..DEMO };
    let (home, foreign) = (at("demo"), at("other"));
    let (system, iam) = ("system.feature.write", "iam.feature.write");
    let (org, user) = ("org.feature.write", "user.feature.write");
    let (s, i, o, u) = (Level::System, Level::Instance, Level::Organization, Level::User);
    #[rustfmt::skip]
    let table = [
        // token    roles                 permission level  metadata  outcome
        (DEMO,      "IAM_OWNER",          iam,       i,     &none,    "demo"),
        (DEMO,      "IAM_OWNER",          iam,       i,     &home,    "demo"),
        (DEMO,      "IAM_OWNER",          iam,       i,     &foreign, "denied"),
        (DEMO,      "IAM_OWNER",          org,       o,     &foreign, "denied"),
        (DEMO,      "IAM_OWNER",          user,      u,     &foreign, "denied"),
        (DEMO,      "ORG_OWNER@acme",     org,       o,     &home,    "demo/acme"),
        (DEMO,      "ORG_OWNER@acme",     org,       o,     &foreign, "denied"),
        (DEMO,      "ORG_OWNER@acme",     user,      u,     &home,    "demo/42"),
        (DEMO,      "ORG_OWNER@acme",     user,      u,     &foreign, "denied"),
        (DEMO,      "SYSTEM_OWNER",       iam,       i,     &none,    "demo"),
        (DEMO,      "SYSTEM_OWNER",       iam,       i,     &foreign, "denied"),
        (DEMO,      "SYSTEM_OWNER",       system,    s,     &none,    "system"),
        (DEMO,      "SYSTEM_OWNER",       system,    s,     &foreign, "system"),
        (unbound,   "SYSTEM_OWNER",       system,    s,     &none,    "system"),
        (unbound,   "SYSTEM_OWNER",       iam,       i,     &none,    "no instance"),
        (unbound,   "SYSTEM_OWNER",       iam,       i,     &home,    "demo"),
        (unbound,   "SYSTEM_OWNER",       org,       o,     &foreign, "other/acme"),
        (unbound,   "SYSTEM_OWNER",       user,      u,     &foreign, "other/42"),
        (unbound,   "IAM_OWNER",          iam,       i,     &none,    "denied"),
        (unbound,   "IAM_OWNER",          iam,       i,     &home,    "denied"),
        (unbound,   "IAM_OWNER",          org,       o,     &home,    "denied"),
        (unbound,   "IAM_OWNER",          user,      u,     &home,    "denied"),
        (unbound,   "ORG_OWNER@acme",     org,       o,     &home,    "denied"),
        (unbound,   "ORG_OWNER@acme",     user,      u,     &home,    "denied"),
    ];
    for (who, roles, permission, level, headers, expected) in table {
        let caller = call(Who { roles, ..who }, rule(permission, None, level), headers);
        let scope = outcome(caller.and_then(|caller| resource(&caller, level)), |scope| match scope {
            Scope::System => "system".to_owned(),
            Scope::Instance(instance) => instance.to_string(),
            Scope::Organization(instance, id) => format!("{instance}/{id}"),
            Scope::User(instance, id) => format!("{instance}/{id}"),
        });
        assert_eq!(scope, expected, "{:?} with {roles} on {level:?}, {headers:?}", who.instance);
    }
}

#[test]
fn a_role_does_not_reach_a_wider_level_than_it_is_bound_to() {
    // Only configuration can make such roles: the built-in ones hold no such permission.
    let everything = ["system.feature.write", "iam.feature.write", "org.feature.write", "user.feature.write"];
    let role = |name: &str, bound_to| {
        let permissions = everything.iter().map(|permission| (*permission).to_owned()).collect();
        (name.to_owned(), crate::config::settings::RoleSettings { bound_to, permissions })
    };
    use crate::config::settings::Bound;
    let roles = crate::auth::roles::Roles::new(&std::collections::BTreeMap::from([
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
        principal.grants = vec![crate::auth::authenticate::principal::Grant { role, organization }];
        let principal = Arc::new(principal);
        for level in Level::ALL {
            let rule = Arc::new(rule(everything[level as usize], None, level));
            let (headers, uri) = (HeaderMap::new(), Uri::from_static("/"));
            let parts = CallParts { headers: &headers, uri: &uri };
            let caller = Caller::admit(Arc::clone(&principal), rule, &Instances::default(), parts);
            let may = caller.and_then(|caller| resource(&caller, level)).is_ok();
            assert_eq!(may, reaches[level as usize], "{name} on {level:?}");
        }
    }
    let without_level = Rule::new(&Access::Permission { name: everything[0].to_owned(), exception: None }, None);
    let may = |roles| without_level.may_suffice(&Who { roles, ..DEMO }.principal());
    assert!(may("SYSTEM_OWNER") && !may("IAM_OWNER"), "a method without a level is about more than one instance");
}

#[test]
fn members_read_their_organization_and_users_themselves_at_home_only() {
    let member = Who { organization: "acme", ..DEMO };
    let other = Who { organization: "other", ..DEMO };
    let itself = Who { user: "42", ..DEMO };
    let someone = Who { user: "43", ..DEMO };
    let home = metadata(&["x-zitadel-instance-id: demo"]);
    let unbound = |who: Who| Who { instance: "", ..who };
    let (org, user) = ("org.feature.read", "user.feature.read");
    let (o, u) = (Level::Organization, Level::User);
    let (members, self_) = (Some(Exception::Member), Some(Exception::Itself));
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
    for (who, permission, level, exception, allowed) in table {
        let caller = call(who, rule(permission, exception, level), &home);
        let may = caller.and_then(|caller| resource(&caller, level));
        assert_eq!(may.is_ok(), allowed, "{who:?} {permission} {exception:?}: {may:?}");
    }
}

#[test]
fn an_id_is_looked_at_only_after_the_right() {
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
        let headers = HeaderMap::new();
        let rule_o = rule("org.feature.read", Some(Exception::Member), Level::Organization);
        let actual = call(who, rule_o, &headers).and_then(|caller| caller.organization(id));
        assert_eq!(outcome(actual, |_| "ok".to_owned()), organization, "{roles} {id:?}");
        let rule_u = rule("user.feature.read", Some(Exception::Itself), Level::User);
        let actual = call(who, rule_u, &headers).and_then(|caller| caller.user(id));
        assert_eq!(outcome(actual, |_| "ok".to_owned()), user, "{roles} {id:?}");
    }
}

#[test]
fn a_denial_names_the_permission_and_what_is_lacking() {
    let unbound = Who { instance: "", ..DEMO };
    let foreign = metadata(&["x-zitadel-instance-id: other"]);
    let none = HeaderMap::new();
    let write = || rule("iam.feature.write", None, Level::Instance);
    let anybody = || Rule::new(&Access::Authenticated, Some(Level::Instance));
    #[rustfmt::skip]
    let table = [
        // who                                    rule       metadata  permission           why holds
        (DEMO,                                    write(),   &none,    "iam.feature.write", "no role of the token"),
        (Who { roles: "IAM_OWNER", ..unbound },   write(),   &none,    "iam.feature.write", "get a token of an instance"),
        (Who { roles: "IAM_OWNER", ..DEMO },      write(),   &foreign, "iam.feature.write", "another instance"),
        (DEMO,                                    anybody(), &foreign, "authenticated",     "another instance"),
    ];
    for (who, rule, headers, expected, text) in table {
        match call(who, rule, headers).unwrap_err() {
            Failure::PermissionMissing { permission, why } => {
                assert_eq!(permission, expected);
                assert!(why.contains(text), "{why}");
            }
            other => panic!("{other}"),
        }
    }
}
