//! One operation: its parameters, its body and its answers.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Value, json};

use super::Api;
use super::binding::Binding;
use super::comments::{comment, describe, first_sentence};
use super::path::Parameter;
use super::schema::Schemas;

const JSON: &str = "application/json";

/// The content type of a stream of answers: one JSON text a line.
const JSON_LINES: &str = "application/x-ndjson";

/// An operation and its path.
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) value: Value,
}

impl Operation {
    /// `index`: of the binding. The first one has the name of the method alone.
    pub(crate) fn new(
        method: &MethodDescriptor,
        binding: &Binding,
        index: usize,
        schemas: &mut Schemas,
        api: &Api<'_>,
    ) -> Self {
        let path = &binding.path;
        let input = method.input();
        let comment = comment(&method.parent_file(), method.path());
        let suffix = if index == 0 { String::new() } else { format!("_{}", index + 1) };
        let mut parameters: Vec<_> = path.parameters.iter().map(|p| path_parameter(&input, p, schemas)).collect();
        let elsewhere = [&path.fields[..], std::slice::from_ref(&binding.body)].concat();
        if binding.body != "*" {
            query(&input, &mut Vec::new(), &elsewhere, schemas, &mut parameters);
        }
        let headers =
            api.headers.iter().map(|header| json!({"$ref": format!("#/components/parameters/{}", header.name)}));
        parameters.extend(headers);
        let mut value = json!({
            "operationId": format!("{}_{}{suffix}", method.parent_service().name(), method.name()),
            "tags": [method.parent_service().full_name()],
            "summary": first_sentence(&comment),
            "parameters": parameters,
            "responses": {
                "200": answer(method, binding, schemas),
                "default": {"$ref": "#/components/responses/Error"},
            },
        });
        describe(&mut value, &comment);
        if let Some(body) = body(&input, binding, &path.fields, schemas) {
            value["requestBody"] = json!({"required": true, "content": {JSON: {"schema": body}}});
        }
        if method.method_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            value["deprecated"] = true.into();
        }
        Self { path: path.text.clone(), value }
    }
}

fn path_parameter(input: &MessageDescriptor, parameter: &Parameter, schemas: &mut Schemas) -> Value {
    let field = parameter.field.as_deref().and_then(|name| field(input, name));
    let mut schema = match field.as_ref().filter(|_| parameter.whole) {
        Some(field) => schemas.field(field),
        None => json!({"type": "string"}),
    };
    if schema["type"] == "string" && schema.get("enum").is_none() {
        // An empty segment makes another path.
        schema["minLength"] = 1.into();
    }
    if let Some(schema) = schema.as_object_mut() {
        // A part of a path has a value always.
        schema.remove("default");
    }
    let mut value = json!({"name": parameter.name, "in": "path", "required": true, "schema": schema});
    if let Some(field) = field {
        describe(&mut value, &comment(&field.parent_file(), field.path()));
    }
    value
}

/// The field with this dotted name.
fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    match name.split_once('.') {
        None => message.get_field_by_name(name),
        Some((first, rest)) => field(message.get_field_by_name(first)?.kind().as_message()?, rest),
    }
}

/// A parameter for each field that a query can have. `elsewhere` names fields of the path and the body.
///
/// `above`: the fields from the request to the message. A query cannot have maps and lists of messages.
fn query(
    message: &MessageDescriptor,
    above: &mut Vec<FieldDescriptor>,
    elsewhere: &[String],
    schemas: &mut Schemas,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields() {
        above.push(field.clone());
        let name = |part: fn(&FieldDescriptor) -> &str| above.iter().map(part).collect::<Vec<_>>().join(".");
        let (name, json_name) = (name(FieldDescriptor::name), name(FieldDescriptor::json_name));
        if !elsewhere.contains(&name) {
            match field.kind() {
                Kind::Message(inner) if !is_one_value(&inner) => {
                    let again =
                        above[..above.len() - 1].iter().any(|field| field.kind() == Kind::Message(inner.clone()));
                    if field.cardinality() != prost_reflect::Cardinality::Repeated && !again {
                        query(&inner, above, elsewhere, schemas, parameters);
                    }
                }
                _ => {
                    let mut value = json!({"name": json_name, "in": "query", "schema": schemas.field(&field)});
                    describe(&mut value, &comment(&field.parent_file(), field.path()));
                    parameters.push(value);
                }
            }
        }
        above.pop();
    }
}

/// Whether the JSON of a message is a text, a number or a boolean.
fn is_one_value(message: &MessageDescriptor) -> bool {
    let schema = super::well_known::schema(message.full_name());
    schema.is_some_and(|schema| !matches!(schema["type"].as_str(), Some("object" | "array")) && schema != json!({}))
}

fn body(input: &MessageDescriptor, binding: &Binding, in_path: &[String], schemas: &mut Schemas) -> Option<Value> {
    match binding.body.as_str() {
        "" => None,
        "*" if in_path.is_empty() => Some(schemas.message(input)),
        "*" => Some(schemas.object(input, in_path)),
        name => Some(schemas.field(&input.get_field_by_name(name)?)),
    }
}

fn answer(method: &MethodDescriptor, binding: &Binding, schemas: &mut Schemas) -> Value {
    let output = method.output();
    let schema = match output.get_field_by_name(&binding.response_body) {
        Some(field) => schemas.field(&field),
        None => schemas.message(&output),
    };
    let description = comment(&output.parent_file(), output.path());
    let description = if description.is_empty() { "OK".to_owned() } else { description };
    let content_type = if method.is_server_streaming() { JSON_LINES } else { JSON };
    json!({"description": description, "content": {content_type: {"schema": schema}}})
}
