//! A route: one HTTP rule of a method, and the JSON of its answers.

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::value::RawValue;

use super::field::FieldPath;
use super::template::Template;
use crate::grpc_call::grpc_path;
use crate::json;

/// The field of a rule with the other rules of its method.
const ADDITIONAL: &str = "additional_bindings";

/// The fields of a rule that are named after the verb they stand for.
const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The size of all cached answers of a route together, in bytes.
pub(crate) const MAX_CACHED_BYTES: u64 = 1024 * 1024;

/// The overhead of a cached answer, in bytes; an upper estimate.
const ENTRY_BYTES: usize = 128;

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
    /// The JSON of answers by their encoded messages: to write it takes longer than the rest of a call, and many
    /// answers are equal. JSON that is seldom used is evicted first.
    pub(crate) answers: Cache<Bytes, Bytes, Weight>,
}

/// The weight of a cached answer is its size.
#[derive(Debug, Clone)]
pub(crate) struct Weight;

impl Weighter<Bytes, Bytes> for Weight {
    fn weight(&self, message: &Bytes, json: &Bytes) -> u64 {
        (ENTRY_BYTES + message.len() + json.len()) as u64
    }
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
    /// The routes of a method, from its option `google.api.http`: its rule and the additional bindings. The error says
    /// what is wrong with the option.
    pub(crate) fn all(method: &MethodDescriptor) -> Result<Vec<Self>, String> {
        let options = method.options();
        let extension = method.parent_pool().get_extension_by_name("google.api.http");
        let Some(extension) = extension.filter(|extension| options.has_extension(extension)) else {
            return Ok(Vec::new());
        };
        let option = options.get_extension(&extension);
        let rule = option.as_message().ok_or("the option google.api.http can't be read")?;
        let additional = rule.get_field_by_name(ADDITIONAL);
        let additional = additional.as_deref().and_then(Value::as_list).unwrap_or_default();
        let rules: Vec<_> = [rule].into_iter().chain(additional.iter().filter_map(Value::as_message)).collect();
        if rules[1..].iter().any(|binding| binding.has_field_by_name(ADDITIONAL)) {
            return Err("an additional binding has additional bindings".to_owned());
        }
        rules.into_iter().map(|rule| Self::new(method, rule)).collect()
    }

    fn new(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Self, String> {
        if method.is_client_streaming() {
            return Err("a stream of requests can't be sent over plain HTTP".to_owned());
        }
        let custom = rule.get_field_by_name("custom");
        let (verb, template) = match (VERBS.into_iter().find(|verb| rule.has_field_by_name(verb)), custom.as_deref()) {
            (Some(verb), _) => (verb.to_ascii_uppercase(), text(rule, verb)),
            (None, Some(Value::Message(custom))) => (text(custom, "kind"), text(custom, "path")),
            _ => Default::default(),
        };
        let verb = match verb.as_str() {
            "*" => None,
            verb => Some(Method::from_bytes(verb.as_bytes()).map_err(|_| "the rule has no verb with a path")?),
        };
        let template = Template::new(&template).map_err(|problem| format!("the template '{template}' {problem}"))?;
        let (input, output) = (method.input(), method.output());
        let mut variables = Vec::new();
        for variable in &template.variables {
            let wrong = |problem: &str| format!("the field '{}' {problem}", variable.field);
            let field = FieldPath::resolve(&input, &variable.field).map_err(|problem| wrong(&problem))?;
            if field.leaf.is_list() || field.leaf.kind().as_message().is_some() {
                return Err(wrong("is no single plain value, so no path can hold it"));
            }
            if variables.contains(&field) {
                return Err(wrong("stands in the path twice"));
            }
            variables.push(field);
        }
        let body = match text(rule, "body").as_str() {
            "" => Body::None,
            "*" => Body::Whole,
            name => Body::Field(top_level(&input, name)?),
        };
        if let Body::Field(field) = &body
            && variables.iter().any(|variable| variable.root() == field && variable.leaf == *field)
        {
            return Err(format!("the field '{}' stands in the path and in the body", field.name()));
        }
        let response_body = match text(rule, "response_body").as_str() {
            "" => None,
            name => Some(top_level(&output, name)?),
        };
        let grpc_path = grpc_path(method);
        let answers = Cache::with_weighter(MAX_CACHED_BYTES as usize / 1024, MAX_CACHED_BYTES, Weight);
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

/// A text field of a rule; empty if the rule does not have it.
fn text(rule: &DynamicMessage, field: &str) -> String {
    rule.get_field_by_name(field).as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn top_level(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let unknown = || format!("the field '{name}' is unknown: {} has no such field", message.full_name());
    message.get_field_by_name(name).ok_or_else(unknown)
}
