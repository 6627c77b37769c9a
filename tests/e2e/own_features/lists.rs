//! Lists of scopes and of overrides, and the search for features.

use std::collections::BTreeSet;

use serde_json::json;
use tonic::Code::{InvalidArgument, NotFound, PermissionDenied};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};

/// The scopes or the overrides of a page, as `SETTINGS` or `SETTINGS=VALUE`, without `instances/demo/`.
fn items(page: &Json) -> Vec<String> {
    let (scopes, overrides) = (page["scopes"].as_array(), page["overrides"].as_array());
    let item = |item: &Json| {
        let name = item["settings"]
            .as_str()
            .expect("an item has a name")
            .trim_start_matches("instances/demo/")
            .trim_end_matches("/settings");
        if item["value"].is_null() { name.to_owned() } else { format!("{name}={}", item["value"]) }
    };
    scopes.or(overrides).into_iter().flatten().map(item).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_who_sets_a_feature_and_how() {
    let server = Server::new();
    let system = server.token("--role SYSTEM_OWNER --instance demo");
    let call: &[&str] = &[&system];
    let raw = Raw::new(&server).await;
    let seats = json!({"valueType": "VALUE_TYPE_INTEGER", "defaultValue": 1, "variants": {"many": 9}});
    raw.call(CREATE, define("Seats", seats), call).await.unwrap();
    raw.call(CREATE, define("ui", boolean()), call).await.unwrap();
    let writes = [
        ("system/settings", json!({"actions": true})),
        ("instances/demo/settings", json!({"Seats": 3, "actions": false})),
        ("instances/demo/organizations/acme/settings", json!({"Seats": 9})),
        ("instances/demo/users/ann/settings", json!({"Seats": 4, "ui": true})),
        ("instances/demo/users/bob/settings", json!({"Seats": 9, "actions": true})),
        ("instances/demo/users/cem/settings", json!({"ui": false})),
        ("instances/other/users/ann/settings", json!({"actions": true})),
    ];
    let of_all = server.token("--role SYSTEM_OWNER");
    for (name, set) in writes {
        raw.call(UPDATE, json!({"name": name, "set": set}), &[&of_all]).await.unwrap();
    }
    raw.call(RESET, json!({"name": "instances/demo/users/cem/settings"}), call).await.unwrap();
    let demo = "instances/demo";
    #[rustfmt::skip]
    let table = [
        // method, parent, filter, items
        (SCOPES, demo, "", "settings organizations/acme users/ann users/bob"),
        (SCOPES, "instances/current", "level = LEVEL_USER", "users/ann users/bob"),
        (SCOPES, demo, "sets:ui", "users/ann"),
        (SCOPES, demo, "sets:Seats AND NOT sets:actions", "organizations/acme users/ann"),
        (SCOPES, demo, "sets:ui OR sets:actions", "settings users/ann users/bob"),
        (SCOPES, demo, "level != LEVEL_USER", "settings organizations/acme"),
        (SCOPES, demo, "sets:nothing", ""),
        (SCOPES, "", "sets:actions", "system settings users/bob instances/other/users/ann"),
        (OVERRIDES, "instances/demo/features/seats", "", "settings=3.0 organizations/acme=9.0 users/ann=4.0 users/bob=9.0"),
        (OVERRIDES, "instances/demo/features/Seats", "variant = many", "organizations/acme=9.0 users/bob=9.0"),
        (OVERRIDES, "instances/demo/features/Seats", "value = 4", "users/ann=4.0"),
        (OVERRIDES, "instances/demo/features/Seats", "level = LEVEL_USER AND counts = true", "users/ann=4.0 users/bob=9.0"),
        (OVERRIDES, "instances/demo/features/actions", "", "settings=false users/bob=true"),
        (OVERRIDES, "features/actions", "value = true", "system=true users/bob=true instances/other/users/ann=true"),
        (OVERRIDES, "instances/other/features/actions", "", "instances/other/users/ann=true"),
    ];
    for (method, parent, filter, expected) in table {
        let request = json!({"parent": parent, "filter": filter});
        let metadata: &[&str] =
            if parent.ends_with("current") { &[&of_all, "x-zitadel-instance-id = demo"] } else { &[&of_all] };
        let page = raw.call(method, request, metadata).await;
        let found = page.map(|page| items(&page)).unwrap_or_else(|refused| vec![format!("{refused:?}")]);
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(found, expected, "{method} {parent} {filter}");
    }
    let scopes = raw.call(SCOPES, json!({"parent": demo, "filter": "level = LEVEL_USER"}), call).await.unwrap();
    assert_eq!(
        scopes["scopes"][1],
        json!({"settings": "instances/demo/users/bob/settings", "level": "LEVEL_USER",
            "features": ["Seats", "actions"], "featureCount": 2})
    );
    // A level that may not set the feature any more is listed, and does not count.
    let levels = json!({"name": "instances/demo/features/Seats", "levels": ["LEVEL_INSTANCE"]});
    raw.call(UPDATE_DEFINITION, json!({"featureDefinition": levels}), call).await.unwrap();
    let request = json!({"parent": "instances/demo/features/Seats", "filter": "counts = false"});
    let left = raw.call(OVERRIDES, request, call).await.unwrap();
    assert_eq!(items(&left), ["organizations/acme=9.0", "users/ann=4.0", "users/bob=9.0"]);
    let refused = [
        (
            SCOPES,
            json!({"parent": demo, "filter": "level = x"}),
            refusal(InvalidArgument, "FIELD_INVALID", &["filter"]),
        ),
        (SCOPES, json!({"parent": "demo"}), refusal(InvalidArgument, "FIELD_INVALID", &["parent"])),
        (SCOPES, json!({"parent": demo, "pageSize": -1}), refusal(InvalidArgument, "FIELD_INVALID", &["page_size"])),
        (SCOPES, json!({"parent": demo, "pageToken": "x"}), refusal(InvalidArgument, "FIELD_INVALID", &["page_token"])),
        (OVERRIDES, json!({"parent": demo}), refusal(InvalidArgument, "FIELD_INVALID", &["parent"])),
        (OVERRIDES, json!({"parent": "instances/demo/features/gone"}), refusal(NotFound, "FEATURE_UNKNOWN", &[])),
    ];
    for (method, request, expected) in refused {
        assert_eq!(raw.call(method, request.clone(), call).await.unwrap_err(), expected, "{method} {request}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_show_the_moment_of_the_first_whatever_is_written_between_them() {
    let mut server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let mut raw = Raw::new(&server).await;
    raw.call(CREATE, define("x", boolean()), iam).await.unwrap();
    let user = |number: usize| -> String { format!("users/u{number:03}") };
    for hundred in [0, 100] {
        let update = |number| change(&user(hundred + number), json!({"set": {"x": true}}));
        let requests: Vec<_> = (0..100_usize).map(update).collect();
        raw.call(BATCH_UPDATE, json!({"requests": requests}), iam).await.unwrap();
    }
    let list = json!({"parent": "instances/demo/features/x", "pageSize": 30});
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let mut request = list.clone();
        request["pageToken"] = token.into();
        let page = raw.call(OVERRIDES, request, iam).await.unwrap();
        found.extend(items(&page));
        pages += 1;
        if pages == 1 {
            // One that was shown, one that comes, a changed one, a new one, and all of them again at the end.
            raw.call(UPDATE, change(&user(3), json!({"unset": ["x"]})), iam).await.unwrap();
            raw.call(UPDATE, change(&user(150), json!({"unset": ["x"]})), iam).await.unwrap();
            raw.call(UPDATE, change(&user(160), json!({"set": {"x": false}})), iam).await.unwrap();
            raw.call(UPDATE, change("users/u1234", json!({"set": {"x": true}})), iam).await.unwrap();
            raw.call(RESET, json!({"name": settings(&user(170))}), iam).await.unwrap();
        }
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, 7);
    assert_eq!(found, (0..200).map(|number| format!("{}=true", user(number))).collect::<Vec<_>>());
    // The same list from the beginning shows what was written, also after a kill.
    for _ in 0..2 {
        let mut request = list.clone();
        request["pageSize"] = 1_000.into();
        let page = raw.call(OVERRIDES, request, iam).await.unwrap();
        let found: BTreeSet<_> = items(&page).into_iter().collect();
        assert_eq!(found.len(), 200 - 3 + 1);
        assert!(found.contains("users/u160=false") && found.contains("users/u1234=true"), "{found:?}");
        server = server.kill().serve();
        raw = Raw::new(&server).await;
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_need_a_role_that_reads_every_scope_in_question() {
    let server = Server::new();
    let raw = Raw::new(&server).await;
    #[rustfmt::skip]
    let table = [
        // credential                                              instance: all, organizations, users | system: all,
        //                                                         only the system's own level
        ("--instance demo",                                        [false, false, false, false, false]),
        ("--instance demo --organization acme --user ann",         [false, false, false, false, false]),
        ("--role ORG_OWNER --instance demo --organization acme",   [false, false, false, false, false]),
        ("--role IAM_USER_MANAGER --instance demo",                [false, false, true,  false, false]),
        ("--role IAM_OWNER_VIEWER --instance demo",                [true,  true,  true,  false, false]),
        ("--role IAM_OWNER --instance other",                      [false, false, false, false, false]),
        ("--role SYSTEM_OWNER_VIEWER --instance demo",             [true,  true,  true,  false, true]),
        ("--role SYSTEM_OWNER_VIEWER",                             [true,  true,  true,  true,  true]),
    ];
    let (of_demo, of_all) = ("instances/demo", "");
    let lists = [
        (of_demo, ""),
        (of_demo, "level = LEVEL_ORGANIZATION"),
        (of_demo, "sets:actions AND level = LEVEL_USER"),
        (of_all, ""),
        (of_all, "level = LEVEL_SYSTEM"),
    ];
    let ann = server.token("--instance demo --organization acme --user ann");
    for feature in ["actions", "secret"] {
        // The answer does not say whether there is such a feature.
        let request = json!({"parent": format!("instances/demo/features/{feature}"), "filter": "level = LEVEL_SYSTEM"});
        let refused = raw.call(OVERRIDES, request, &[&ann]).await.unwrap_err();
        assert_eq!(refused.code, PermissionDenied);
    }
    for (credential, expected) in table {
        let token = server.token(credential);
        for ((parent, filter), expected) in lists.into_iter().zip(expected) {
            let listed = raw.call(SCOPES, json!({"parent": parent, "filter": filter}), &[&token]).await;
            let refused = listed.as_ref().err().is_some_and(|refused| refused.code == PermissionDenied);
            assert_eq!((listed.is_ok(), refused), (expected, !expected), "{credential}: {parent:?} {filter:?}");
            let feature = if parent.is_empty() { "features/actions" } else { "instances/demo/features/actions" };
            let filter = filter.trim_start_matches("sets:actions AND ");
            let listed = raw.call(OVERRIDES, json!({"parent": feature, "filter": filter}), &[&token]).await;
            assert_eq!(listed.is_ok(), expected, "{credential}: {feature:?} {filter:?}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_features_by_words_and_shows_the_better_ones_first() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let iam: &[&str] = &[&owner];
    let raw = Raw::new(&server).await;
    let mut named = boolean();
    named["displayName"] = "Cart in the header".into();
    let mut described = boolean();
    (described["description"], described["owner"]) = ("Shows the cart beside the address".into(), "Payments".into());
    for (key, definition) in
        [("a.header", named), ("b.address", described), ("Cart.v2", boolean()), ("cart.v3", boolean())]
    {
        raw.call(CREATE, define(key, definition), iam).await.unwrap();
    }
    raw.call(&state("Archive"), json!({"name": "instances/demo/features/cart.v3"}), iam).await.unwrap();
    let search = async |query: &str, page_size: i32, page_token: &str| {
        let request =
            json!({"parent": "instances/demo", "query": query, "pageSize": page_size, "pageToken": page_token});
        let page = raw.call(SEARCH, request, iam).await.unwrap();
        let found = page["featureDefinitions"].as_array().into_iter().flatten();
        let keys: Vec<_> =
            found.map(|it| it["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect();
        (keys.join(" "), page["nextPageToken"].as_str().unwrap_or_default().to_owned())
    };
    let table = [
        // query, keys
        ("cart", "Cart.v2 a.header b.address"),
        ("CART.V2", "Cart.v2"),
        ("cart header", "a.header"),
        ("payments cart", "b.address"),
        ("login_", "login_default_org login_v2"),
        ("nothing like this", ""),
    ];
    for (query, expected) in table {
        assert_eq!(search(query, 0, "").await.0, expected, "{query}");
    }
    let (first, next) = search("cart", 2, "").await;
    let (last, end) = search("cart", 2, &next).await;
    assert_eq!((&first[..], &last[..], &end[..]), ("Cart.v2 a.header", "b.address", ""));
    assert_eq!(search("", 1_000, "").await.0.split(' ').count(), 3 + 16);
    server.stop();
}
