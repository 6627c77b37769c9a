//! The forms of claims with roles, and their grants.

use serde_json::json;

use crate::authenticate::issuer::*;

/// The grants as `ROLE@organization`, then the unreadable claims.
fn read(claims: &str) -> String {
    let claims = Claims::parse(claims.as_bytes()).unwrap();
    let organization = OrganizationId::new("own").unwrap();
    let mut unreadable = Vec::new();
    let roles = Roles::new(&BTreeMap::new());
    let grants = grants(&claims, "groups", Some(&organization), &roles, |claim| unreadable.push(format!("!{claim}")));
    let grants = grants.iter().map(|Grant { role, organization }| {
        format!("{}@{}", role.name, organization.as_ref().map_or("", OrganizationId::as_str))
    });
    grants.chain(unreadable).collect::<Vec<_>>().join(" ")
}

#[test]
fn list_of_roles_is_read_in_each_documented_form() {
    let guid = "8b2d0a53-6c3e-4f7a-9f0e-1d2c3b4a5f60";
    let unreadable = "!groups";
    #[rustfmt::skip]
    let table = [
        // claim                                                                       grants
        (json!(null),                                                                  ""),
        (json!([]),                                                                    ""),
        (json!("IAM_OWNER"),                                                           "IAM_OWNER@own"),
        (json!("gardener"),                                                            ""),
        (json!("IAM_OWNER ORG_OWNER"),                                                 ""),
        (json!(["IAM_OWNER", "gardener", "ORG_OWNER"]),                                "IAM_OWNER@own ORG_OWNER@own"),
        (json!(["ORG_OWNER", "IAM_OWNER", "ORG_OWNER"]),                               "ORG_OWNER@own IAM_OWNER@own"),
        (json!([{"name": "IAM_OWNER"}]),                                               "IAM_OWNER@own"),
        (json!([{"id": guid, "name": "IAM_OWNER", "description": ""}]),                "IAM_OWNER@own"),
        (json!([{"value": "IAM_OWNER", "display": "Owner", "primary": true}]),         "IAM_OWNER@own"),
        (json!([{"id": guid, "value": "IAM_OWNER", "displayName": "ORG_OWNER"}]),      "IAM_OWNER@own"),
        (json!([{"value": "IAM_OWNER", "name": "ORG_OWNER"}]),                         "IAM_OWNER@own"),
        (json!([{"value": "gardener", "name": "ORG_OWNER"}]),                          ""),
        (json!(["ORG_OWNER", {"name": "IAM_OWNER"}]),                                  "ORG_OWNER@own IAM_OWNER@own"),
        (json!([{"value": null, "name": "IAM_OWNER"}]),                                "IAM_OWNER@own"),
        (json!([{"value": 7, "name": "IAM_OWNER"}]),                                   unreadable),
        (json!([{"display": "IAM_OWNER"}]),                                            unreadable),
        (json!([{"id": "IAM_OWNER"}]),                                                 unreadable),
        (json!(["IAM_OWNER", 7]),                                                      unreadable),
        (json!([["IAM_OWNER"]]),                                                       unreadable),
        (json!({"IAM_OWNER": true}),                                                   unreadable),
        (json!({"name": "IAM_OWNER"}),                                                 unreadable),
        (json!(true),                                                                  unreadable),
    ];
    for (claim, expected) in table {
        assert_eq!(read(&json!({"groups": claim}).to_string()), expected, "{claim}");
        assert_eq!(read(&json!({"roles": claim}).to_string()), "", "another claim grants nothing");
    }
}

#[test]
fn project_roles_are_granted_in_the_organizations_that_they_name() {
    let unreadable = format!("!{PROJECT_ROLES_CLAIM}");
    #[rustfmt::skip]
    let table = [
        // claim                                                                  grants
        (json!(null),                                                             ""),
        (json!({}),                                                               ""),
        (json!({"ORG_OWNER": {"a": "a.example", "b": null}}),                     "ORG_OWNER@a ORG_OWNER@b"),
        (json!({"ORG_OWNER": {"own": ""}}),                                       "ORG_OWNER@own"),
        (json!({"ORG_OWNER": {}}),                                                ""),
        (json!({"gardener": {"": ""}}),                                           ""),
        (json!({"gardener": "a"}),                                                unreadable.as_str()),
        (json!({"ORG_OWNER": {"": ""}}),                                          unreadable.as_str()),
        (json!({"ORG_OWNER": {"a": ""}, "IAM_OWNER": "b"}),                       unreadable.as_str()),
        (json!({"ORG_OWNER": ["a"]}),                                             unreadable.as_str()),
        (json!(["ORG_OWNER"]),                                                    unreadable.as_str()),
        (json!("ORG_OWNER"),                                                      unreadable.as_str()),
    ];
    for (claim, expected) in table {
        assert_eq!(read(&json!({PROJECT_ROLES_CLAIM: claim}).to_string()), expected, "{claim}");
    }
}

#[test]
fn claims_are_read_independently_and_equal_grants_merge() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let table = [
        // (claims, grants)
        (
            json!({"groups": "ORG_OWNER", PROJECT_ROLES_CLAIM: {"ORG_OWNER": {"own": "", "a": ""}}}).to_string(),
            "ORG_OWNER@own ORG_OWNER@a",
        ),
        (json!({"groups": vec!["ORG_OWNER"; 480]}).to_string(), "ORG_OWNER@own"),
        (json!({"groups": 7, PROJECT_ROLES_CLAIM: {"ORG_OWNER": {"a": ""}}}).to_string(), "ORG_OWNER@a !groups"),
        (r#"{"groups": "ORG_OWNER", "groups": "IAM_OWNER"}"#.to_owned(), "!groups"),
        (format!(r#"{{"groups": {deep}}}"#), "!groups"),
    ];
    for (claims, expected) in table {
        assert_eq!(read(&claims), expected, "{claims}");
    }
}
