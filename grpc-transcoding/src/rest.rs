//! REST: the method for a verb and a path, the request message from path, query and body, and the JSON of the answer.
//!
//! Where the definition of `google.api.http` is open, these rules hold:
//! - Of several templates that match a path, one with a `:verb` comes first, then a literal before a `*` and a `*`
//!   before a `**`, from left to right. The rule for every verb comes last.
//! - A path is split before it is decoded: an encoded slash belongs to a segment, an encoded colon begins no verb.
//! - An empty segment matches nothing, not even `**`; `**` also matches no segments.
//! - Malformed percent-encoding never matches a literal; in a variable or a parameter it is a violation.
//! - An unset field of a response body is its default, or `null` if the field can be absent.

pub(crate) mod call;
mod field;
mod parameters;
mod route;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use http::Method;
use prost_reflect::DescriptorPool;

pub use call::RestCall;
pub use route::{Body, Route};

use crate::http_rule::{self, template};

/// All routes of all methods.
#[derive(Debug)]
pub struct Routes {
    /// In the order of precedence.
    routes: Vec<Arc<Route>>,
}

/// The route for a verb and a path.
#[derive(Debug)]
pub enum Found<'r> {
    /// A route, and the values of its path variables.
    Route(&'r Arc<Route>, Bindings),
    /// The path exists, but not with this verb.
    WrongVerb {
        /// The verbs of the path, sorted.
        allow: Vec<Method>,
    },
    /// No route has this path.
    Nothing,
}

/// The values of path variables, in their order and percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings(Vec<String>);

/// Why the HTTP rules of a method cannot be served. A server finds this at its start.
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
    /// The path template is malformed.
    #[error("{method}: the template '{template}' {problem}")]
    Template {
        /// The method's full name.
        method: String,
        /// The template.
        template: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A field cannot have this place in the rule.
    #[error("{method}: the field '{field}' {problem}")]
    Field {
        /// The method's full name.
        method: String,
        /// The field's path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two rules have the same verb and match the same paths.
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
            let rule_error = |problem| RouteError::Rule { method: method.full_name().to_owned(), problem };
            for rule in http_rule::rules(&method).map_err(rule_error)? {
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

    /// The route for a verb and a path without its query, in time proportional to the length of the path.
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
