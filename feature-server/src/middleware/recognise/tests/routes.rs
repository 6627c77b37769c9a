//! The routes of this server.

use grpc_transcoding::rest::Routes;
use grpc_transcoding::{Error, json};
use http::Method;

use crate::services::descriptors;

/// The result of `VERB /path?query` as a line: `Method {request}`, `! field: violation; …`, `405 VERBS` or `404`.
fn call(routes: &Routes, call: &str, body: &str) -> String {
    let (verb, target) = call.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = match routes.find(&Method::from_bytes(verb.as_bytes()).unwrap(), path) {
        Ok(call) => call,
        Err(Error::VerbNotAllowed(allow)) => {
            return format!("405 {}", allow.iter().map(Method::as_str).collect::<Vec<_>>().join(" "));
        }
        Err(error) => return error.http_status().as_u16().to_string(),
    };
    match call.request(query, body.as_bytes()) {
        Ok(message) => format!("{} {}", call.route.method.name(), String::from_utf8(json::encode(&message)).unwrap()),
        Err(violations) => {
            let lines = violations.iter().map(|v| format!("{}: {}", v.field, v.description));
            format!("! {}", lines.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Checks the results of calls `(VERB /path?query, body, result)`. A violation may be given by its beginning.
fn check(routes: &Routes, table: &[(&str, &str, &str)]) {
    for (line, body, expected) in table {
        let outcome = call(routes, line, body);
        let fits = if expected.starts_with('!') { outcome.starts_with(expected) } else { outcome == *expected };
        assert!(fits, "{line} {body}\n is: {outcome}\n not: {expected}");
    }
}

#[test]
fn routes_lead_to_the_methods_of_the_contract() {
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
    let mut paths: Vec<&str> = routes.iter().map(|route| route.grpc_path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 12 + 26, "{paths:?}");
    assert!(paths.contains(&"/zitadel.feature.v2.FeatureService/GetUserFeatures"));
}
