//! One operation: its parameters, its body and its answers.

use std::ops::Range;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::Api;
use super::comments::{comment, describe, first_sentence};
use super::schema::Schemas;
use crate::headers::{EVENT_STREAM, JSON_LINES};
use crate::json::single_value;
use crate::rest::template::{Segment, Template, Variable};
use crate::rest::{Body, Route};

const JSON: &str = "application/json";

/// The path and the operation of a route. The first route of a method (`index` 0) has the method's name alone.
pub(crate) fn operation(route: &Route, index: usize, schemas: &mut Schemas, api: &Api<'_>) -> (String, Value) {
    let method = &route.method;
    let (path, in_path) = path(&route.template);
    let comment = comment(&method.parent_file(), method.path());
    let suffix = if index == 0 { String::new() } else { format!("_{}", index + 1) };
    let mut parameters: Vec<_> = in_path.iter().map(|p| path_parameter(route, p, schemas)).collect();
    let mut elsewhere: Vec<_> = route.variables.iter().map(|field| field.json()).collect();
    let body = match &route.body {
        Body::None => None,
        Body::Whole if elsewhere.is_empty() => Some(schemas.message(&method.input())),
        Body::Whole => Some(schemas.object(&method.input(), &elsewhere)),
        Body::Field(field) => {
            elsewhere.push(field.json_name().to_owned());
            Some(schemas.field(field))
        }
    };
    if route.body != Body::Whole {
        query(&method.input(), &mut Vec::new(), &elsewhere, schemas, &mut parameters);
    }
    let headers = api.headers.iter().map(|header| json!({"$ref": format!("#/components/parameters/{}", header.name)}));
    parameters.extend(headers);
    let mut value = json!({
        "operationId": format!("{}_{}{suffix}", method.parent_service().name(), method.name()),
        "tags": [method.parent_service().full_name()],
        "summary": first_sentence(&comment),
        "parameters": parameters,
        "responses": {
            "200": answer(route, schemas),
            "default": {"$ref": "#/components/responses/Error"},
        },
    });
    describe(&mut value, &comment);
    if let Some(body) = body {
        value["requestBody"] = json!({"required": true, "content": {JSON: {"schema": body}}});
    }
    if method.method_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
        value["deprecated"] = true.into();
    }
    (path, value)
}

/// One parameter of a path, for one wildcard of the template.
struct Parameter {
    name: String,
    /// The index of the variable with this value, or with this part of its value.
    variable: Option<usize>,
    /// Whether it is the whole value of the variable.
    whole: bool,
}

/// The path for a template such as `/v1/{name=shelves/*}/books/{book.id}:read`, with each parameter in braces.
///
/// A parameter of OpenAPI cannot hold a slash. So the literals of a variable become part of the path, and each of its
/// wildcards a parameter: named after the literal before it, which is a plural as a rule (AIP-122). No name has a dot,
/// because tools take that for a part of a field.
fn path(template: &Template) -> (String, Vec<Parameter>) {
    let is_wildcard = |segment: &&Segment| !matches!(segment, Segment::Literal(_));
    let wildcards = |range: Range<usize>| template.segments[range].iter().filter(is_wildcard).count();
    let (mut path, mut parameters) = (String::new(), Vec::<Parameter>::new());
    for (index, segment) in template.segments.iter().enumerate() {
        path.push('/');
        if let Segment::Literal(literal) = segment {
            path.push_str(literal);
            continue;
        }
        let variable = template.variables.iter().position(|variable| variable.segments.contains(&index));
        let collection = match index.checked_sub(1).map(|before| &template.segments[before]) {
            Some(Segment::Literal(literal)) if *segment == Segment::One => literal.strip_suffix('s'),
            _ => None,
        };
        let is_free = |name: &&str| {
            parameters.iter().all(|parameter| parameter.name != *name)
                && template.variables.iter().all(|variable| variable.field != *name)
        };
        let collection = collection.filter(is_free).map(str::to_owned);
        let (name, whole) = match variable.map(|variable| &template.variables[variable]) {
            Some(Variable { field, segments, .. }) if segments.len() == 1 => (field.replace('.', "_"), true),
            Some(Variable { field, segments, .. }) => {
                let number = wildcards(segments.start..index + 1);
                (collection.unwrap_or_else(|| format!("{}_{number}", field.replace('.', "_"))), false)
            }
            None => (collection.unwrap_or_else(|| format!("segment_{}", parameters.len() + 1)), false),
        };
        path.push_str(&format!("{{{name}}}"));
        parameters.push(Parameter { name, variable, whole });
    }
    if let Some(verb) = &template.verb {
        path.push(':');
        path.push_str(verb);
    }
    (path, parameters)
}

fn path_parameter(route: &Route, parameter: &Parameter, schemas: &mut Schemas) -> Value {
    let field = parameter.variable.map(|variable| &route.variables[variable].leaf);
    let mut schema = match field.filter(|_| parameter.whole) {
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

/// A parameter for each field that a query can have. `elsewhere` names fields of the path and the body in
/// JSON.
///
/// `above`: the fields from the request to the message. A query cannot have lists and maps of messages.
fn query(
    message: &MessageDescriptor,
    above: &mut Vec<FieldDescriptor>,
    elsewhere: &[String],
    schemas: &mut Schemas,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields() {
        above.push(field.clone());
        let name = above.iter().map(FieldDescriptor::json_name).collect::<Vec<_>>().join(".");
        let is_above = |kind: &Kind| above[..above.len() - 1].iter().any(|field| field.kind() == *kind);
        match field.kind() {
            _ if elsewhere.contains(&name) => {}
            Kind::Message(entry) if field.is_map() && single_value(entry.map_entry_value_field().kind()).is_some() => {
                let mut value = json!({"name": name, "in": "query", "schema": schemas.field(&field)});
                // Each entry is a parameter of its own: `labels[team]=web`.
                (value["style"], value["explode"]) = ("deepObject".into(), true.into());
                describe(&mut value, &comment(&field.parent_file(), field.path()));
                parameters.push(value);
            }
            kind if single_value(kind.clone()).is_some() => {
                let mut value = json!({"name": name, "in": "query", "schema": schemas.field(&field)});
                if schemas.is_required(&field) {
                    value["required"] = true.into();
                }
                describe(&mut value, &comment(&field.parent_file(), field.path()));
                parameters.push(value);
            }
            Kind::Message(inner) if field.cardinality() != Cardinality::Repeated && !is_above(&field.kind()) => {
                query(&inner, above, elsewhere, schemas, parameters);
            }
            _ => {}
        }
        above.pop();
    }
}

fn answer(route: &Route, schemas: &mut Schemas) -> Value {
    let output = route.method.output();
    let schema = match &route.response_body {
        Some(field) => schemas.field(field),
        None => schemas.message(&output),
    };
    let description = comment(&output.parent_file(), output.path());
    let description = if description.is_empty() { "OK".to_owned() } else { description };
    if route.method.is_server_streaming() {
        let schema = json!({"schema": schema});
        return json!({"description": description, "content": {JSON_LINES: schema, EVENT_STREAM: schema}});
    }
    json!({"description": description, "content": {JSON: {"schema": schema}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wildcard_becomes_a_parameter() {
        let table = [
            // template, path, parameters (with ! those that are a field's whole value), fields
            ("/v1/books/all", "/v1/books/all", "", ""),
            ("/v2/user/{user_id}", "/v2/user/{user_id}", "user_id!", "user_id"),
            ("/v1/{a.b}:read", "/v1/{a_b}:read", "a_b!", "a.b"),
            ("/v1/{name=books/*}", "/v1/books/{book}", "book", "name"),
            ("/v1/{name=users/*/books/*}", "/v1/users/{user}/books/{book}", "user book", "name"),
            ("/v1/{a.name=users/*/users/*}", "/v1/users/{user}/users/{a_name_2}", "user a_name_2", "a.name"),
            ("/v1/{name=a/*/b/**}:c", "/v1/a/{name_1}/b/{name_2}:c", "name_1 name_2", "name"),
            ("/v1/{kind=fixed}/{id}", "/v1/fixed/{id}", "id!", "kind id"),
            ("/v1/*/{id}/**", "/v1/{segment_1}/{id}/{segment_3}", "segment_1 id! segment_3", "id"),
        ];
        for (template, text, parameters, fields) in table {
            let template_read = Template::new(template).unwrap();
            let (path, found) = path(&template_read);
            assert_eq!(path, text, "{template}");
            let names = found.iter().map(|p| format!("{}{}", p.name, if p.whole { "!" } else { "" }));
            assert_eq!(names.collect::<Vec<_>>().join(" "), parameters, "{template}");
            let variables = template_read.variables.iter().map(|variable| variable.field.as_str());
            assert_eq!(variables.collect::<Vec<_>>().join(" "), fields, "{template}");
        }
    }
}
