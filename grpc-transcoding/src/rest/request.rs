//! The request message of a call: the fields of its path, its query and its body.

use std::collections::HashSet;

use prost_reflect::DynamicMessage;
use tonic_types::FieldViolation;

use super::RestCall;
use super::field::FieldPath;
use super::route::Body;
use crate::error::client_text::{MAX_CHARS, cut};
use crate::http_rule::percent::{self, Place};
use crate::json;

/// The most parameters of a query.
const MAX_PARAMETERS: usize = 1_000;

/// The most violations in an answer.
const MAX_VIOLATIONS: usize = 16;

impl RestCall {
    /// The request message. An empty body is an empty message, or an unset field.
    ///
    /// Violations name fields of the path and the body by their JSON path, and parameters as the client writes them,
    /// percent-decoded and cut off.
    pub fn request(&self, query: Option<&str>, body: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let mut violations = Vec::new();
        let mut message = self.read_body(body).unwrap_or_else(|problems| {
            violations = problems;
            DynamicMessage::new(self.route.method.input())
        });
        let variables = self.route.variables.iter().zip(&self.route.template.variables);
        for ((field, variable), text) in variables.zip(&self.bindings) {
            if let Err(problem) = put_variable(field, variable.place, text, &mut message) {
                violations.push(FieldViolation::new(field.json(), problem));
            }
        }
        self.read_query(query.unwrap_or_default(), &mut message, &mut violations);
        if violations.is_empty() { Ok(message) } else { Err(violations) }
    }

    fn read_body(&self, body: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let input = self.route.method.input();
        match &self.route.body {
            Body::None if !body.is_empty() && !is_empty_object(body) => {
                let description = "must be empty or {}: this call takes its fields from the path and the query";
                Err(vec![FieldViolation::new(json::BODY, description)])
            }
            Body::Whole if !body.is_empty() => json::decode(&input, body),
            Body::Field(field) if !body.is_empty() => {
                let value = json::decode_field(field, body)?;
                let mut message = DynamicMessage::new(input);
                message.set_field(field, value);
                Ok(message)
            }
            _ => Ok(DynamicMessage::new(input)),
        }
    }

    fn read_query(&self, query: &str, message: &mut DynamicMessage, violations: &mut Vec<FieldViolation>) {
        let mut seen = HashSet::new();
        for (index, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            if violations.len() >= MAX_VIOLATIONS {
                return;
            }
            let (raw_name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = percent::decode(raw_name, Place::Query);
            let shown = || cut(name.as_deref().unwrap_or(raw_name), MAX_CHARS);
            if index == MAX_PARAMETERS {
                violations
                    .push(FieldViolation::new(shown(), format!("is one too many: {MAX_PARAMETERS} can be given")));
                return;
            }
            let result = match &name {
                Ok(name) => self.put_parameter(name, value, &mut seen, message),
                Err(malformed) => Err((*malformed).to_owned()),
            };
            if let Err(problem) = result {
                violations.push(FieldViolation::new(shown(), problem));
            }
        }
    }

    fn put_parameter(
        &self,
        name: &str,
        value: &str,
        seen: &mut HashSet<String>,
        message: &mut DynamicMessage,
    ) -> Result<(), String> {
        let field = FieldPath::resolve(&self.route.method.input(), name)?;
        if self.route.variables.contains(&field) {
            return Err("is a part of the path".to_owned());
        }
        if self.route.body == Body::Whole || self.route.body == Body::Field(field.root().clone()) {
            return Err("belongs into the body".to_owned());
        }
        if !field.leaf().is_list() && !seen.insert(field.json()) {
            return Err("is given more than once".to_owned());
        }
        field.put(message, field.value(value, Place::Query)?)
    }
}

fn put_variable(field: &FieldPath, place: Place, text: &str, message: &mut DynamicMessage) -> Result<(), String> {
    let value = field.value(text, place)?;
    match field.get(message) {
        Some(other) if *other != value => Err("has another value in the body than in the path".to_owned()),
        _ => field.put(message, value),
    }
}

/// Whether a body is the JSON object without fields.
fn is_empty_object(body: &[u8]) -> bool {
    let inside = body.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}
