//! Patterns and schemas: what they accept, and which of them are refused.

use feature_core::Double;

use super::*;

/// A value from JSON. Its numbers are doubles, as those of a request are.
fn value(json: &Json) -> Value {
    match json {
        Json::Bool(flag) => Value::Flag(*flag),
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => Value::Double(Double::new(number.as_f64().unwrap()).unwrap()),
        Json::Array(elements) => Value::List(elements.iter().map(value).collect()),
        Json::Object(fields) => Value::Message(fields.iter().map(|(name, part)| (name.clone(), value(part))).collect()),
        Json::Null => panic!("no value has a null"),
    }
}

fn parsed(text: &str) -> Value {
    value(&serde_json::from_str(text).unwrap())
}

fn pattern(pattern: &str) -> Result<Engine, EngineError> {
    Engine::new(&Constraints { pattern: Some(pattern.to_owned()), ..Constraints::default() })
}

fn schema(text: &str) -> Result<Engine, EngineError> {
    Engine::new(&Constraints { json_schema: Some(parsed(text)), ..Constraints::default() })
}

#[test]
fn a_pattern_matches_whole_texts() {
    let table = [
        // (pattern, value, the places of its problems)
        ("[a-z]+", r#""abc""#, vec![]),
        ("[a-z]+", r#""abc1""#, vec![""]),
        ("a|b", r#""ab""#, vec![""]),
        ("a|b", r#""b""#, vec![]),
        ("a|b", r#"["a", "c", "b", "ab"]"#, vec!["[1]", "[3]"]),
        ("", r#""x""#, vec![""]),
    ];
    for (text, value, places) in table {
        let problems = pattern(text).unwrap().violations(&parsed(value));
        assert_eq!(problems.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), places, "{text} {value}");
    }
}

#[test]
fn a_pattern_that_is_malformed_or_too_large_is_refused() {
    for text in ["(", "a)|(b", "(?=a)", r"(a)\1", "(?:[a-z]{1,100}){1,100}"] {
        let error = pattern(text).unwrap_err();
        assert_eq!(error.field, "constraints.pattern", "{text}");
    }
}

#[test]
fn a_schema_names_the_places_that_break_it() {
    let engine = schema(
        r##"{"type": "object", "required": ["size"], "additionalProperties": false,
             "properties": {"size": {"$ref": "#/$defs/size"}, "names": {"type": "array", "items": {"type": "string"}}},
             "$defs": {"size": {"type": "integer", "minimum": 1}}}"##,
    )
    .unwrap();
    let table = [
        // (object, the places of its problems)
        (r#"{"size": 1}"#, vec![]),
        (r#"{"size": 1, "names": ["a"]}"#, vec![]),
        (r#"{"size": 0}"#, vec![".size"]),
        (r#"{"size": 1.5}"#, vec![".size"]),
        ("{}", vec![""]),
        (r#"{"size": 1, "names": ["a", 2]}"#, vec![".names.1"]),
        (r#"{"size": 1, "other": true}"#, vec![""]),
    ];
    for (object, places) in table {
        let problems = engine.violations(&parsed(object));
        assert_eq!(problems.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), places, "{object}");
    }
}

#[test]
fn a_schema_that_is_malformed_or_could_take_long_is_refused() {
    let doubling: Vec<_> = (0..20)
        .map(|n| format!(r##""d{n}": {{"allOf": [{{"$ref": "#/$defs/d{0}"}}, {{"$ref": "#/$defs/d{0}"}}]}}"##, n + 1))
        .collect();
    let doubling = format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d20": {{}}}}}}"##, doubling.join(","));
    let table = [
        // (schema, what is said)
        (r#"{"type": "nothing"}"#.to_owned(), "must be a JSON Schema"),
        (r##"{"$ref": "#"}"##.to_owned(), "refers to #: a reference must be to one of its own #/$defs/NAME"),
        (r#"{"$ref": "https://example.com/schema"}"#.to_owned(), "refers to https://example.com/schema"),
        (r##"{"$ref": "#/$defs/none"}"##.to_owned(), "refers to #/$defs/none"),
        (
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}"##.to_owned(),
            "refers to #/$defs/a in a circle",
        ),
        (r##"{"$dynamicRef": "#a"}"##.to_owned(), "has $dynamicRef, which cannot be used here"),
        (r#"{"unevaluatedProperties": false}"#.to_owned(), "has unevaluatedProperties, which cannot be used here"),
        (r#"{"$schema": "http://json-schema.org/draft-04/schema#"}"#.to_owned(), "has a $schema other than"),
        (format!(r#"{{"allOf": [{}]}}"#, [r#"{"pattern": "a"}"#; 17].join(",")), "has more than 16 patterns"),
        (doubling, "has more than 10000 parts when its references are followed"),
        (format!(r#"{{"description": "{}"}}"#, "x".repeat(17_000)), "has 17"),
        (r#"{"pattern": "(?=a)"}"#.to_owned(), "must be a JSON Schema"),
    ];
    for (text, says) in table {
        let error = schema(&text).unwrap_err();
        assert!(error.problem.starts_with(says), "{}", error.problem);
    }
}

#[test]
fn an_engine_that_refuses_refuses_everything() {
    assert_eq!(Engine::refusing().violations(&Value::Flag(true)).len(), 1);
}
