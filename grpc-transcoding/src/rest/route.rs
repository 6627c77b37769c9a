//! A route: one HTTP rule of a method, and the JSON of its answers.

use std::collections::HashMap;

use http::Method;
use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor};
use serde_json::value::RawValue;

use super::field::FieldPath;
use crate::grpc_call::grpc_path;
use crate::http_rule::template::Template;
use crate::http_rule::{self, HttpRule};
use crate::json::{self, JsonCache};

/// One HTTP rule of a method.
#[derive(Debug)]
pub struct Route {
    /// The method that is called.
    pub method: MethodDescriptor,
    /// The gRPC path of the method: `/package.Service/Method`.
    pub grpc_path: PathAndQuery,
    /// None for every verb.
    pub(crate) verb: Option<Method>,
    pub(crate) template: Template,
    /// The fields of the template's variables.
    pub(crate) variables: Vec<FieldPath>,
    pub(crate) body: Body,
    /// The field in the body of an answer; None for the whole response.
    pub(crate) response_body: Option<FieldDescriptor>,
    /// The results of [`Route::response`].
    pub(crate) answers: JsonCache,
}

/// The fields in the body of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Nothing: it is empty, or `{}`, which some clients send with every request.
    None,
    /// All fields that are not in the path.
    Whole,
    /// One field of the request.
    Field(FieldDescriptor),
}

impl Route {
    /// The routes of a method. The error says what is wrong with its rules.
    pub(crate) fn all(method: &MethodDescriptor) -> Result<Vec<Self>, String> {
        http_rule::rules(method)?.iter().map(|rule| Self::new(method, rule)).collect()
    }

    fn new(method: &MethodDescriptor, rule: &HttpRule) -> Result<Self, String> {
        if method.is_client_streaming() {
            return Err("a stream of requests can't be sent over plain HTTP".to_owned());
        }
        let verb = match rule.verb.as_str() {
            "*" => None,
            verb => Some(Method::from_bytes(verb.as_bytes()).map_err(|_| "the rule has no verb with a path")?),
        };
        let template = Template::new(&rule.template);
        let template = template.map_err(|problem| format!("the template '{}' {problem}", rule.template))?;
        let (input, output) = (method.input(), method.output());
        let mut variables = Vec::new();
        for variable in &template.variables {
            let field = variable_field(&input, &variable.field, &variables);
            variables.push(field.map_err(|problem| format!("the field '{}' {problem}", variable.field))?);
        }
        let body = match rule.body.as_str() {
            "" => Body::None,
            "*" => Body::Whole,
            name => Body::Field(top_level(&input, name)?),
        };
        if let Body::Field(field) = &body
            && variables.iter().any(|variable| variable.root() == field)
        {
            return Err(format!("the field '{}' stands in the path and in the body", field.name()));
        }
        let has_field = !rule.response_body.is_empty();
        let response_body = has_field.then(|| top_level(&output, &rule.response_body)).transpose()?;
        let (grpc_path, answers) = (grpc_path(method), JsonCache::new());
        Ok(Self { method: method.clone(), grpc_path, verb, template, variables, body, response_body, answers })
    }

    /// The order of routes that match the same path. Routes with the same place in it match the same paths.
    pub(crate) fn precedence(&self) -> impl Ord {
        (self.template.precedence(), self.verb.is_none())
    }

    /// The JSON of an answer.
    pub fn response(&self, message: &DynamicMessage) -> Vec<u8> {
        let Some(field) = &self.response_body else { return json::encode(message) };
        let set = message.has_field(field);
        let json = if set { json::encode(message) } else { json::encode_with_defaults(message) };
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(&json).unwrap_or_default();
        match fields.get(field.json_name()) {
            Some(value) => value.get().into(),
            // The response has no canonical JSON, so it is written as a whole.
            None if set => json,
            // A field without a default, such as a message.
            None => b"null".into(),
        }
    }
}

/// The field of a variable. The error completes a sentence about it.
fn variable_field(input: &MessageDescriptor, name: &str, others: &[FieldPath]) -> Result<FieldPath, String> {
    let field = FieldPath::resolve(input, name)?;
    if field.leaf.is_list() || field.leaf.kind().as_message().is_some() {
        return Err("is no single plain value, so no path can hold it".to_owned());
    }
    if others.contains(&field) {
        return Err("stands in the path twice".to_owned());
    }
    Ok(field)
}

fn top_level(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let unknown = || format!("the field '{name}' is unknown: {} has no such field", message.full_name());
    message.get_field_by_name(name).ok_or_else(unknown)
}
