//! Set requests from the wire: what they ask for, and what they are refused for.

#![allow(clippy::unwrap_used)]

use feature_api::request::{Request, RequestError};
use feature_api::schema::Schema;
use feature_api::zitadel::feature::v2::{
    ImprovedPerformance, LoginV2, SetSystemFeaturesRequest, SetUserFeatureRequest,
};
use feature_core::{Layer, Level, Value};
use prost_reflect::prost::Message;
use prost_types::FieldMask;

fn schema() -> Schema {
    Schema::new(feature_api::descriptor_pool()).unwrap()
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| path.to_string()).collect() })
}

fn request(schema: &Schema, message: &SetSystemFeaturesRequest) -> Request {
    let descriptor = schema.pool().get_message_by_name("zitadel.feature.v2.SetSystemFeaturesRequest").unwrap();
    Request::decode(&descriptor, &message.encode_to_vec()).unwrap()
}

/// What the request sets in an empty system level, as the debug text of each value.
fn set_by(message: SetSystemFeaturesRequest) -> Result<Vec<(String, Value)>, RequestError> {
    let schema = schema();
    let patch = request(&schema, &message).patch(schema.level(Level::System))?;
    let changes = patch.changes_to(&Layer::default());
    Ok(changes.into_iter().map(|change| (change.key.to_string(), change.new.unwrap())).collect())
}

#[test]
fn presence_is_exact() {
    let login = |required, base_uri: Option<&str>| LoginV2 { required, base_uri: base_uri.map(str::to_owned) };
    let parts = |parts: &[(&str, Value)]| {
        Value::Message(parts.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
    };
    let base = SetSystemFeaturesRequest::default;
    let table = [
        // (request, what it sets)
        (SetSystemFeaturesRequest { actions: Some(false), ..base() }, vec![("actions", Value::Flag(false))]),
        (
            SetSystemFeaturesRequest { improved_performance: vec![3, 1], ..base() },
            vec![("improved_performance", Value::Numbers(vec![3, 1]))],
        ),
        (SetSystemFeaturesRequest { login_v2: Some(login(false, None)), ..base() }, vec![("login_v2", parts(&[]))]),
        (
            SetSystemFeaturesRequest { login_v2: Some(login(true, Some("https://a.example"))), ..base() },
            vec![(
                "login_v2",
                parts(&[("required", Value::Flag(true)), ("base_uri", Value::Text("https://a.example".into()))]),
            )],
        ),
        (
            // A mask without paths is none.
            SetSystemFeaturesRequest { actions: Some(true), update_mask: mask(&[]), ..base() },
            vec![("actions", Value::Flag(true))],
        ),
        (
            SetSystemFeaturesRequest {
                login_v2: Some(login(true, Some("https://a.example"))),
                update_mask: mask(&[]),
                ..base()
            },
            vec![(
                "login_v2",
                parts(&[("required", Value::Flag(true)), ("base_uri", Value::Text("https://a.example".into()))]),
            )],
        ),
        (
            // What the mask leaves out is not even checked.
            SetSystemFeaturesRequest {
                actions: Some(true),
                improved_performance: vec![0, 99],
                login_v2: Some(login(true, Some("not a uri"))),
                update_mask: mask(&["actions", "login_v2.required"]),
                ..base()
            },
            vec![("actions", Value::Flag(true)), ("login_v2", parts(&[("required", Value::Flag(true))]))],
        ),
    ];
    for (message, expected) in table {
        let expected: Vec<_> = expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(set_by(message.clone()).unwrap(), expected, "{message:?}");
    }
}

#[test]
fn bad_fields_are_named() {
    let base = SetSystemFeaturesRequest::default;
    let org_by_id = ImprovedPerformance::OrgById as i32;
    let uri = |uri: &str| Some(LoginV2 { required: false, base_uri: Some(uri.to_owned()) });
    let long = format!("https://a.example/{}", "x".repeat(2048 - 18));
    assert_eq!(long.len(), 2048);
    let table = [
        // (request, the fields that are named)
        (SetSystemFeaturesRequest { improved_performance: vec![0], ..base() }, vec!["improved_performance[0]"]),
        (
            SetSystemFeaturesRequest { improved_performance: vec![1, 6, -1], ..base() },
            vec!["improved_performance[1]", "improved_performance[2]"],
        ),
        (
            SetSystemFeaturesRequest { improved_performance: vec![org_by_id, 2, org_by_id], ..base() },
            vec!["improved_performance[2]"],
        ),
        (SetSystemFeaturesRequest { login_v2: uri("ftp://a.example"), ..base() }, vec!["login_v2.base_uri"]),
        (SetSystemFeaturesRequest { login_v2: uri(""), ..base() }, vec!["login_v2.base_uri"]),
        (SetSystemFeaturesRequest { login_v2: uri(&format!("{long}x")), ..base() }, vec!["login_v2.base_uri"]),
        (SetSystemFeaturesRequest { login_v2: uri(&long), ..base() }, vec![]),
        (
            SetSystemFeaturesRequest { actions: Some(true), update_mask: mask(&["actions", "web_key"]), ..base() },
            vec!["update_mask.paths[1]"],
        ),
        (
            SetSystemFeaturesRequest {
                improved_performance: vec![7],
                login_v2: uri("x"),
                update_mask: mask(&["*", "y"]),
                ..base()
            },
            vec!["improved_performance[0]", "login_v2.base_uri", "update_mask.paths[1]"],
        ),
    ];
    for (message, expected) in table {
        let named = match set_by(message.clone()) {
            Ok(_) => vec![],
            Err(RequestError::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            Err(other) => panic!("{message:?}: {other:?}"),
        };
        assert_eq!(named, expected, "{message:?}");
    }
}

#[test]
fn an_answer_names_a_few_violations_and_repeats_little_of_the_request() {
    let base = SetSystemFeaturesRequest::default;
    let many: Vec<String> = (0..256).map(|path| format!("x{path}")).collect();
    let paths = |paths: &[String]| Some(FieldMask { paths: paths.to_vec() });
    let table = [
        // (request, how many fields are named, the last of them)
        (SetSystemFeaturesRequest { improved_performance: vec![0; 6], ..base() }, 6, "improved_performance[5]"),
        (SetSystemFeaturesRequest { update_mask: paths(&many), ..base() }, 10, "update_mask.paths[9]"),
        (SetSystemFeaturesRequest { update_mask: mask(&[&"ü".repeat(100_000)]), ..base() }, 1, "update_mask.paths[0]"),
    ];
    for (message, count, last) in table {
        let Err(RequestError::Invalid(violations)) = set_by(message) else { panic!("{last} is accepted") };
        assert_eq!((violations.len(), violations.last().unwrap().field.as_str()), (count, last));
        assert!(violations.iter().all(|violation| violation.description.len() < 200), "{last}");
    }
    let features = SetSystemFeaturesRequest { update_mask: mask(&["*"; 256]), actions: Some(true), ..base() };
    assert_eq!(set_by(features).unwrap().len(), 1);
}

#[test]
fn a_set_without_a_feature_names_no_changes() {
    for update_mask in [None, mask(&[])] {
        let message = SetSystemFeaturesRequest { update_mask, ..SetSystemFeaturesRequest::default() };
        assert!(matches!(set_by(message), Err(RequestError::NoChanges(_))));
    }
}

#[test]
fn control_fields_and_ids_are_read() {
    let schema = schema();
    let message = SetUserFeatureRequest {
        user_id: "ann".into(),
        expected_sequence: Some(0),
        validate_only: true,
        ..SetUserFeatureRequest::default()
    };
    let descriptor = schema.pool().get_message_by_name("zitadel.feature.v2.SetUserFeatureRequest").unwrap();
    let request = Request::decode(&descriptor, &message.encode_to_vec()).unwrap();
    let id = |level| Request::resource_id(&descriptor, level, &message.encode_to_vec());
    assert_eq!((id(Level::User), id(Level::System)), (Ok("ann".to_owned()), Ok(String::new())));
    assert_eq!(request.expected_sequence(), Some(0));
    assert!(request.validate_only());
    let empty = self::request(&schema, &SetSystemFeaturesRequest::default());
    assert_eq!((empty.expected_sequence(), empty.validate_only()), (None, false));
}

#[test]
fn malformed_bytes_are_refused_and_unknown_fields_ignored() {
    let schema = schema();
    let descriptor = schema.pool().get_message_by_name("zitadel.feature.v2.SetSystemFeaturesRequest").unwrap();
    #[rustfmt::skip]
    let table: [(&str, &[u8], bool); 5] = [
        // (what, bytes, accepted)
        ("an unknown field 99", &[0x98, 0x06, 0x01], true),
        ("a truncated tag", &[0xff], false),
        ("a truncated length", &[0x5a, 0x05, 0x01], false),
        ("a wrong wire type", &[0x32, 0x01, 0x01], false),
        ("not UTF-8 in login_v2.base_uri", &[0x5a, 0x03, 0x12, 0x01, 0xff], false),
    ];
    for (what, bytes, accepted) in table {
        assert_eq!(Request::decode(&descriptor, bytes).is_ok(), accepted, "{what}");
    }
}

#[test]
fn lists_and_fields_are_refused_by_their_number() {
    let schema = schema();
    let descriptor = schema.pool().get_message_by_name("zitadel.feature.v2.SetSystemFeaturesRequest").unwrap();
    let base = SetSystemFeaturesRequest::default;
    let numbers = |count| SetSystemFeaturesRequest { improved_performance: vec![1; count], ..base() }.encode_to_vec();
    let paths = |count| SetSystemFeaturesRequest { update_mask: mask(&vec!["*"; count]), ..base() }.encode_to_vec();
    // Field 6, `actions`, and 99, which does not exist: two and three bytes each.
    let (known, unknown) = ([0x30, 0x01], [0x98, 0x06, 0x01]);
    // Field 7, `improved_performance`, one element each.
    let unpacked = [0x38, 0x01];
    let list =
        |field: &str, max: usize, of: &str| Err(vec![(field.to_owned(), format!("must have at most {max} {of}"))]);
    let fields = Err(vec![(String::new(), "the message has more than 8192 fields".to_owned())]);
    let enum_values = "elements: as many as there are values";
    #[rustfmt::skip]
    let table = [
        // (what, bytes, outcome)
        ("a list of all values",    numbers(6),              Ok(())),
        ("one more",                numbers(7),              list("improved_performance", 6, enum_values)),
        ("a million",               numbers(1_000_000),      list("improved_performance", 6, enum_values)),
        ("not packed",              unpacked.repeat(7),      list("improved_performance", 6, enum_values)),
        ("in two parts",            numbers(4).repeat(2),    list("improved_performance", 6, enum_values)),
        ("a mask of 256 paths",     paths(256),              Ok(())),
        ("one more",                paths(257),              list("update_mask.paths", 256, "paths")),
        ("8,192 fields",            known.repeat(8_192),     Ok(())),
        ("one more",                known.repeat(8_193),     fields.clone()),
        ("8,192 unknown fields",    unknown.repeat(8_192),   Ok(())),
        ("half a million of them",  unknown.repeat(500_000), fields),
    ];
    for (what, bytes, expected) in table {
        let outcome = match Request::decode(&descriptor, &bytes) {
            Ok(_) => Ok(()),
            Err(RequestError::Invalid(violations)) => {
                Err(violations.into_iter().map(|violation| (violation.field, violation.description)).collect())
            }
            Err(error) => Err(vec![(String::new(), error.to_string())]),
        };
        assert_eq!(outcome, expected, "{what}");
    }
}
