//! A route: one HTTP rule of a method. It makes a request message of path, query and body, and the body of an answer.

use std::collections::HashMap;

use http::Method;
use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, SerializeOptions};
use serde_json::value::RawValue;
use tonic_types::FieldViolation;

use super::field::FieldPath;
use super::{Bindings, RouteError, parameters};
use crate::http_rule::HttpRule;
use crate::http_rule::percent::{self, Place};
use crate::http_rule::template::Template;
use crate::json::{self, JsonCache};

/// The kind of a custom rule for every verb.
const ANY_VERB: &str = "*";

/// One HTTP rule of a method.
#[derive(Debug)]
pub struct Route {
    /// The method that is called.
    pub method: MethodDescriptor,
    grpc_path: PathAndQuery,
    verb: Option<Method>,
    pub(crate) template: Template,
    variables: Vec<FieldPath>,
    body: Body,
    response_body: Option<FieldDescriptor>,
    /// The results of [`Route::response`].
    pub(crate) answers: JsonCache,
}

/// The fields in the body of a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing: it is empty, or `{}`, which some clients send with every request.
    None,
    /// All fields that are not in the path.
    Whole,
    /// One field of the request.
    Field(FieldDescriptor),
}

impl Route {
    pub(crate) fn new(method: &MethodDescriptor, rule: &HttpRule) -> Result<Self, RouteError> {
        let rule_error = |problem| RouteError::Rule { method: method.full_name().to_owned(), problem };
        let field_error = |field: &str, problem: String| RouteError::Field {
            method: method.full_name().to_owned(),
            field: field.to_owned(),
            problem,
        };
        if method.is_client_streaming() {
            return Err(rule_error("a stream of requests can't be sent over plain HTTP"));
        }
        let (verb, path) = pattern(rule).ok_or_else(|| rule_error("the rule has no verb with a path"))?;
        let template = Template::new(path).map_err(|problem| RouteError::Template {
            method: method.full_name().to_owned(),
            template: path.to_owned(),
            problem,
        })?;
        let (input, output) = (method.input(), method.output());
        let mut variables = Vec::new();
        for variable in template.variables() {
            let error = |problem| field_error(&variable.field, problem);
            let field = FieldPath::resolve(&input, &variable.field).map_err(error)?;
            if field.leaf().is_list() || field.leaf().kind().as_message().is_some() {
                return Err(error("is no single plain value, so no path can hold it".to_owned()));
            }
            if variables.contains(&field) {
                return Err(error("stands in the path twice".to_owned()));
            }
            variables.push(field);
        }
        let top_level = |message: &MessageDescriptor, name: &str| {
            let unknown = || field_error(name, format!("is unknown: {} has no such field", message.full_name()));
            message.get_field_by_name(name).ok_or_else(unknown)
        };
        let body = match rule.body.as_str() {
            "" => Body::None,
            "*" => Body::Whole,
            name => Body::Field(top_level(&input, name)?),
        };
        if let Body::Field(field) = &body
            && variables.iter().any(|variable| variable.root() == field)
        {
            return Err(field_error(field.name(), "stands in the path and in the body".to_owned()));
        }
        let response_body = match rule.response_body.as_str() {
            "" => None,
            name => Some(top_level(&output, name)?),
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let grpc_path = PathAndQuery::try_from(grpc_path).map_err(|_| rule_error("its name can't stand in a path"))?;
        let answers = JsonCache::new();
        Ok(Self { method: method.clone(), grpc_path, verb, template, variables, body, response_body, answers })
    }

    /// The gRPC path of the method: `/package.Service/Method`.
    pub fn grpc_path(&self) -> &PathAndQuery {
        &self.grpc_path
    }

    /// The HTTP verb; None for every verb.
    pub fn verb(&self) -> Option<&Method> {
        self.verb.as_ref()
    }

    /// The path template, as in the protos.
    pub fn template(&self) -> &str {
        self.template.text()
    }

    /// The fields in the path, with their names in the template.
    pub fn path_fields(&self) -> impl Iterator<Item = (&str, &FieldDescriptor)> {
        self.template.variables().iter().zip(&self.variables).map(|(v, field)| (v.field.as_str(), field.leaf()))
    }

    /// The fields in the body of a request.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Whether a request may have a body.
    pub fn takes_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// The field in the body of an answer; None for the whole response.
    pub fn response_body(&self) -> Option<&FieldDescriptor> {
        self.response_body.as_ref()
    }

    /// Whether the answer is a stream.
    pub fn is_server_streaming(&self) -> bool {
        self.method.is_server_streaming()
    }

    /// Whether another route has the same verb and matches the same paths.
    pub(crate) fn same_calls(&self, other: &Route) -> bool {
        self.precedence() == other.precedence() && self.verb == other.verb
    }

    /// The order of routes that match the same path.
    pub(crate) fn precedence(&self) -> impl Ord {
        (self.template.precedence(), self.verb.is_none())
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &FieldPath> {
        self.variables.iter()
    }

    /// The request message of a call. An empty body is an empty message, or an unset field.
    ///
    /// Violations name fields of the path and the body by their JSON path, and parameters as the client writes them.
    pub fn request(
        &self,
        bindings: &Bindings,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let mut violations = Vec::new();
        let mut message = self.read_body(body).unwrap_or_else(|problems| {
            violations = problems;
            DynamicMessage::new(self.method.input())
        });
        for ((field, variable), text) in self.variables.iter().zip(self.template.variables()).zip(&bindings.0) {
            if let Err(problem) = put_variable(field, variable.place, text, &mut message) {
                violations.push(FieldViolation::new(field.json(), problem));
            }
        }
        parameters::read(self, query.unwrap_or_default(), &mut message, &mut violations);
        if violations.is_empty() { Ok(message) } else { Err(violations) }
    }

    fn read_body(&self, body: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
        let input = self.method.input();
        match &self.body {
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

    /// The JSON of an answer.
    pub fn response(&self, message: &DynamicMessage) -> Vec<u8> {
        let Some(field) = &self.response_body else { return json::encode(message) };
        let set = message.has_field(field);
        let json = if set { json::encode(message) } else { defaults(message) };
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

/// Whether a body is the JSON object without fields.
fn is_empty_object(body: &[u8]) -> bool {
    let inside = body.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// A message with the defaults of unset fields.
fn defaults(message: &DynamicMessage) -> Vec<u8> {
    let mut json = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    match message.serialize_with_options(&mut json, &options) {
        Ok(()) => json.into_inner(),
        Err(_) => Vec::new(),
    }
}

fn put_variable(field: &FieldPath, place: Place, text: &str, message: &mut DynamicMessage) -> Result<(), String> {
    let text = percent::decode(text, place).map_err(|malformed| malformed.to_string())?;
    let value = field.value(&text)?;
    match field.get(message) {
        Some(other) if *other != value => Err("has another value in the body than in the path".to_owned()),
        _ => field.put(message, value),
    }
}

/// The verb and the path template of a rule. Every verb will do where there is none.
fn pattern(rule: &HttpRule) -> Option<(Option<Method>, &str)> {
    let (verb, path) = rule.pattern.as_ref()?;
    let verb = if verb == ANY_VERB { None } else { Some(Method::from_bytes(verb.as_bytes()).ok()?) };
    Some((verb, path))
}
