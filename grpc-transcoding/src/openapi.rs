//! The OpenAPI document of services, from their descriptors: HTTP rules, messages and comments. An [`Api`] adds what
//! the protos do not say, such as the headers of every call.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, MethodDescriptor};
use serde_json::{Value, json};

mod comments;
mod operation;
mod schema;
#[cfg(test)]
mod tests;

use comments::{comment, describe};
use operation::operation;
use schema::Schemas;

use crate::rest::Route;

/// The verbs of OpenAPI.
const VERBS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

/// The parts of the document that are not in the protos.
#[derive(Debug, Clone, Copy)]
pub struct Api<'a> {
    /// The name of the API.
    pub title: &'a str,
    /// Its description, in Markdown.
    pub description: &'a str,
    /// The version of its server.
    pub version: &'a str,
    /// The licence, by its SPDX identifier.
    pub license: &'a str,
    /// The headers of every call.
    pub headers: &'a [Header<'a>],
    /// The full names of the messages that the details of an error are made of.
    pub error_details: &'a [&'a str],
    /// The HTTP authentication scheme of every call, such as `bearer`; None if calls need no authentication.
    pub authentication: Option<&'a str>,
    /// Adds to the schema of a text field what the options of the field say about it.
    pub refine_text: fn(&FieldDescriptor, &mut Value),
}

/// A header of every call.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description, in Markdown.
    pub description: &'a str,
    /// The most characters of its value.
    pub max_characters: usize,
}

/// The document: all methods of a pool with an HTTP rule, except for those with a stream of requests.
///
/// The same pool gives the same document, byte for byte.
pub fn document(pool: &DescriptorPool, api: &Api<'_>) -> Value {
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let routes: Vec<Vec<_>> = methods.map(|method| routes(&method)).collect();
    let requests = routes.iter().flatten().map(|(_, route)| route.method.input());
    let mut schemas = Schemas::new(requests.collect(), api.refine_text);
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut tags = BTreeMap::new();
    for routes in &routes {
        for (index, (verb, route)) in routes.iter().enumerate() {
            let service = route.method.parent_service();
            let tag = tags.entry(service.full_name().to_owned()).or_insert(json!({"name": service.full_name()}));
            describe(tag, &comment(&service.parent_file(), service.path()));
            let (path, operation) = operation(route, index, &mut schemas, api);
            paths.entry(path).or_insert_with(|| json!({}))[verb] = operation;
        }
    }
    let error = error(pool, api.error_details, &mut schemas);
    let headers = api.headers.iter().map(|&Header { name, description, max_characters }| {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": max_characters});
        (name.to_owned(), json!({"name": name, "in": "header", "description": description, "schema": schema}))
    });
    let authentication = api.authentication;
    let scheme = |scheme: &str| (scheme.to_owned(), json!({"type": "http", "scheme": scheme}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": api.title,
            "description": api.description,
            "version": api.version,
            "license": {"name": api.license, "identifier": api.license},
        },
        // Relative to the address of the document.
        "servers": [{"url": "/"}],
        "security": authentication.map(|scheme| json!({scheme: []})).into_iter().collect::<Vec<_>>(),
        "tags": tags.into_values().collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": authentication.map(scheme).into_iter().collect::<serde_json::Map<_, _>>(),
            "parameters": headers.collect::<serde_json::Map<_, _>>(),
            "responses": {"Error": error},
            "schemas": schemas.components,
        },
    })
}

/// The routes of a method that OpenAPI can describe, with their verbs in its spelling.
fn routes(method: &MethodDescriptor) -> Vec<(String, Route)> {
    let with_verb = |route: Route| {
        let verb = route.verb.as_ref()?.as_str().to_ascii_lowercase();
        VERBS.contains(&verb.as_str()).then_some((verb, route))
    };
    Route::all(method).unwrap_or_default().into_iter().filter_map(with_verb).collect()
}

/// The answer to a failed call: a `google.rpc.Status` whose details have an `@type`.
fn error(pool: &DescriptorPool, details: &[&str], schemas: &mut Schemas) -> Value {
    let details = details.iter().filter_map(|name| pool.get_message_by_name(name)).map(|message| {
        let mut detail = schemas.message(&message);
        let name = format!("type.googleapis.com/{}", message.full_name());
        detail["properties"] = json!({"@type": {"const": name}});
        detail["required"] = json!(["@type"]);
        detail
    });
    let details: Vec<_> = details.collect();
    let detail = if details.is_empty() { schema::any() } else { json!({"oneOf": details}) };
    let status = json!({
        "type": "object",
        "title": "Status",
        "description": "Why a call was refused or failed.",
        "properties": {
            "code": {
                "type": "integer",
                "format": "int32",
                "description": "The gRPC status code (`google.rpc.Code`), which says more than the HTTP status.",
            },
            "message": {"type": "string", "description": "What went wrong, for developers to read."},
            "details": {
                "type": "array",
                "description": "What went wrong, for programs to read. `@type` says what an element is.",
                "items": detail,
            },
        },
    });
    json!({
        "description": "The call was refused or failed.",
        "content": {"application/json": {"schema": schemas.component("google.rpc.Status", |_| status)}},
    })
}
