//! The routes of what is served.

use super::support::check;
use crate::descriptors;
use crate::transcoding::rest::Routes;

#[test]
fn leads_to_the_methods_of_the_contract() {
    let routes = Routes::new(&descriptors::pool()).unwrap();
    check(
        &routes,
        &[
            // call, body, outcome
            ("PUT /v2/features/system", r#"{"actions":true}"#, r#"SetSystemFeatures {"actions":true}"#),
            ("DELETE /v2/features/system", "", "ResetSystemFeatures {}"),
            ("GET /v2/features/system", "", "GetSystemFeatures {}"),
            ("PUT /v2/features/instance", r#"{"updateMask":"*"}"#, r#"SetInstanceFeatures {"updateMask":"*"}"#),
            ("DELETE /v2/features/instance", "", "ResetInstanceFeatures {}"),
            ("GET /v2/features/instance?inheritance=true", "", r#"GetInstanceFeatures {"inheritance":true}"#),
            (
                "PUT /v2/features/organization/o1",
                r#"{"login_v2":{"required":true}}"#,
                r#"SetOrganizationFeatures {"organizationId":"o1","loginV2":{"required":true}}"#,
            ),
            ("DELETE /v2/features/organization/o1", "", r#"ResetOrganizationFeatures {"organizationId":"o1"}"#),
            (
                "GET /v2/features/organization/o1?inheritance=true",
                "",
                r#"GetOrganizationFeatures {"organizationId":"o1","inheritance":true}"#,
            ),
            ("PUT /v2/features/user/u%2F1", r#"{"userId":"u/1"}"#, r#"SetUserFeatures {"userId":"u/1"}"#),
            ("DELETE /v2/features/user/u1", "", r#"ResetUserFeatures {"userId":"u1"}"#),
            ("GET /v2/features/user/u:1", "", r#"GetUserFeatures {"userId":"u:1"}"#),
            ("POST /v2/features/system", "", "405 DELETE GET PUT"),
            ("HEAD /v2/features/user/u1", "", "405 DELETE GET PUT"),
            ("GET /v2/features", "", "404"),
            ("GET /v2/features/user", "", "404"),
            ("GET /v2/features/user/", "", "404"),
            ("GET /v2/features/system/", "", "404"),
            ("GET /zitadel.feature.v2.FeatureService/GetSystemFeatures", "", "404"),
            ("GET /v2/features/user/u1?userId=u2", "", "! userId: is a part of the path"),
            ("GET /v2/features/user/u1?inheritance=yes", "", "! inheritance: must be true or false"),
            ("GET /v2/features/system?inheritance=true", "", "! inheritance: is unknown"),
            ("PUT /v2/features/system?actions=true", "", "! actions: belongs into the body"),
            (
                "PUT /v2/features/user/u1",
                r#"{"userId":"u2"}"#,
                "! userId: has another value in the body than in the path",
            ),
        ],
    );
    let mut paths: Vec<&str> = routes.iter().map(|route| route.grpc_path().as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 12, "{paths:?}");
    assert!(paths.contains(&"/zitadel.feature.v2.FeatureService/GetUserFeatures"));
}
