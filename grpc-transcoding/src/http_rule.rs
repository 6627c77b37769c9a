//! The HTTP rules of methods: the option `google.api.http`, read from its dynamic message.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

pub(crate) mod percent;
pub(crate) mod template;

/// The field with the other rules of a method.
const ADDITIONAL: &str = "additional_bindings";

/// The fields of a rule that are named after the verb they stand for.
const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// One rule of a method.
#[derive(Debug)]
pub(crate) struct HttpRule {
    /// The verb in upper case, or the kind of a custom rule. Empty, as the template is, if the rule has neither.
    pub(crate) verb: String,
    /// The path template.
    pub(crate) template: String,
    /// The request field in the body: `*` for all fields outside of the path, empty for no body.
    pub(crate) body: String,
    /// The response field in the body; empty for the whole response.
    pub(crate) response_body: String,
}

/// The rules of a method: the first one and its additional bindings. Methods without the option have none.
///
/// # Errors
/// The error says what is wrong with the option.
pub(crate) fn rules(method: &MethodDescriptor) -> Result<Vec<HttpRule>, &'static str> {
    let Some(extension) = method.parent_pool().get_extension_by_name("google.api.http") else { return Ok(Vec::new()) };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Ok(Vec::new());
    }
    let option = options.get_extension(&extension);
    let rule = option.as_message().ok_or("the option google.api.http can't be read")?;
    let mut rules = vec![HttpRule::read(rule)];
    let additional = rule.get_field_by_name(ADDITIONAL);
    for binding in additional.iter().filter_map(|bindings| bindings.as_list()).flatten().filter_map(Value::as_message) {
        if binding.has_field_by_name(ADDITIONAL) {
            return Err("an additional binding has additional bindings");
        }
        rules.push(HttpRule::read(binding));
    }
    Ok(rules)
}

impl HttpRule {
    /// Reads a `google.api.HttpRule`.
    fn read(rule: &DynamicMessage) -> Self {
        let custom = rule.get_field_by_name("custom");
        let custom =
            custom.as_deref().and_then(Value::as_message).map(|custom| (text(custom, "kind"), text(custom, "path")));
        let verb = VERBS.into_iter().find(|verb| rule.has_field_by_name(verb));
        let (verb, template) = match verb {
            Some(verb) => (verb.to_ascii_uppercase(), text(rule, verb)),
            None => custom.unwrap_or_default(),
        };
        Self { verb, template, body: text(rule, "body"), response_body: text(rule, "response_body") }
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
