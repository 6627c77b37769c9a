//! One story in every protocol, with the same answers, codes and details.

pub mod teller;

use serde_json::{Value as Json, json};
use tonic::Code;

use crate::support::harness::Server;
use teller::{Protocol, Teller};

/// The callers: the options of their tokens, or no token.
const CALLERS: [Option<&str>; 4] = [
    None,
    Some("--role SYSTEM_OWNER"),
    Some("--role IAM_OWNER --instance demo"),
    Some("--role ORG_OWNER --instance demo --organization acme"),
];
const ANONYMOUS: usize = 0;
const SYSTEM: usize = 1;
const OWNER: usize = 2;
const ACME: usize = 3;

/// The story: caller, method, request. It contains every method, and every code that a caller can cause.
fn story() -> Vec<(usize, &'static str, Json)> {
    let uri = json!({"required": true, "baseUri": "https://login.example.com"});
    vec![
        (SYSTEM, "GetSystemFeatures", json!({})),
        (
            SYSTEM,
            "SetSystemFeatures",
            json!({"actions": true, "improvedPerformance": ["IMPROVED_PERFORMANCE_PROJECT"]}),
        ),
        (OWNER, "GetInstanceFeatures", json!({})),
        (OWNER, "GetInstanceFeatures", json!({"inheritance": true})),
        (OWNER, "SetInstanceFeatures", json!({"webKey": false, "loginV2": uri})),
        (OWNER, "SetInstanceFeatures", json!({"updateMask": "loginV2.baseUri"})),
        (OWNER, "GetInstanceFeatures", json!({})),
        (ACME, "SetOrganizationFeatures", json!({"organizationId": "acme", "userSchema": true})),
        (ACME, "SetOrganizationFeatures", json!({"organizationId": "a/b c", "userSchema": true})),
        (OWNER, "SetOrganizationFeatures", json!({"organizationId": "a/b c%2Fü", "userSchema": true})),
        (OWNER, "GetOrganizationFeatures", json!({"organizationId": "a/b c%2Fü"})),
        (OWNER, "GetOrganizationFeatures", json!({"organizationId": "acme", "inheritance": true})),
        (ACME, "SetUserFeatures", json!({"userId": "ann", "actions": false})),
        (ACME, "GetUserFeatures", json!({"userId": "ann", "inheritance": true})),
        (ACME, "GetUserFeatures", json!({"userId": "ann"})),
        (OWNER, "SetUserFeatures", json!({"userId": "ann", "actions": true, "expectedSequence": "7"})),
        (
            OWNER,
            "SetUserFeatures",
            json!({"userId": "ann", "actions": true, "expectedSequence": "1", "validateOnly": true}),
        ),
        (OWNER, "SetUserFeatures", json!({"userId": "ann"})),
        (OWNER, "SetUserFeatures", json!({"userId": "ann", "updateMask": ""})),
        (OWNER, "SetUserFeatures", json!({"userId": "ann", "userSchema": true, "updateMask": ""})),
        (OWNER, "GetUserFeatures", json!({"userId": "ann"})),
        (
            OWNER,
            "SetUserFeatures",
            json!({"userId": "ann", "loginV2": {"baseUri": "nowhere"}, "improvedPerformance": [0]}),
        ),
        (OWNER, "SetUserFeatures", json!({"userId": "x".repeat(201), "actions": true})),
        (ANONYMOUS, "SetUserFeatures", json!({"userId": "ann", "actions": true})),
        (ANONYMOUS, "GetSystemFeatures", json!({})),
        (ACME, "ResetInstanceFeatures", json!({})),
        (SYSTEM, "ResetInstanceFeatures", json!({})),
        (OWNER, "ResetUserFeatures", json!({"userId": "ann"})),
        (OWNER, "ResetOrganizationFeatures", json!({"organizationId": "acme"})),
        (OWNER, "ResetInstanceFeatures", json!({})),
        (SYSTEM, "ResetSystemFeatures", json!({})),
        (SYSTEM, "GetSystemFeatures", json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_tells_the_same_story() {
    let mut told: Vec<(Protocol, Vec<Json>)> = Vec::new();
    for protocol in Protocol::ALL {
        let server = Server::new();
        let teller = Teller::new(&server);
        let tokens = CALLERS.map(|caller| caller.map(|options| server.token(options)));
        let mut outcomes = Vec::new();
        for (caller, method, request) in story() {
            let mut outcome = teller.tell(protocol, method, &request, tokens[caller].as_deref()).await;
            forget_times(&mut outcome);
            outcomes.push(json!({"step": format!("{method} {request}"), "outcome": outcome}));
        }
        told.push((protocol, outcomes));
        server.stop();
    }
    let (_, by_grpc) = &told[0];
    let mut codes: Vec<i64> = by_grpc.iter().filter_map(|step| step["outcome"]["code"].as_i64()).collect();
    codes.sort_unstable();
    codes.dedup();
    let expected = [Code::InvalidArgument, Code::NotFound, Code::PermissionDenied, Code::FailedPrecondition];
    for code in expected.into_iter().chain([Code::Aborted, Code::Unauthenticated]) {
        assert!(codes.contains(&(code as i64)), "the story lacks {code:?}: {codes:?}");
    }
    for (protocol, outcomes) in &told[1..] {
        for (by_grpc, outcome) in by_grpc.iter().zip(outcomes) {
            assert_eq!(outcome, by_grpc, "{protocol:?}");
        }
    }
}

/// Removes times and request ids, which differ from call to call.
fn forget_times(outcome: &mut Json) {
    match outcome {
        Json::Object(fields) => {
            for name in ["changeDate", "creationDate", "requestId"] {
                if fields.remove(name).is_some() {
                    fields.insert(name.to_owned(), json!("some"));
                }
            }
            fields.values_mut().for_each(forget_times);
        }
        Json::Array(elements) => elements.iter_mut().for_each(forget_times),
        _ => {}
    }
}
