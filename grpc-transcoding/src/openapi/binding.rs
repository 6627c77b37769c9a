//! The HTTP rules of a method that OpenAPI can describe.

use prost_reflect::MethodDescriptor;

use super::path::Path;
use crate::http_rule::template::Template;
use crate::http_rule::{self, HttpRule};

/// The verbs of OpenAPI.
const VERBS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

/// One way to call a method over HTTP.
#[derive(Debug)]
pub(crate) struct Binding {
    /// The verb in lower case, as in OpenAPI.
    pub(crate) verb: String,
    /// The path.
    pub(crate) path: Path,
    /// The request field in the body: `*` for all fields outside of the path, empty for no body.
    pub(crate) body: String,
    /// The response field in the body; empty for the whole response.
    pub(crate) response_body: String,
}

/// All bindings of a method; none if HTTP clients cannot call it.
pub(crate) fn bindings(method: &MethodDescriptor) -> Vec<Binding> {
    if method.is_client_streaming() {
        return Vec::new();
    }
    http_rule::rules(method).unwrap_or_default().into_iter().filter_map(Binding::new).collect()
}

impl Binding {
    fn new(rule: HttpRule) -> Option<Self> {
        let (verb, template) = rule.pattern?;
        let (verb, path) = (verb.to_ascii_lowercase(), Path::of(&Template::new(&template).ok()?));
        let known = VERBS.contains(&verb.as_str());
        known.then_some(Self { verb, path, body: rule.body, response_body: rule.response_body })
    }
}
