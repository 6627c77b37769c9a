//! Path templates of `google.api.http`, as the paths and path parameters of OpenAPI.

/// A path in OpenAPI's form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The path, with each parameter in braces.
    pub(crate) text: String,
    /// The parameters in their order.
    pub(crate) parameters: Vec<Parameter>,
    /// The fields that the path gives, by their dotted proto names.
    pub(crate) fields: Vec<String>,
}

/// One parameter: what stands in for one wildcard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The field that it is a value of, or a part of one.
    pub(crate) field: Option<String>,
    /// Whether it is the field's whole value.
    pub(crate) whole: bool,
}

impl Path {
    /// Reads a template such as `/v1/{name=shelves/*}/books/{book.id}:read`.
    ///
    /// A parameter of OpenAPI cannot hold a slash. So the literal parts of a variable become part of the path, and each
    /// of its wildcards a parameter.
    pub(crate) fn parse(template: &str) -> Self {
        let mut path = Path { text: String::new(), parameters: Vec::new(), fields: Vec::new() };
        let mut rest = template;
        while let Some(at) = rest.find(['{', '*']) {
            path.text.push_str(&rest[..at]);
            rest = match rest[at..].strip_prefix('{') {
                Some(variable) => {
                    let (variable, after) = variable.split_once('}').unwrap_or((variable, ""));
                    path.variable(variable);
                    after
                }
                None => {
                    path.parameter(format!("segment.{}", path.parameters.len() + 1), None, false);
                    rest[at..].trim_start_matches('*')
                }
            };
        }
        path.text.push_str(rest);
        path
    }

    fn variable(&mut self, variable: &str) {
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        let segments: Vec<_> = pattern.split('/').collect();
        let wildcards = segments.iter().filter(|segment| segment.starts_with('*')).count();
        let mut number = 0;
        for (index, segment) in segments.iter().enumerate() {
            if index > 0 {
                self.text.push('/');
            }
            if segment.starts_with('*') {
                number += 1;
                let name = if wildcards == 1 { field.to_owned() } else { format!("{field}.{number}") };
                self.parameter(name, Some(field.to_owned()), segments.len() == 1);
            } else {
                self.text.push_str(segment);
            }
        }
        self.fields.push(field.to_owned());
    }

    fn parameter(&mut self, name: String, field: Option<String>, whole: bool) {
        self.text.push_str(&format!("{{{name}}}"));
        self.parameters.push(Parameter { name, field, whole });
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn each_wildcard_becomes_a_parameter() {
        let table = [
            // template, path, parameters (with ! those that are a field's whole value), fields
            ("/v2/features/system", "/v2/features/system", "", ""),
            ("/v2/user/{user_id}", "/v2/user/{user_id}", "user_id!", "user_id"),
            ("/v1/{a.b}:read", "/v1/{a.b}:read", "a.b!", "a.b"),
            ("/v1/{name=shelves/*}", "/v1/shelves/{name}", "name", "name"),
            ("/v1/{name=a/*/b/**}/c", "/v1/a/{name.1}/b/{name.2}/c", "name.1 name.2", "name"),
            ("/v1/{kind=fixed}/{id}", "/v1/fixed/{id}", "id!", "kind id"),
            ("/v1/*/{id}/**", "/v1/{segment.1}/{id}/{segment.3}", "segment.1 id! segment.3", "id"),
        ];
        for (template, text, parameters, fields) in table {
            let path = Path::parse(template);
            assert_eq!(path.text, text, "{template}");
            let names = path.parameters.iter().map(|p| format!("{}{}", p.name, if p.whole { "!" } else { "" }));
            assert_eq!(names.collect::<Vec<_>>().join(" "), parameters, "{template}");
            assert_eq!(path.fields.join(" "), fields, "{template}");
        }
    }
}
