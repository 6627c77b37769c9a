//! The methods of any services as plain HTTP, as their `google.api.http` options say: which method a verb and a path
//! call, the request message from path, query and body, and the JSON of the answer.
//!
//! All of it comes from descriptors and is made of texts and messages. Headers, content types, statuses, streams and
//! the call itself are none of its business.
//!
//! What the definition of `google.api.http` leaves open is decided so:
//! - Of several templates that match a path, one with a `:verb` comes first, then the one that has a literal where the
//!   others have a `*`, and a `*` before a `**`, from left to right; last comes the rule for every verb.
//! - A path is split before it is decoded. So an encoded slash belongs to a segment, and an encoded colon begins no verb.
//! - An empty segment matches nothing, not even `**`; `**` matches no segments at all.
//! - Malformed percent-encoding is no literal; in a variable or a parameter it is a violation.
//! - An unset field of a response body is its default, or `null` when it is one that can be absent.

pub(crate) mod call;
mod field;
mod parameters;
#[path = "http_rule/percent.rs"]
mod percent;
mod route;
#[path = "http_rule/template.rs"]
mod template;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use feature_api::google::api::HttpRule;
use http::Method;
use prost_reflect::{DescriptorPool, MethodDescriptor};

pub use route::{Body, Route};

/// The option that says how a method is reached.
const HTTP_OPTION: &str = "google.api.http";

/// All routes of all methods.
#[derive(Debug)]
pub struct Routes {
    /// Those that come first where several match.
    routes: Vec<Arc<Route>>,
}

/// What a verb and a path lead to.
#[derive(Debug)]
pub enum Found<'r> {
    /// A method, and what the variables of its path stand for.
    Route(&'r Arc<Route>, Bindings),
    /// The path is known, but not with this verb.
    WrongVerb {
        /// The verbs that it is known with, sorted.
        allow: Vec<Method>,
    },
    /// The path is not known.
    Nothing,
}

/// What the variables of a path stand for, in their order and still percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings(Vec<String>);

/// Why the HTTP rules of a method can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The rule itself is wrong.
    #[error("{method}: {problem}")]
    Rule {
        /// The method's full name.
        method: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The path template is none.
    #[error("{method}: the template '{template}' {problem}")]
    Template {
        /// The method's full name.
        method: String,
        /// The template.
        template: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A field that the rule names can't stand where it does.
    #[error("{method}: the field '{field}' {problem}")]
    Field {
        /// The method's full name.
        method: String,
        /// The field's path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two rules are for the same verb and the same paths.
    #[error("{method}: the template '{template}' matches what {other} has with the same verb")]
    Ambiguous {
        /// The full name of the method with the second rule.
        method: String,
        /// The second template.
        template: String,
        /// The full name of the method with the first rule.
        other: String,
    },
}

impl Routes {
    /// Reads the rules of all methods in a pool. A pool without `google.api.http` has none.
    pub fn new(pool: &DescriptorPool) -> Result<Self, RouteError> {
        let mut routes: Vec<Arc<Route>> = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            for rule in rules(pool, &method)? {
                let route = Route::new(&method, &rule)?;
                if let Some(other) = routes.iter().find(|other| other.same_calls(&route)) {
                    return Err(RouteError::Ambiguous {
                        method: method.full_name().to_owned(),
                        template: route.template().to_owned(),
                        other: other.method.full_name().to_owned(),
                    });
                }
                routes.push(Arc::new(route));
            }
        }
        routes.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        Ok(Self { routes })
    }

    /// All routes, in the order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().map(Arc::as_ref)
    }

    /// What a verb and a path, without its query, lead to. Takes time in proportion to the path's length.
    pub fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let path = template::Path::new(path);
        let mut allow = Vec::new();
        for route in &self.routes {
            let Some(segments) = route.template.matches(&path) else { continue };
            match route.verb() {
                Some(other) if other != verb => allow.push(other.clone()),
                _ => return Found::Route(route, Bindings(route.template.bind(segments))),
            }
        }
        if allow.is_empty() {
            return Found::Nothing;
        }
        allow.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        Found::WrongVerb { allow }
    }
}

/// The rule of a method and its additional bindings.
fn rules(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Vec<HttpRule>, RouteError> {
    let Some(extension) = pool.get_extension_by_name(HTTP_OPTION) else { return Ok(Vec::new()) };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Ok(Vec::new());
    }
    let error = |problem| RouteError::Rule { method: method.full_name().to_owned(), problem };
    let value = options.get_extension(&extension);
    let rule = value.as_message().and_then(|message| message.transcode_to::<HttpRule>().ok());
    let mut first = rule.ok_or_else(|| error("the option google.api.http can't be read"))?;
    let mut rules = std::mem::take(&mut first.additional_bindings);
    if rules.iter().any(|rule| !rule.additional_bindings.is_empty()) {
        return Err(error("an additional binding has additional bindings"));
    }
    rules.insert(0, first);
    Ok(rules)
}
