//! The HTTP rules of methods: the option `google.api.http`, read from its dynamic message.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

pub(crate) mod percent;
pub(crate) mod template;

/// The option of a method with its rules.
const HTTP_OPTION: &str = "google.api.http";

/// The fields of a rule that are named after the verb they stand for.
const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// One rule of a method.
#[derive(Debug)]
pub(crate) struct HttpRule {
    /// The verb in upper case, or the kind of a custom rule, and the path template; None if the rule has neither.
    pub(crate) pattern: Option<(String, String)>,
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
    let Some(extension) = method.parent_pool().get_extension_by_name(HTTP_OPTION) else { return Ok(Vec::new()) };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Ok(Vec::new());
    }
    let value = options.get_extension(&extension);
    let unreadable = "the option google.api.http can't be read";
    let message = value.as_message().ok_or(unreadable)?;
    let mut rules = vec![HttpRule::read(message).ok_or(unreadable)?];
    let additional = message.get_field_by_name("additional_bindings").ok_or(unreadable)?;
    for binding in additional.as_list().ok_or(unreadable)? {
        let binding = binding.as_message().ok_or(unreadable)?;
        if binding.has_field_by_name("additional_bindings") {
            return Err("an additional binding has additional bindings");
        }
        rules.push(HttpRule::read(binding).ok_or(unreadable)?);
    }
    Ok(rules)
}

impl HttpRule {
    /// Reads a `google.api.HttpRule`; None if the message lacks its fields.
    fn read(rule: &DynamicMessage) -> Option<Self> {
        let verb = VERBS.into_iter().find(|verb| rule.has_field_by_name(verb));
        let pattern = match verb {
            Some(verb) => Some((verb.to_ascii_uppercase(), text(rule, verb)?)),
            None if rule.has_field_by_name("custom") => {
                let custom = rule.get_field_by_name("custom")?;
                let custom = custom.as_message()?;
                Some((text(custom, "kind")?, text(custom, "path")?))
            }
            None => None,
        };
        Some(Self { pattern, body: text(rule, "body")?, response_body: text(rule, "response_body")? })
    }
}

fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    message.get_field_by_name(field).as_deref().and_then(Value::as_str).map(str::to_owned)
}
