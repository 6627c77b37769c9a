//! Streams of the values of some features: by keys, by what keys begin with, and by labels.

use serde_json::{Value as Json, json};
use tonic::Code::InvalidArgument;

use super::values::shown;
use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};

/// Defines a feature of the instance `demo`, or of the system.
async fn define(raw: &Raw, parent: &str, key: &str, labels: Json, token: &str) {
    let definition = json!({"valueType": "VALUE_TYPE_BOOLEAN", "defaultValue": true, "labels": labels});
    let request = json!({"parent": parent, "featureDefinitionId": key, "featureDefinition": definition});
    raw.call("DefinitionService/CreateFeatureDefinition", request, &[token]).await.expect("the feature is defined");
}

/// Gives the definition with this name other labels.
async fn label(raw: &Raw, name: &str, labels: Json, token: &str) {
    let request = json!({"featureDefinition": {"name": name, "labels": labels}, "updateMask": "labels"});
    raw.call("DefinitionService/UpdateFeatureDefinition", request, &[token]).await.expect("the labels change");
}

fn watch(features: &[&str], labels: &Json) -> Json {
    json!({"names": ["instances/demo/settings"], "features": features, "labels": labels})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_features_that_its_keys_and_labels_choose() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let web = json!({"team": "web"});
    define(&raw, "instances/demo", "Checkout.New", web.clone(), &owner).await;
    define(&raw, "instances/demo", "checkout.old", json!({"team": "web", "tier": "gold"}), &owner).await;
    define(&raw, "instances/demo", "checkouts", json!({}), &owner).await;
    define(&raw, "instances/other", "checkout.other", web.clone(), &owner).await;
    define(&raw, "", "search.fast", json!({"team": "search", "tier": ""}), &owner).await;
    label(&raw, "features/actions", json!({"team": "search"}), &owner).await;
    let none = json!({});
    let table: [(&[&str], Json, &[&str]); 15] = [
        // features, labels, keys of the values
        (&["checkout.*"], none.clone(), &["Checkout.New", "checkout.old"]),
        (&["CHECKOUT*"], none.clone(), &["Checkout.New", "checkout.old", "checkouts"]),
        (&["checkout.old*"], none.clone(), &["checkout.old"]),
        (&["checkout.*", "actions", "checkout.NEW"], none.clone(), &["Checkout.New", "actions", "checkout.old"]),
        (&["login_*", "search.*"], none.clone(), &["login_default_org", "login_v2", "search.fast"]),
        (&["nothing.*"], none.clone(), &[]),
        (&[], web.clone(), &["Checkout.New", "checkout.old"]),
        (&["*"], web.clone(), &["Checkout.New", "checkout.old"]),
        (&[], json!({"team": "web", "tier": "gold"}), &["checkout.old"]),
        (&[], json!({"team": "search"}), &["actions", "search.fast"]),
        (&[], json!({"tier": ""}), &["search.fast"]),
        (&[], json!({"team": "Web"}), &[]),
        (&[], json!({"Team": "web"}), &[]),
        (&["search.*"], web.clone(), &[]),
        (&["checkout.new*", "checkouts", "search.fast"], web.clone(), &["Checkout.New"]),
    ];
    for (features, labels, expected) in table {
        let mut stream = raw.stream(VALUES, watch(features, &labels), &[&owner]).await.unwrap();
        let values = shown(&stream.next().await.unwrap(), "snapshot");
        let keys = values.iter().filter_map(|value| value.strip_prefix("instances/demo ")?.split_once('='));
        let mut keys: Vec<_> = keys.map(|(key, _)| key).collect();
        keys.sort_unstable();
        assert_eq!(keys, expected, "{features:?} {labels}");
    }
    let everything = raw.stream(VALUES, watch(&["*"], &none), &[&owner]).await.unwrap().next().await.unwrap();
    let unfiltered = raw.stream(VALUES, watch(&[], &none), &[&owner]).await.unwrap().next().await.unwrap();
    assert_eq!(everything["snapshot"], unfiltered["snapshot"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_comes_and_goes_with_the_labels_of_its_definition() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let web = json!({"team": "web"});
    define(&raw, "instances/demo", "checkout.a", web.clone(), &owner).await;
    define(&raw, "instances/demo", "other", json!({}), &owner).await;
    let mut stream = raw.stream(VALUES, watch(&["checkout.*", "actions"], &web), &[&owner]).await.unwrap();
    let first = stream.next().await.unwrap();
    assert_eq!(shown(&first, "snapshot"), ["instances/demo checkout.a=true@DEFAULT"]);
    define(&raw, "instances/demo", "checkout.b", json!({}), &owner).await;
    let (a, b) = ("instances/demo/features/checkout.a", "instances/demo/features/checkout.b");
    let table: [(&str, Json, &str); 8] = [
        // definition, its new labels, what the next message shows; nothing where there is none
        ("instances/demo/features/other", web.clone(), ""),
        (b, json!({"team": "mobile"}), ""),
        (b, web.clone(), "checkout.b=true@DEFAULT"),
        (a, json!({"team": "web", "tier": "gold"}), ""),
        (a, json!({"tier": "gold"}), "-checkout.a"),
        ("features/actions", web.clone(), "actions=false@DEFAULT"),
        (b, json!({}), "-checkout.b"),
        ("features/actions", json!({}), "-actions"),
    ];
    for (name, labels, expected) in table {
        label(&raw, name, labels.clone(), &owner).await;
        if !expected.is_empty() {
            let delta = told(&mut stream).await;
            assert_eq!(shown(&delta, "delta"), [format!("instances/demo {expected}")], "{name} {labels}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_filter_is_refused_by_its_field() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let many: Vec<_> = (0..101).map(|number| format!("f{number}*")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let (long, none) = ("x".repeat(65), json!({}));
    let labels = |count: usize| (0..count).map(|number| (format!("l{number}"), json!("x"))).collect::<Json>();
    let table: [(&[&str], Json, &str); 8] = [
        // features, labels, the field
        (&["a*b"], none.clone(), "features[0]"),
        (&["actions", "*a"], none.clone(), "features[1]"),
        (&["a**"], none.clone(), "features[0]"),
        (&["1*"], none.clone(), "features[0]"),
        (&many, none.clone(), "features"),
        (&[], json!({"no name": "x"}), "labels"),
        (&[], json!({"team": long}), "labels.team"),
        (&[], labels(65), "labels"),
    ];
    for (features, labels, field) in table {
        let refused = raw.stream(VALUES, watch(features, &labels), &[&owner]).await.err();
        assert_eq!(refused, Some(refusal(InvalidArgument, "FIELD_INVALID", &[field])), "{features:?} {labels}");
    }
    let most = watch(&many[..100], &labels(64));
    let first = raw.stream(VALUES, most, &[&owner]).await.unwrap().next().await.unwrap();
    assert!(shown(&first, "snapshot").is_empty(), "{first}");
    // A token is of one filter.
    let mut other = watch(&many[..100], &labels(63));
    other["resumeToken"] = first["resumeToken"].clone();
    let refused = raw.stream(VALUES, other, &[&owner]).await.err();
    assert_eq!(refused, Some(refusal(InvalidArgument, "FIELD_INVALID", &["resume_token"])));
    server.stop();
}
