//! Values of built-in features as JSON, and their definitions.

use prost_types::ListValue;

use super::*;

fn feature(key: &str) -> BuiltIn {
    let schema = Schema::new(crate::descriptor_pool()).unwrap();
    BuiltIn::all(&schema).into_iter().find(|feature| feature.key().as_str() == key).unwrap()
}

fn object(fields: &[(&str, JsonValue)]) -> JsonValue {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    JsonValue { kind: Some(JsonKind::StructValue(Struct { fields })) }
}

fn list(texts: &[&str]) -> JsonValue {
    let values = texts.iter().map(|element| text(element)).collect();
    JsonValue { kind: Some(JsonKind::ListValue(ListValue { values })) }
}

#[test]
fn values_are_stored_as_the_feature_service_stores_them() {
    let message = |parts: &[(&str, Value)]| {
        Value::Message(parts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    };
    let uri = "https://login.example.com/ui";
    let table = [
        // (feature, JSON, stored, answered)
        ("user_schema", JsonValue::from(true), Value::Flag(true), JsonValue::from(true)),
        (
            "improved_performance",
            list(&["IMPROVED_PERFORMANCE_PROJECT", "IMPROVED_PERFORMANCE_ORG_BY_ID"]),
            Value::Numbers(vec![3, 1]),
            list(&["IMPROVED_PERFORMANCE_PROJECT", "IMPROVED_PERFORMANCE_ORG_BY_ID"]),
        ),
        ("login_v2", object(&[]), message(&[]), object(&[("required", JsonValue::from(false))])),
        (
            "login_v2",
            object(&[("required", JsonValue::from(false)), ("base_uri", text(uri))]),
            message(&[("base_uri", Value::Text(uri.to_owned()))]),
            object(&[("required", JsonValue::from(false)), ("base_uri", text(uri))]),
        ),
    ];
    for (key, json, stored, answered) in table {
        let feature = feature(key);
        assert_eq!(feature.read(&json, "set"), Ok(stored.clone()), "{key}");
        assert_eq!(feature.answer(&stored), answered, "{key}");
    }
}

#[test]
fn a_value_that_the_feature_service_refuses_is_refused() {
    let table = [
        // (feature, JSON, what is said)
        ("user_schema", text("true"), "set.x: must be true or false"),
        ("improved_performance", list(&[]), "set.x: must have an element"),
        ("improved_performance", list(&["FAST"]), "set.x[0]: must be a value of zitadel.feature.v2.ImprovedPerf"),
        (
            "improved_performance",
            list(&["IMPROVED_PERFORMANCE_PROJECT", "IMPROVED_PERFORMANCE_PROJECT"]),
            "set.x[1]: IMPROVED_PERFORMANCE_PROJECT is there already",
        ),
        ("login_v2", object(&[("other", text(""))]), "set.x.other: login_v2 has no such part"),
        ("login_v2", object(&[("required", text("yes"))]), "set.x.required: must be true or false"),
        ("login_v2", object(&[("base_uri", text("login"))]), "set.x.base_uri: must be an absolute URI"),
    ];
    for (key, json, says) in table {
        let error = feature(key).read(&json, "set.x").unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn built_in_features_are_described_by_their_descriptors() {
    let schema = Schema::new(crate::descriptor_pool()).unwrap();
    let features = BuiltIn::all(&schema);
    assert_eq!(features.len(), 16);
    for feature in &features {
        let message = feature.message();
        assert!(message.description.len() > 20 && message.builtin && message.permanent, "{}", feature.key());
        assert_eq!(message.levels.len(), feature.definition.levels.len());
    }
    assert_eq!(feature("web_key").definition.levels.len(), 3, "the system does not have it");
    let allowed = feature("improved_performance").message().constraints.unwrap().allowed_values;
    assert_eq!(allowed.len(), 5);
    let schema = feature("login_v2").message().constraints.unwrap().json_schema.unwrap();
    assert!(schema.fields.contains_key("properties"));
}
