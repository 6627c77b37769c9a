//! The OpenAPI document, made of the descriptors: HTTP rules, messages, and the comments of the protos.
//!
//! It knows no service and no feature. What the protos don't say, such as headers that go with every call, is told by
//! an [`Api`]. Nothing here serves the document.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use serde_json::{Value, json};

mod binding;
mod comments;
mod operation;
mod path;
mod schema;
#[cfg(test)]
mod tests;
mod well_known;

use binding::bindings;
use comments::{comment, describe};
use operation::Operation;
use schema::Schemas;

/// The version of OpenAPI that the document keeps to.
const OPENAPI: &str = "3.1.0";

/// What every type name in an `@type` begins with.
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// What the document says beside what the protos say.
#[derive(Debug, Clone, Copy)]
pub struct Api<'a> {
    /// The name of the API.
    pub title: &'a str,
    /// What it is, in Markdown.
    pub description: &'a str,
    /// The version of what serves it.
    pub version: &'a str,
    /// The licence, by its SPDX identifier.
    pub license: &'a str,
    /// The headers that any call may have.
    pub headers: &'a [Header<'a>],
    /// The full names of the messages that the details of an error are made of.
    pub error_details: &'a [&'a str],
}

/// A header that any call may have.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for, in Markdown.
    pub description: &'a str,
    /// The most characters that its value may have.
    pub max_characters: usize,
}

/// The document: all methods of a pool that have an HTTP rule, called with a bearer token.
///
/// The same pool gives the same document to the byte. Methods to which the client streams are left out.
pub fn document(pool: &DescriptorPool, api: &Api<'_>) -> Value {
    let methods: Vec<_> = pool.services().flat_map(methods).collect();
    let mut schemas = Schemas::new(methods.iter().map(MethodDescriptor::input));
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut tags = BTreeMap::new();
    for method in &methods {
        tags.insert(method.parent_service().full_name().to_owned(), tag(method.parent_service()));
        for (index, binding) in bindings(method).iter().enumerate() {
            let operation = Operation::new(method, binding, index, &mut schemas, api);
            paths.entry(operation.path).or_insert_with(|| json!({}))[&binding.verb] = operation.value;
        }
    }
    let error = error(pool, api.error_details, &mut schemas);
    json!({
        "openapi": OPENAPI,
        "info": {
            "title": api.title,
            "description": api.description,
            "version": api.version,
            "license": {"name": api.license, "identifier": api.license},
        },
        // Relative to where the document came from.
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags.into_values().collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": headers(api.headers),
            "responses": {"Error": error},
            "schemas": schemas.into_components(),
        },
    })
}

fn methods(service: ServiceDescriptor) -> Vec<MethodDescriptor> {
    service.methods().filter(|method| !bindings(method).is_empty()).collect()
}

fn tag(service: &ServiceDescriptor) -> Value {
    let mut tag = json!({"name": service.full_name()});
    describe(&mut tag, &comment(&service.parent_file(), service.path()));
    tag
}

fn headers(headers: &[Header<'_>]) -> BTreeMap<String, Value> {
    let parameter = |header: &Header<'_>| {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": header.max_characters});
        let Header { name, description, .. } = *header;
        (name.to_owned(), json!({"name": name, "in": "header", "description": description, "schema": schema}))
    };
    headers.iter().map(parameter).collect()
}

/// A refused call: `google.rpc.Status`, whose details tell their type.
fn error(pool: &DescriptorPool, details: &[&str], schemas: &mut Schemas) -> Value {
    let details = details.iter().filter_map(|name| pool.get_message_by_name(name)).map(|message| {
        let mut detail = schemas.message(&message);
        let name = format!("{TYPE_PREFIX}{}", message.full_name());
        detail["properties"] = json!({"@type": {"const": name}});
        detail["required"] = json!(["@type"]);
        detail
    });
    let details: Vec<_> = details.collect();
    let detail = if details.is_empty() { well_known::any() } else { json!({"oneOf": details}) };
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
        "content": {"application/json": {"schema": schemas.named("google.rpc.Status", status)}},
    })
}
