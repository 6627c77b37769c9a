//! Checks a definition as a whole: whether its fields fit together.

use feature_core::{Constraints, Definition, Level, Value, ValueType};

use crate::request::{RequestError, Violations};

/// Checks a definition, but for what needs an engine, its pattern and its schema, and for the lengths of its lists,
/// which are checked before it is decoded.
///
/// `owner`: the level that defines it.
///
/// # Errors
/// [`RequestError::Invalid`] names the fields that do not fit.
pub fn check(definition: &Definition, owner: Level) -> Result<(), RequestError> {
    let Definition { value_type, constraints, default_value, variants, levels, .. } = definition;
    let mut violations = Violations::default();
    check_constraints(constraints, *value_type, &mut violations);
    for violation in definition.violations(default_value) {
        violations.add("feature_definition.default_value", violation);
    }
    for (name, value) in variants {
        for violation in definition.violations(value) {
            violations.add(format_args!("feature_definition.variants.{name}"), violation);
        }
    }
    if levels.iter().any(|level| *level < owner) {
        violations.add("feature_definition.levels", "has the system, where a feature of an instance cannot be set");
    }
    violations.into_result()
}

fn check_constraints(constraints: &Constraints, value_type: ValueType, violations: &mut Violations) {
    let Constraints { allowed_values, pattern, minimum, maximum, max_items, json_schema } = constraints;
    let is_text = matches!(value_type, ValueType::String | ValueType::StringList);
    let is_number = matches!(value_type, ValueType::Integer | ValueType::Number);
    let table = [
        // (constraint, whether it is given, whether the type has it, the types that have it)
        ("allowed_values", !allowed_values.is_empty(), value_type != ValueType::Object, "all types but objects"),
        ("pattern", pattern.is_some(), is_text, "texts and lists of texts"),
        ("minimum", minimum.is_some(), is_number, "numbers"),
        ("maximum", maximum.is_some(), is_number, "numbers"),
        ("max_items", max_items.is_some(), value_type == ValueType::StringList, "lists"),
        ("json_schema", json_schema.is_some(), value_type == ValueType::Object, "objects"),
    ];
    for (name, is_given, is_possible, types) in table {
        if is_given && !is_possible {
            violations.add(format_args!("feature_definition.constraints.{name}"), format_args!("is for {types} only"));
        }
    }
    if minimum > maximum && maximum.is_some() {
        violations.add("feature_definition.constraints.minimum", "is greater than the maximum");
    }
    if allowed_values.iter().any(|value| matches!(value, Value::List(_))) {
        violations.add("feature_definition.constraints.allowed_values", "has a list, where elements stand");
    }
}
