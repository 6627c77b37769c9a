//! Definitions from messages to layers and back, and what they are refused for.

use feature_core::{Definition, Level, ValueType};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as JsonValue};

use super::*;
use crate::request::RequestError;

fn json(kind: Kind) -> JsonValue {
    JsonValue { kind: Some(kind) }
}

fn number(number: f64) -> JsonValue {
    json(Kind::NumberValue(number))
}

fn text(text: &str) -> JsonValue {
    json(Kind::StringValue(text.to_owned()))
}

fn boolean() -> v1::FeatureDefinition {
    v1::FeatureDefinition {
        value_type: v1::ValueType::Boolean.into(),
        default_value: Some(json(Kind::BoolValue(false))),
        ..v1::FeatureDefinition::default()
    }
}

fn integer() -> v1::FeatureDefinition {
    v1::FeatureDefinition {
        value_type: v1::ValueType::Integer.into(),
        default_value: Some(number(5.0)),
        constraints: Some(v1::Constraints { minimum: Some(1.0), ..v1::Constraints::default() }),
        ..v1::FeatureDefinition::default()
    }
}

fn texts() -> v1::FeatureDefinition {
    let default = ListValue { values: vec![text("a")] };
    v1::FeatureDefinition {
        value_type: v1::ValueType::StringList.into(),
        default_value: Some(json(Kind::ListValue(default))),
        ..v1::FeatureDefinition::default()
    }
}

fn object() -> v1::FeatureDefinition {
    let schema = Struct { fields: [("type".to_owned(), text("object"))].into() };
    v1::FeatureDefinition {
        value_type: v1::ValueType::Object.into(),
        default_value: Some(json(Kind::StructValue(Struct::default()))),
        constraints: Some(v1::Constraints { json_schema: Some(schema), ..v1::Constraints::default() }),
        ..v1::FeatureDefinition::default()
    }
}

/// The layer of a new definition.
fn layer(message: &v1::FeatureDefinition) -> Result<Layer, RequestError> {
    let change = read(message, value_type(message)?, None)?;
    assert_eq!(change.unset, []);
    let definition = Definition::from_layer(&change.set).unwrap().unwrap();
    check(&definition, Level::Instance)?;
    Ok(change.set)
}

/// The violations of a new definition, as `field: problem`.
fn problems(message: &v1::FeatureDefinition) -> Vec<String> {
    match layer(message) {
        Err(RequestError::Invalid(violations)) => {
            violations.into_iter().map(|it| format!("{}: {}", it.field, it.description)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_definition_comes_back_as_it_was_made() {
    let full = v1::FeatureDefinition {
        display_name: "Seats".to_owned(),
        description: "How many.".to_owned(),
        constraints: Some(v1::Constraints {
            allowed_values: vec![number(1.0), number(5.0), number(9.0)],
            minimum: Some(1.0),
            maximum: Some(9.0),
            ..v1::Constraints::default()
        }),
        variants: [("few".to_owned(), number(1.0)), ("many".to_owned(), number(9.0))].into(),
        levels: vec![v1::Level::Instance.into(), v1::Level::User.into()],
        purpose: v1::Purpose::Permission.into(),
        owner: "team".to_owned(),
        labels: [("team".to_owned(), "login".to_owned())].into(),
        stale_time: "2027-01-01T00:00:00Z".parse().ok(),
        permanent: true,
        ..integer()
    };
    let list = v1::FeatureDefinition {
        constraints: Some(v1::Constraints {
            allowed_values: vec![text("a"), text("b")],
            pattern: "[ab]".to_owned(),
            max_items: Some(2),
            ..v1::Constraints::default()
        }),
        ..texts()
    };
    for message in [boolean(), integer(), texts(), object(), full, list] {
        let defaults = v1::FeatureDefinition {
            visibility: v1::Visibility::ServerOnly.into(),
            state: v1::State::Active.into(),
            ..message.clone()
        };
        assert_eq!(answer(&layer(&message).unwrap()), defaults);
    }
}

#[test]
fn a_definition_that_does_not_fit_is_refused_with_its_fields() {
    let constrained =
        |base: v1::FeatureDefinition, constraints| v1::FeatureDefinition { constraints: Some(constraints), ..base };
    let none = v1::Constraints::default;
    let table = [
        // (definition, what is said)
        (v1::FeatureDefinition { value_type: 0, ..boolean() }, "value_type: is required"),
        (v1::FeatureDefinition { value_type: 99, ..boolean() }, "value_type: must be a type that this server knows"),
        (v1::FeatureDefinition { default_value: Some(number(1.0)), ..boolean() }, "default_value: must be true or fa"),
        (v1::FeatureDefinition { default_value: Some(number(0.0)), ..integer() }, "default_value: must be at least 1"),
        (
            v1::FeatureDefinition { variants: [("no".to_owned(), number(0.0))].into(), ..integer() },
            "variants.no: must be at least 1",
        ),
        (
            v1::FeatureDefinition { variants: [("a b".to_owned(), number(1.0))].into(), ..integer() },
            "variants: has a variant whose name is not 1 to 64",
        ),
        (v1::FeatureDefinition { levels: vec![1], ..boolean() }, "levels: has the system"),
        (v1::FeatureDefinition { levels: vec![2, 9], ..boolean() }, "levels[1]: must be a level"),
        (v1::FeatureDefinition { purpose: 9, ..boolean() }, "purpose: must be a value that this server knows"),
        (
            v1::FeatureDefinition { labels: [("a".to_owned(), "x".repeat(65))].into(), ..boolean() },
            "labels.a: must have at most 64 bytes",
        ),
        (
            v1::FeatureDefinition { stale_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), ..boolean() },
            "stale_time: must be a time",
        ),
        (
            constrained(boolean(), v1::Constraints { minimum: Some(1.0), ..none() }),
            "constraints.minimum: is for numbers only",
        ),
        (
            constrained(boolean(), v1::Constraints { pattern: "a".to_owned(), ..none() }),
            "constraints.pattern: is for texts and lists of texts only",
        ),
        (
            constrained(integer(), v1::Constraints { max_items: Some(1), ..none() }),
            "constraints.max_items: is for lists only",
        ),
        (
            constrained(integer(), v1::Constraints { minimum: Some(6.0), maximum: Some(5.0), ..none() }),
            "constraints.minimum: is greater than the maximum",
        ),
        (
            constrained(integer(), v1::Constraints { maximum: Some(f64::NAN), ..none() }),
            "constraints.maximum: must be a finite number",
        ),
        (
            constrained(integer(), v1::Constraints { allowed_values: vec![number(1.5)], ..none() }),
            "constraints.allowed_values[0]: must be a whole number",
        ),
        (
            constrained(texts(), v1::Constraints { allowed_values: vec![text("b")], ..none() }),
            "default_value: has an element at index 0 that is not allowed",
        ),
    ];
    for (definition, says) in table {
        let problems = problems(&definition);
        assert!(problems[0].starts_with(&format!("feature_definition.{says}")), "{says}: {problems:?}");
    }
}

#[test]
fn a_mask_names_what_changes() {
    let mask = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let message = v1::FeatureDefinition { owner: "team".to_owned(), ..boolean() };
    let change = |paths: &[&str]| {
        let change = read(&message, ValueType::Boolean, Some(&mask(paths))).unwrap();
        let set: Vec<_> = change.set.iter().map(|(key, _)| key.to_string()).collect();
        let unset: Vec<_> = change.unset.iter().map(|key| key.to_string()).collect();
        (set.join(" "), unset.join(" "))
    };
    let own = |set: &str, unset: &str| (set.to_owned(), unset.to_owned());
    assert_eq!(change(&[]), own("default_value owner value_type", ""));
    assert_eq!(change(&["owner", "description"]), own("owner", "description"));
    assert_eq!(
        change(&["*"]),
        own(
            "default_value owner value_type",
            "constraints description display_name labels levels permanent purpose stale_time variants visibility"
        )
    );
    let unknown = read(&message, ValueType::Boolean, Some(&mask(&["owner", "state"]))).unwrap_err();
    let RequestError::Invalid(violations) = unknown else { panic!("{unknown}") };
    assert_eq!(violations[0].field, "update_mask.paths[1]");
}
