//! Fragments of the OpenAPI document of this server.

use std::collections::BTreeSet;

use grpc_transcoding::openapi::document;
use serde_json::{Value, json};

const PATH: &str = "/v2/features/user/{user_id}";

fn ours() -> Value {
    document(&crate::services::descriptors::pool(), &crate::pages::API)
}

fn schema(name: &str) -> Value {
    ours()["components"]["schemas"][name].take()
}

#[test]
fn every_method_with_a_rule_is_there_once() {
    let document = ours();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, verbs)| {
        verbs.as_object().unwrap().iter().map(move |(verb, operation)| (format!("{verb} {path}"), operation))
    });
    let operations: Vec<_> = operations.collect();
    // Methods of own features have several paths each.
    assert_eq!(operations.len(), 12 + 64);
    let ids: BTreeSet<_> = operations.iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    assert!(operations.iter().any(|(name, operation)| {
        name == "put /v2/features/system" && operation["operationId"] == "FeatureService_SetSystemFeatures"
    }));
}

#[test]
fn a_get_takes_its_fields_from_the_path_and_the_query() {
    let get = ours()["paths"][PATH]["get"].take();
    assert_eq!(get["summary"], "Reads the features of a user.");
    assert_eq!(
        get["parameters"],
        json!([
            {
                "name": "user_id", "in": "path", "required": true, "description": "The user: 1 to 200 characters.",
                "schema": {"type": "string", "minLength": 1},
            },
            {
                "name": "inheritance", "in": "query", "schema": {"type": "boolean", "default": false},
                "description": "Also answer what is inherited, so that every feature is there. Without it only the \
                    features that this\nlevel has set itself are, and none at all is an error: NOT_FOUND.",
            },
            {"$ref": "#/components/parameters/x-zitadel-instance-id"},
            {"$ref": "#/components/parameters/x-zitadel-orgid"},
        ])
    );
    assert!(get.get("requestBody").is_none());
    assert_eq!(
        get["responses"],
        json!({
            "200": {
                "description": "The features of one user, each with the level that set it. \
                    Inherits from the organization, the instance and the system.",
                "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/zitadel.feature.v2.GetUserFeaturesResponse"},
                }},
            },
            "default": {"$ref": "#/components/responses/Error"},
        })
    );
}

#[test]
fn a_put_takes_the_rest_from_its_body() {
    let document = ours();
    let put = &document["paths"][PATH]["put"];
    let body = &put["requestBody"];
    assert_eq!(body["required"], true);
    let body = &body["content"]["application/json"]["schema"];
    assert_eq!(body["additionalProperties"], false);
    let properties = &body["properties"];
    assert_eq!(properties["userId"], Value::Null, "it is in the path");
    assert_eq!(properties["actions"]["type"], "boolean");
    assert_eq!(properties["updateMask"]["format"], "field-mask");
    assert_eq!(properties["expectedSequence"]["pattern"], "^(0|[1-9][0-9]{0,19})$");
    assert_eq!(properties["loginV2"]["$ref"], "#/components/schemas/zitadel.feature.v2.LoginV2");
    assert_eq!(put["parameters"].as_array().unwrap().len(), 3, "the path's and the headers, no query");
    let system = &document["paths"]["/v2/features/system"]["put"]["requestBody"]["content"]["application/json"];
    assert_eq!(system["schema"]["$ref"], "#/components/schemas/zitadel.feature.v2.SetSystemFeaturesRequest");
}

#[test]
fn messages_of_requests_are_closed_and_follow_the_rules_of_their_texts() {
    assert_eq!(
        schema("zitadel.feature.v2.LoginV2"),
        json!({
            "type": "object",
            "title": "LoginV2",
            "description": "Which login pages users get, as a level sets it.",
            "additionalProperties": false,
            "properties": {
                "required": {
                    "type": "boolean",
                    "default": false,
                    "description": "All users get the new login pages.",
                },
                "baseUri": {
                    "type": "string",
                    "format": "uri",
                    "maxLength": 2048,
                    "description": "Where the new login pages are; the built-in ones when absent. An absolute http \
                        or https URI without user\ninformation, of at most 2,048 characters.",
                },
            },
        })
    );
}

#[test]
fn messages_of_answers_are_open() {
    let details = schema("zitadel.object.v2.Details");
    assert_eq!(details.get("additionalProperties"), None);
    assert_eq!(details["properties"]["sequence"]["type"], "string");
    assert_eq!(details["properties"]["changeDate"]["format"], "date-time");
    let source = schema("zitadel.feature.v2.Source");
    assert_eq!(source["enum"][1], "SOURCE_SYSTEM");
    let description = source["description"].as_str().unwrap();
    assert!(description.starts_with("The level that a value comes from.\n\n- `SOURCE_UNSPECIFIED`: No level"));
}

#[test]
fn an_error_is_a_status_whose_details_tell_their_type() {
    let status = schema("google.rpc.Status");
    assert_eq!(
        status["properties"]["details"]["items"]["oneOf"][1],
        json!({
            "$ref": "#/components/schemas/google.rpc.BadRequest",
            "properties": {"@type": {"const": "type.googleapis.com/google.rpc.BadRequest"}},
            "required": ["@type"],
        })
    );
    let violation = schema("google.rpc.BadRequest.FieldViolation");
    assert_eq!(violation["properties"]["field"]["type"], "string");
}

#[test]
fn every_error_detail_that_is_announced_is_described() {
    let details = schema("google.rpc.Status")["properties"]["details"]["items"]["oneOf"].take();
    assert_eq!(details.as_array().unwrap().len(), crate::pages::API.error_details.len());
}

#[test]
fn everything_that_is_referred_to_is_there() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(members) => members.iter().for_each(|member| references(member, found)),
            _ => {}
        }
    }
    let document = ours();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
    }
}

#[test]
fn the_same_pool_gives_the_same_document() {
    assert_eq!(ours().to_string(), ours().to_string());
}
