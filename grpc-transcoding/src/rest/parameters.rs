//! Query parameters: the fields of a request outside of its path and its body.

use std::collections::HashSet;

use prost_reflect::DynamicMessage;
use tonic_types::FieldViolation;

use super::field::FieldPath;
use super::route::{Body, Route};
use crate::error::client_text::{MAX_CHARS, cut};
use crate::http_rule::percent::{self, Place};

/// The most parameters of a query.
const MAX_PARAMETERS: usize = 1_000;

/// The most violations in an answer.
const MAX_VIOLATIONS: usize = 16;

/// Sets the fields of a message from a query. Violations name a parameter as the client writes it, percent-decoded and
/// cut off.
pub(crate) fn read(route: &Route, query: &str, message: &mut DynamicMessage, violations: &mut Vec<FieldViolation>) {
    let mut seen = HashSet::new();
    for (index, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
        if violations.len() >= MAX_VIOLATIONS {
            return;
        }
        let (raw_name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = percent::decode(raw_name, Place::Query);
        let shown = || cut(name.as_deref().unwrap_or(raw_name), MAX_CHARS);
        if index == MAX_PARAMETERS {
            violations.push(FieldViolation::new(shown(), format!("is one too many: {MAX_PARAMETERS} can be given")));
            return;
        }
        let result = match &name {
            Ok(name) => put(route, name, value, &mut seen, message),
            Err(malformed) => Err(malformed.to_string()),
        };
        if let Err(problem) = result {
            violations.push(FieldViolation::new(shown(), problem));
        }
    }
}

fn put(
    route: &Route,
    name: &str,
    value: &str,
    seen: &mut HashSet<String>,
    message: &mut DynamicMessage,
) -> Result<(), String> {
    let field = FieldPath::resolve(&route.method.input(), name)?;
    let elsewhere = match route.body() {
        Body::Whole => true,
        Body::Field(body) => body == field.root(),
        Body::None => false,
    };
    if route.variables().any(|variable| *variable == field) {
        return Err("is a part of the path".to_owned());
    }
    if elsewhere {
        return Err("belongs into the body".to_owned());
    }
    if !field.leaf().is_list() && !seen.insert(field.json()) {
        return Err("is given more than once".to_owned());
    }
    let value = percent::decode(value, Place::Query).map_err(|malformed| malformed.to_string())?;
    let value = field.value(&value)?;
    field.put(message, value)
}
