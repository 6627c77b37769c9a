//! The organization that counts if a user is written or read.

use std::sync::Arc;

use feature_core::{Level, Record};

use super::*;
use crate::access::{Exemption, Rule};
use crate::testing::{Names, Who, outcome};

/// The caller's right on user `42` of instance `demo`.
///
/// * `who`: roles; `itself` in front of them makes the caller that user.
/// * `claim`: the organization in the caller's token, if any.
/// * `named`: the organization in the metadata, if any.
fn access(who: &'static str, claim: &'static str, named: &str) -> Result<UserAccess, AuthError> {
    let user = if who.contains("itself") { "42" } else { "" };
    let who = Who { instance: "demo", organization: claim, user, roles: who.trim_start_matches("itself") };
    let rule = Rule::new(Some("user.feature.read".to_owned()), Some(Exemption::SelfAccess), Some(Level::User));
    let names = Names { organization: named, ..Names::default() };
    Caller::admit(who.principal(), Arc::new(rule), &names)?.user("42")
}

#[test]
fn write_places_the_user_where_the_caller_may() {
    const ASK: &str = "bad x-zitadel-orgid";
    #[rustfmt::skip]
    let table = [
        // who                            claim  metadata  placement
        ("IAM_OWNER",                     "",    "",       "Keep"),
        ("IAM_OWNER",                     "a",   "",       "Initial(a)"),
        ("IAM_OWNER",                     "",    "b",      "Move(b)"),
        ("IAM_OWNER",                     "a",   "b",      "Move(b)"),
        ("IAM_OWNER",                     "a",   "a",      "Move(a)"),
        ("SYSTEM_OWNER ORG_OWNER@a",      "a",   "b",      "Move(b)"),
        ("ORG_OWNER@a",                   "a",   "",       "Within(a)"),
        ("ORG_OWNER@a",                   "a",   "a",      "Within(a)"),
        ("ORG_OWNER@a",                   "a",   "b",      "denied"),
        ("ORG_OWNER@a",                   "",    "",       "Within(a)"),
        ("ORG_OWNER@a",                   "b",   "",       "Within(a)"),
        ("ORG_OWNER@a",                   "b",   "b",      "denied"),
        ("ORG_OWNER@a ORG_OWNER@b",       "",    "",       ASK),
        ("ORG_OWNER@a ORG_OWNER@b",       "c",   "",       ASK),
        ("ORG_OWNER@a ORG_OWNER@b",       "c",   "c",      "denied"),
        ("ORG_OWNER@a ORG_OWNER@b",       "b",   "",       "Within(b)"),
        ("ORG_OWNER@a ORG_OWNER@b",       "b",   "a",      "Within(a)"),
        ("ORG_OWNER@a ORG_USER_MANAGER@a", "",   "",       "Within(a)"),
        ("ORG_OWNER@a ORG_SETTINGS_MANAGER@b", "", "",     "Within(a)"),
        ("ORG_OWNER@a ORG_SETTINGS_MANAGER@b", "", "b",    "denied"),
        ("ORG_OWNER",                     "a",   "",       "denied"),
        ("",                              "a",   "",       "denied"),
        ("itself",                        "",    "",       "Keep"),
        ("itself",                        "a",   "",       "Initial(a)"),
        ("itself",                        "a",   "a",      "Initial(a)"),
        ("itself",                        "a",   "b",      "denied"),
        ("itself",                        "",    "b",      "denied"),
        ("itself ORG_OWNER@b",            "a",   "",       "Within(b)"),
    ];
    for (who, claim, named, expected) in table {
        let actual =
            outcome(access(who, claim, named).and_then(|access| access.placement()), |placement| match placement {
                Placement::Keep => "Keep".to_owned(),
                Placement::Initial(id) => format!("Initial({id})"),
                Placement::Move(id) => format!("Move({id})"),
                Placement::Within(id) => format!("Within({id})"),
            });
        assert_eq!(actual, expected, "{who:?} of {claim:?} names {named:?}");
    }
}

#[test]
fn read_goes_through_an_organization_that_the_caller_may_see() {
    const ASK: &str = "bad x-zitadel-orgid";
    #[rustfmt::skip]
    let table = [
        // who                       claim  metadata  recorded  through
        ("IAM_OWNER",                "",    "",       "",       "-"),
        ("IAM_OWNER",                "",    "",       "r",      "r"),
        ("IAM_OWNER",                "a",   "",       "",       "a"),
        ("IAM_OWNER",                "a",   "",       "r",      "a"),
        ("IAM_OWNER",                "a",   "b",      "r",      "b"),
        ("IAM_LOGIN_CLIENT",         "",    "b",      "r",      "b"),
        ("ORG_OWNER@a",              "a",   "",       "",       "a"),
        ("ORG_OWNER@a",              "a",   "",       "a",      "a"),
        ("ORG_OWNER@a",              "a",   "",       "r",      "denied"),
        ("ORG_OWNER@a",              "a",   "a",      "r",      "denied"),
        ("ORG_OWNER@a",              "a",   "r",      "r",      "denied"),
        ("ORG_OWNER@a",              "",    "",       "",       "a"),
        ("ORG_OWNER@a",              "b",   "",       "a",      "a"),
        ("ORG_OWNER@a",              "b",   "",       "b",      "denied"),
        ("ORG_OWNER@a",              "b",   "b",      "b",      "denied"),
        ("ORG_OWNER@a ORG_OWNER@b",  "",    "",       "",       ASK),
        ("ORG_OWNER@a ORG_OWNER@b",  "",    "",       "b",      "b"),
        ("ORG_OWNER@a ORG_OWNER@b",  "",    "",       "r",      "denied"),
        ("ORG_OWNER@a ORG_OWNER@b",  "",    "b",      "",       "b"),
        ("ORG_OWNER@a ORG_OWNER@b",  "a",   "",       "b",      "denied"),
        ("ORG_OWNER@a ORG_OWNER@b",  "a",   "b",      "b",      "b"),
        ("ORG_SETTINGS_MANAGER@a",   "a",   "",       "a",      "denied"),
        ("itself",                   "",    "",       "",       "-"),
        ("itself",                   "",    "",       "r",      "r"),
        ("itself",                   "",    "r",      "r",      "r"),
        ("itself",                   "",    "b",      "r",      "denied"),
        ("itself",                   "",    "b",      "",       "denied"),
        ("itself",                   "a",   "",       "",       "a"),
        ("itself",                   "a",   "",       "a",      "a"),
        ("itself",                   "a",   "a",      "",       "a"),
        ("itself",                   "a",   "",       "r",      "a"),
        ("itself",                   "a",   "a",      "r",      "a"),
        ("itself",                   "a",   "r",      "r",      "denied"),
        ("itself",                   "a",   "b",      "",       "denied"),
        ("itself ORG_OWNER@b",       "a",   "",       "",       "a"),
        ("itself ORG_OWNER@b",       "a",   "b",      "",       "b"),
        ("itself ORG_OWNER@b",       "a",   "b",      "b",      "b"),
        ("itself ORG_OWNER@b",       "a",   "b",      "a",      "denied"),
        ("itself ORG_OWNER@b",       "a",   "c",      "c",      "denied"),
        ("itself IAM_OWNER",         "a",   "c",      "",       "c"),
    ];
    for (who, claim, named, recorded, expected) in table {
        let recorded = (!recorded.is_empty()).then(|| OrganizationId::new(recorded).unwrap());
        let through = access(who, claim, named).and_then(|access| access.reads_through(recorded.as_ref()));
        let actual = outcome(through, |id| id.map_or("-".to_owned(), |id| id.to_string()));
        assert_eq!(actual, expected, "{who:?} of {claim:?} names {named:?}, recorded {recorded:?}");
    }
}

#[test]
fn owner_in_an_answer_is_the_recorded_one_only_for_a_right_on_the_instance() {
    #[rustfmt::skip]
    let table = [
        // who                       claim  metadata  recorded  owner
        ("IAM_OWNER",                "a",   "",       "r",      "r"),
        ("IAM_OWNER",                "a",   "b",      "r",      "r"),
        ("IAM_OWNER",                "a",   "",       "",       "a"),
        ("IAM_OWNER",                "",    "",       "",       "demo"),
        ("itself IAM_OWNER",         "a",   "",       "r",      "r"),
        ("ORG_OWNER@a",              "",    "",       "a",      "a"),
        ("ORG_OWNER@a",              "",    "",       "",       "a"),
        ("itself",                   "a",   "",       "r",      "a"),
        ("itself",                   "a",   "a",      "r",      "a"),
        ("itself",                   "a",   "",       "a",      "a"),
        ("itself",                   "a",   "",       "",       "a"),
        ("itself",                   "",    "",       "r",      "r"),
        ("itself",                   "",    "",       "",       "demo"),
        ("itself ORG_OWNER@b",       "a",   "",       "r",      "a"),
        ("itself ORG_OWNER@b",       "a",   "b",      "b",      "b"),
    ];
    for (who, claim, named, recorded, expected) in table {
        let organization = (!recorded.is_empty()).then(|| OrganizationId::new(recorded).unwrap());
        let record = Record { organization, ..Record::default() };
        let access = access(who, claim, named).unwrap();
        let through = access.reads_through(record.organization.as_ref()).unwrap();
        let details = record.details(&access.scope, through.as_ref()).owned_by(access.owner(through.as_ref()));
        assert_eq!(details.resource_owner, expected, "{who:?} of {claim:?} names {named:?}, recorded {recorded:?}");
    }
}

#[test]
fn malformed_organization_is_refused_by_name() {
    let long = "x".repeat(201);
    let failure = access("IAM_OWNER", "", &long);
    assert_eq!(outcome(failure, |_| String::new()), "bad x-zitadel-orgid");
}
