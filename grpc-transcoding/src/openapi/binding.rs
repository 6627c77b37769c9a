//! The HTTP rules of a method, read from its option `google.api.http`.

use feature_api::google::api::HttpRule;
use feature_api::google::api::http_rule::Pattern;
use prost_reflect::MethodDescriptor;

/// The option that carries the rule.
const HTTP_OPTION: &str = "google.api.http";

/// One way to call a method over HTTP.
#[derive(Debug)]
pub(crate) struct Binding {
    /// The verb in lower case, as OpenAPI spells it.
    pub(crate) verb: String,
    /// The path template.
    pub(crate) template: String,
    /// The request field that the body holds; `*` for all that the path does not give, empty for no body.
    pub(crate) body: String,
    /// The response field that the body holds; empty for the whole response.
    pub(crate) response_body: String,
}

/// All bindings of a method: none for one that HTTP clients cannot call.
pub(crate) fn bindings(method: &MethodDescriptor) -> Vec<Binding> {
    let rule = method.parent_pool().get_extension_by_name(HTTP_OPTION).and_then(|extension| {
        let options = method.options();
        options.get_extension(&extension).as_message()?.transcode_to::<HttpRule>().ok()
    });
    let Some(mut rule) = rule.filter(|_| !method.is_client_streaming()) else {
        return Vec::new();
    };
    let more = std::mem::take(&mut rule.additional_bindings);
    std::iter::once(rule).chain(more).filter_map(Binding::new).collect()
}

impl Binding {
    fn new(rule: HttpRule) -> Option<Self> {
        let (verb, template) = match rule.pattern? {
            Pattern::Get(path) => ("get".to_owned(), path),
            Pattern::Put(path) => ("put".to_owned(), path),
            Pattern::Post(path) => ("post".to_owned(), path),
            Pattern::Delete(path) => ("delete".to_owned(), path),
            Pattern::Patch(path) => ("patch".to_owned(), path),
            Pattern::Custom(custom) => (custom.kind.to_ascii_lowercase(), custom.path),
        };
        // OpenAPI knows these verbs and no others.
        let known = ["get", "put", "post", "delete", "patch", "head", "options", "trace"].contains(&verb.as_str());
        known.then_some(Self { verb, template, body: rule.body, response_body: rule.response_body })
    }
}
