//! Rights on resources that a request names: by level, and by the instance in the name.

use super::*;
use crate::access::Exemption;
use crate::testing::{Names, Who, outcome};

const DEMO: Who = Who { instance: "demo", organization: "", user: "", roles: "" };

/// The rules of a method that writes features.
fn writing() -> LevelRules {
    let resource = ["system.feature", "iam.feature", "org.feature", "user.feature"];
    LevelRules::new(|level| Rule::new(Some(format!("{}.write", resource[level as usize])), None, Some(level)))
}

fn instance(caller: &Caller) -> String {
    caller.instance.as_ref().map_or("none".to_owned(), |instance| instance.to_string())
}

#[test]
fn the_instance_is_the_one_that_the_name_has_or_that_of_the_call() {
    let unbound = Who { instance: "", ..DEMO };
    let (none, home, foreign) = ("", "demo", "other");
    let (s, i, o) = (Level::System, Level::Instance, Level::Organization);
    #[rustfmt::skip]
    let table = [
        // token   roles             metadata level name     outcome
        (DEMO,     "IAM_OWNER",      none,    i,    none,    "demo"),
        (DEMO,     "IAM_OWNER",      none,    i,    home,    "demo"),
        (DEMO,     "IAM_OWNER",      none,    i,    foreign, "denied"),
        (DEMO,     "IAM_OWNER",      home,    i,    home,    "demo"),
        (DEMO,     "IAM_OWNER",      none,    s,    none,    "denied"),
        (DEMO,     "ORG_OWNER@acme", none,    o,    home,    "demo"),
        (DEMO,     "ORG_OWNER@acme", none,    i,    home,    "denied"),
        (DEMO,     "SYSTEM_OWNER",   none,    i,    foreign, "denied"),
        (DEMO,     "SYSTEM_OWNER",   none,    s,    none,    "none"),
        (unbound,  "SYSTEM_OWNER",   none,    i,    none,    "no instance"),
        (unbound,  "SYSTEM_OWNER",   none,    i,    foreign, "other"),
        (unbound,  "SYSTEM_OWNER",   home,    i,    none,    "demo"),
        (unbound,  "SYSTEM_OWNER",   home,    i,    home,    "demo"),
        (unbound,  "SYSTEM_OWNER",   home,    i,    foreign, "bad x-zitadel-instance-id"),
        (unbound,  "SYSTEM_OWNER",   home,    s,    none,    "none"),
        (unbound,  "IAM_OWNER",      none,    i,    home,    "denied"),
    ];
    for (token, roles, metadata, level, name, expected) in table {
        let names = Names { instance: metadata, ..Names::default() };
        let caller = NamedCaller::admit(Who { roles, ..token }.principal(), Arc::new(writing()), &names);
        let named = InstanceId::new(name).ok();
        let at = caller.and_then(|caller| caller.at(level, named.as_ref()));
        let case = (roles, metadata, level, name);
        assert_eq!(outcome(at, |caller| instance(&caller)), expected, "{case:?}");
    }
}

#[test]
fn a_caller_without_a_right_on_any_level_is_not_admitted() {
    let admitted = |roles: &'static str| {
        let principal = Who { roles, ..DEMO }.principal();
        NamedCaller::admit(principal, Arc::new(writing()), &Names::default()).is_ok()
    };
    assert!(admitted("ORG_OWNER@acme") && admitted("IAM_USER_MANAGER"));
    assert!(!admitted("") && !admitted("IAM_OWNER_VIEWER") && !admitted("ORG_OWNER"));
}

#[test]
fn definitions_are_read_by_every_role_of_the_instance_and_written_by_those_of_its_level() {
    let rules = |action: &str, exemption| {
        LevelRules::new(|level| Rule::new(Some(format!("feature.definition.{action}")), exemption, Some(level)))
    };
    let may = |roles: &'static str, rules: LevelRules, level: Level, named: &str| {
        let principal = Who { roles, ..DEMO }.principal();
        let named = InstanceId::new(named).ok();
        let caller = NamedCaller::admit(principal, Arc::new(rules), &Names::default());
        caller.and_then(|caller| caller.at(level, named.as_ref())).and_then(|caller| match level {
            Level::System => caller.system(),
            _ => caller.instance(),
        })
    };
    #[rustfmt::skip]
    let table = [
        // roles             reads: system, own and another instance | writes: system, own instance
        ("",                 [false, false, false],                    [false, false]),
        ("SYSTEM_OWNER",     [true,  true,  false],                    [true,  true]),
        ("IAM_OWNER",        [true,  true,  false],                    [false, true]),
        ("IAM_LOGIN_CLIENT", [true,  true,  false],                    [false, false]),
        ("ORG_OWNER@acme",   [true,  true,  false],                    [false, false]),
        ("ORG_OWNER",        [false, false, false],                    [false, false]),
    ];
    for (roles, reads, writes) in table {
        let places = [(Level::System, ""), (Level::Instance, "demo"), (Level::Instance, "other")];
        for ((level, named), expected) in places.into_iter().zip(reads) {
            let reading = rules("read", Some(Exemption::Anywhere));
            assert_eq!(may(roles, reading, level, named).is_ok(), expected, "{roles} reads {level:?} {named}");
        }
        for ((level, named), expected) in places.into_iter().zip(writes) {
            assert_eq!(may(roles, rules("write", None), level, named).is_ok(), expected, "{roles} writes {level:?}");
        }
    }
}

#[test]
fn a_role_reads_more_than_a_user_a_member_or_any_caller() {
    let of_level = |level| LevelRules::new(move |_| Rule::new(None, None, Some(level)));
    let acme = OrganizationId::new("acme").unwrap();
    #[rustfmt::skip]
    let table = [
        // roles             system, instance, organization acme, another organization
        ("",                 [false, false, false, false]),
        ("SYSTEM_OWNER",     [true,  true,  true,  true]),
        ("IAM_OWNER",        [false, true,  true,  true]),
        ("IAM_USER_MANAGER", [false, false, false, false]),
        ("ORG_OWNER@acme",   [false, false, true,  false]),
    ];
    for (roles, expected) in table {
        let principal = Who { roles, ..DEMO }.principal();
        let demo = InstanceId::new("demo").unwrap();
        let other = OrganizationId::new("other").unwrap();
        let scopes = [
            (Scope::System, None),
            (Scope::Instance(demo.clone()), None),
            (Scope::Organization(demo.clone(), acme.clone()), Some(&acme)),
            (Scope::Organization(demo, other.clone()), Some(&other)),
        ];
        for ((scope, organization), expected) in scopes.into_iter().zip(expected) {
            let level = scope.level();
            let caller = NamedCaller::admit(principal.clone(), Arc::new(of_level(level)), &Names::default()).unwrap();
            let caller = caller.at(level, None).unwrap();
            assert_eq!(caller.reads_by_role(&scope, organization), expected, "{roles} {scope:?}");
        }
    }
}
