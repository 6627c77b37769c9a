//! The rules of own features: definitions, their constraints, evaluation over the levels, and exact patches.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use feature_core::{
    Constraints, Definition, DefinitionError, Double, FeatureKey, KeyError, Layer, Level, LevelOutcome, OwnKey, Patch,
    State, Value, ValueType, Violation, Visibility, evaluate,
};
use proptest::prelude::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: f64) -> Double {
    Double::new(number).unwrap()
}

fn texts(values: &[&str]) -> Value {
    Value::List(values.iter().map(|value| text(value)).collect())
}

fn layer(entries: &[(&str, Value)]) -> Layer {
    entries.iter().map(|(key, value)| (FeatureKey::from(*key), value.clone())).collect()
}

fn without(layer: &Layer, field: &str) -> Vec<(FeatureKey, Value)> {
    let others = layer.iter().filter(|(key, _)| key.as_str() != field);
    others.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The layer of a whole number from 1 to 500 on the levels of instances and users.
fn seats() -> Layer {
    let constraints = [("minimum", Value::Double(number(1.0))), ("maximum", Value::Double(number(500.0)))];
    let constraints: BTreeMap<_, _> = constraints.map(|(part, value)| (part.to_owned(), value)).into();
    layer(&[
        ("description", text("How many may sign in")),
        ("value_type", text("VALUE_TYPE_INTEGER")),
        ("constraints", Value::Message(constraints)),
        ("default_value", Value::Integer(5)),
        ("levels", texts(&["LEVEL_INSTANCE", "LEVEL_USER"])),
        ("visibility", text("VISIBILITY_CLIENT")),
        ("state", text("STATE_DEPRECATED")),
    ])
}

#[test]
fn a_key_begins_with_a_letter_and_has_at_most_128_characters() {
    let table = [
        // (key, accepted or why not)
        ("a".to_owned(), Ok(())),
        ("checkout.new_ui-2".to_owned(), Ok(())),
        ("a".repeat(128), Ok(())),
        (String::new(), Err(KeyError::Start)),
        ("2fa".to_owned(), Err(KeyError::Start)),
        (".a".to_owned(), Err(KeyError::Start)),
        ("ü".to_owned(), Err(KeyError::Start)),
        ("a b".to_owned(), Err(KeyError::Character(1))),
        ("aü".to_owned(), Err(KeyError::Character(1))),
        ("a/b".to_owned(), Err(KeyError::Character(1))),
        ("a".repeat(129), Err(KeyError::TooLong(129))),
    ];
    for (key, expected) in table {
        assert_eq!(OwnKey::new(&key).map(|_| ()), expected, "{key:?}");
    }
}

#[test]
fn a_definition_is_read_from_its_layer() {
    let definition = Definition::from_layer(&seats()).unwrap().unwrap();
    let expected = Definition {
        value_type: ValueType::Integer,
        constraints: Constraints { minimum: Some(number(1.0)), maximum: Some(number(500.0)), ..Default::default() },
        default_value: Value::Integer(5),
        variants: BTreeMap::new(),
        levels: [Level::Instance, Level::User].into(),
        visibility: Visibility::Client,
        state: State::Deprecated,
        tightened: false,
    };
    assert_eq!(definition, expected);
    assert_eq!(Definition::from_layer(&Layer::default()), Ok(None), "a scope without a definition");
}

#[test]
fn a_field_of_a_newer_binary_is_not_misread() {
    let table = [
        // (field, its value, the field that the error names)
        ("value_type", text("VALUE_TYPE_COLOUR"), "value_type"),
        ("value_type", Value::Integer(1), "value_type"),
        ("levels", texts(&["LEVEL_USER", "LEVEL_DEVICE"]), "levels"),
        ("visibility", text("VISIBILITY_PARTNERS"), "visibility"),
        ("state", text("STATE_PAUSED"), "state"),
        ("constraints", Value::Message([("prime".to_owned(), Value::Flag(true))].into()), "constraints"),
        ("constraints", Value::Message([("max_items".to_owned(), Value::Integer(-1))].into()), "constraints.max_items"),
        ("variants", text("on"), "variants"),
        ("rollout", Value::Integer(50), "an unknown field"),
    ];
    for (field, value, named) in table {
        let changed = without(&seats(), field).into_iter().chain([(FeatureKey::from(field), value)]).collect();
        assert_eq!(Definition::from_layer(&changed), Err(DefinitionError(named)), "{field}");
    }
    let without_default = without(&seats(), "default_value").into_iter().collect();
    assert_eq!(Definition::from_layer(&without_default), Err(DefinitionError("default_value")));
}

#[test]
fn a_type_includes_its_values_and_no_others() {
    let types = [
        ValueType::Boolean,
        ValueType::String,
        ValueType::Integer,
        ValueType::Number,
        ValueType::Object,
        ValueType::StringList,
    ];
    let table = [
        // (value, its type, if any)
        (Value::Flag(false), Some(ValueType::Boolean)),
        (text(""), Some(ValueType::String)),
        (Value::Integer(1 << 53), Some(ValueType::Integer)),
        (Value::Integer(-(1 << 53)), Some(ValueType::Integer)),
        (Value::Integer((1 << 53) + 1), None),
        (Value::Integer(i64::MIN), None),
        (Value::Double(number(0.5)), Some(ValueType::Number)),
        (Value::Message(BTreeMap::new()), Some(ValueType::Object)),
        (Value::List(vec![]), Some(ValueType::StringList)),
        (texts(&["a", ""]), Some(ValueType::StringList)),
        (Value::List(vec![text("a"), Value::Integer(1)]), None),
        (Value::Numbers(vec![1]), None),
    ];
    for (value, expected) in table {
        let of = types.into_iter().filter(|it| it.includes(&value)).collect::<Vec<_>>();
        assert_eq!(of, Vec::from_iter(expected), "{value:?}");
    }
}

#[test]
fn every_constraint_that_a_value_breaks_is_told() {
    let numbers = Constraints { minimum: Some(number(1.0)), maximum: Some(number(3.0)), ..Default::default() };
    let even = Constraints { allowed_values: vec![Value::Integer(2), Value::Integer(4)], ..numbers.clone() };
    let names = Constraints { allowed_values: vec![text("a"), text("b")], max_items: Some(2), ..Default::default() };
    let anything = Constraints::default();
    let table = [
        // (constraints, value, what is wrong)
        (&anything, Value::Integer(-7), vec![]),
        (&numbers, Value::Integer(0), vec![Violation::TooSmall(number(1.0))]),
        (&numbers, Value::Integer(1), vec![]),
        (&numbers, Value::Double(number(3.0)), vec![]),
        (&numbers, Value::Double(number(3.5)), vec![Violation::TooLarge(number(3.0))]),
        (&even, Value::Integer(2), vec![]),
        (&even, Value::Integer(4), vec![Violation::TooLarge(number(3.0))]),
        (&even, Value::Integer(0), vec![Violation::NotAllowed(None), Violation::TooSmall(number(1.0))]),
        (&names, texts(&["b", "a"]), vec![]),
        (&names, text("c"), vec![Violation::NotAllowed(None)]),
        (&names, texts(&["a", "c", "a"]), vec![Violation::NotAllowed(Some(1)), Violation::TooMany(2)]),
    ];
    for (constraints, value, expected) in table {
        assert_eq!(constraints.violations(&value), expected, "{constraints:?}, {value:?}");
    }
    let seats = Definition::from_layer(&seats()).unwrap().unwrap();
    assert_eq!(seats.violations(&text("7")), [Violation::Type(ValueType::Integer)]);
    assert_eq!(seats.violations(&Value::Integer(0))[0].to_string(), "must be at least 1");
}

#[test]
fn the_most_specific_valid_entry_of_an_allowed_level_decides() {
    use LevelOutcome::{InvalidIgnored, NotAllowed, Shadowed, Unset, Wins};
    let definition = Definition::from_layer(&seats()).unwrap().unwrap();
    let (none, zero) = (None, Some(0));
    let table = [
        // (system, instance, organization, user; value, source; the same levels' outcomes)
        ([none, none, none, none], 5, None, [Unset, Unset, Unset, Unset]),
        ([none, Some(7), none, none], 7, Some(Level::Instance), [Unset, Wins, Unset, Unset]),
        ([none, Some(7), none, Some(9)], 9, Some(Level::User), [Unset, Shadowed, Unset, Wins]),
        ([none, Some(7), none, zero], 7, Some(Level::Instance), [Unset, Wins, Unset, InvalidIgnored]),
        ([none, zero, none, zero], 5, None, [Unset, InvalidIgnored, Unset, InvalidIgnored]),
        ([Some(6), Some(7), Some(8), none], 7, Some(Level::Instance), [NotAllowed, Wins, NotAllowed, Unset]),
        ([Some(6), none, Some(8), none], 5, None, [NotAllowed, Unset, NotAllowed, Unset]),
    ];
    for (entries, value, source, expected) in table {
        let values = entries.map(|entry| entry.map(Value::Integer));
        let entries: Vec<_> = Level::ALL.into_iter().zip(values.iter().map(Option::as_ref)).collect();
        let is_valid = |value: &Value| definition.violations(value).is_empty();
        let mut outcomes = Vec::new();
        let evaluation = evaluate(&definition, &entries, is_valid, |_, outcome| outcomes.push(outcome)).unwrap();
        outcomes.reverse();
        assert_eq!((evaluation.value, evaluation.source), (&Value::Integer(value), source), "{values:?}");
        assert_eq!(outcomes, expected, "{values:?}");
    }
    let archived = Definition { state: State::Archived, ..definition.clone() };
    assert_eq!(evaluate(&archived, &[], |_| true, |_, _| {}), None);
}

/// Keys with numbers.
type Entries<'a> = &'a [(&'a str, i64)];

type Row<'a> = (Entries<'a>, &'a [&'a str], Entries<'a>);

#[test]
fn an_exact_patch_sets_unsets_and_leaves_the_rest() {
    let before = layer(&[("a", Value::Integer(1)), ("b", Value::Integer(2)), ("c", Value::Integer(3))]);
    let table: [Row; 5] = [
        // (set, unset, the layer afterwards)
        (&[("a", 9)], &[], &[("a", 9), ("b", 2), ("c", 3)]),
        (&[("d", 4)], &["b"], &[("a", 1), ("c", 3), ("d", 4)]),
        (&[], &["x"], &[("a", 1), ("b", 2), ("c", 3)]),
        (&[], &[], &[("a", 1), ("b", 2), ("c", 3)]),
        (&[("b", 1)], &["a", "b"], &[("c", 3)]),
    ];
    let of = |entries: Entries<'_>| {
        layer(&entries.iter().map(|(key, number)| (*key, Value::Integer(*number))).collect::<Vec<_>>())
    };
    for (set, unset, expected) in table {
        let unset: Vec<_> = unset.iter().map(|key| FeatureKey::from(*key)).collect();
        let mut after = before.clone();
        after.apply(&Patch::exact(&of(set), &unset).changes_to(&before));
        assert_eq!(after, of(expected), "{set:?}, {unset:?}");
    }
}

fn constraints() -> impl Strategy<Value = Constraints> {
    let bound = || proptest::option::of((-3..4_i32).prop_map(|it| number(f64::from(it))));
    let allowed = proptest::collection::vec((-3..4_i64).prop_map(Value::Integer), 0..4);
    let list = proptest::option::of(0..3_u32);
    (bound(), bound(), allowed, list).prop_map(|(minimum, maximum, allowed_values, max_items)| Constraints {
        minimum,
        maximum,
        allowed_values,
        max_items,
        ..Default::default()
    })
}

proptest! {
    /// Values need no second look when constraints did not become tighter.
    #[test]
    fn what_kept_looser_constraints_keeps_them(now in constraints(), before in constraints()) {
        let lists = (0..4).map(|count| Value::List(vec![Value::Integer(0); count]));
        for value in (-4..5).map(Value::Integer).chain(lists) {
            let breaks = before.violations(&value).is_empty() && !now.violations(&value).is_empty();
            prop_assert!(!breaks || now.may_be_tighter_than(&before), "{:?}", value);
        }
    }
}
