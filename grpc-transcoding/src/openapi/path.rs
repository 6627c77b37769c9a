//! Path templates as the paths and path parameters of OpenAPI.

use crate::http_rule::template::{Segment, Template, Variable};

/// A path of OpenAPI.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The path, with each parameter in braces.
    pub(crate) text: String,
    /// The parameters in their order.
    pub(crate) parameters: Vec<Parameter>,
}

/// One parameter, for one wildcard of the template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The index of the variable with this value, or with this part of its value.
    pub(crate) variable: Option<usize>,
    /// Whether it is the whole value of the variable.
    pub(crate) whole: bool,
}

impl Path {
    /// The path for a template such as `/v1/{name=shelves/*}/books/{book.id}:read`.
    ///
    /// A parameter of OpenAPI cannot hold a slash. So the literals of a variable become part of the path, and each of
    /// its wildcards a parameter.
    pub(crate) fn of(template: &Template) -> Self {
        let mut path = Path { text: String::new(), parameters: Vec::new() };
        for (index, segment) in template.segments.iter().enumerate() {
            path.text.push('/');
            if let Segment::Literal(literal) = segment {
                path.text.push_str(literal);
                continue;
            }
            let variable = template.variables.iter().position(|variable| variable.segments.contains(&index));
            let (name, whole) = match variable {
                Some(variable) => name(&template.variables[variable], index, &template.segments),
                None => (format!("segment.{}", path.parameters.len() + 1), false),
            };
            path.text.push_str(&format!("{{{name}}}"));
            path.parameters.push(Parameter { name, variable, whole });
        }
        if let Some(verb) = &template.verb {
            path.text.push(':');
            path.text.push_str(verb);
        }
        path
    }
}

/// The name of the parameter for the wildcard at `index`, and whether it is the whole value of its variable.
fn name(variable: &Variable, index: usize, segments: &[Segment]) -> (String, bool) {
    let wildcards = |range: std::ops::Range<usize>| {
        segments[range].iter().filter(|segment| !matches!(segment, Segment::Literal(_))).count()
    };
    let all = variable.segments.clone();
    let name = match wildcards(all.clone()) {
        1 => variable.field.clone(),
        _ => format!("{}.{}", variable.field, wildcards(all.start..index + 1)),
    };
    (name, all.len() == 1)
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
            ("/v1/{a.b}:read", "/v1/{a.b}:read", "a.b!", "a.b"),
            ("/v1/{name=shelves/*}", "/v1/shelves/{name}", "name", "name"),
            ("/v1/{name=a/*/b/**}:c", "/v1/a/{name.1}/b/{name.2}:c", "name.1 name.2", "name"),
            ("/v1/{kind=fixed}/{id}", "/v1/fixed/{id}", "id!", "kind id"),
            ("/v1/*/{id}/**", "/v1/{segment.1}/{id}/{segment.3}", "segment.1 id! segment.3", "id"),
        ];
        for (template, text, parameters, fields) in table {
            let template_read = Template::new(template).unwrap();
            let path = Path::of(&template_read);
            assert_eq!(path.text, text, "{template}");
            let names = path.parameters.iter().map(|p| format!("{}{}", p.name, if p.whole { "!" } else { "" }));
            assert_eq!(names.collect::<Vec<_>>().join(" "), parameters, "{template}");
            let variables = template_read.variables.iter().map(|variable| variable.field.as_str());
            assert_eq!(variables.collect::<Vec<_>>().join(" "), fields, "{template}");
        }
    }
}
