//! REST: the method for a verb and a path, the request message from path, query and body, and the JSON of the answer.
//!
//! Where the definition of `google.api.http` is open, these rules hold:
//! - Of several templates that match a path, one with a `:verb` comes first, then a literal before a `*` and a `*`
//!   before a `**`, from left to right. The rule for every verb comes last.
//! - A path is split before it is decoded: an encoded slash belongs to a segment, an encoded colon begins no verb.
//! - An empty segment matches nothing, not even `**`; `**` also matches no segments.
//! - Malformed percent-encoding never matches a literal; in a variable or a parameter it is a violation.
//! - An unset field of a response body is its default, or `null` if the field can be absent.
//! - A stream is one JSON text a line, or server-sent events if the client accepts these.

mod call;
mod events;
pub(crate) mod field;
pub(crate) mod route;
pub(crate) mod template;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use http::Method;
use prost_reflect::DescriptorPool;

pub use call::RestCall;
pub(crate) use route::Body;
pub use route::Route;

use crate::error::Error;

/// All routes of all methods.
#[derive(Debug)]
pub struct Routes {
    /// In the order of precedence.
    routes: Vec<Arc<Route>>,
}

/// Why the HTTP rules of a method cannot be served. A server finds this at its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method}: {problem}")]
pub struct RouteError {
    /// The method's full name.
    pub method: String,
    /// What is wrong with its rules.
    pub problem: String,
}

impl Routes {
    /// Reads the rules of all methods in a pool. A pool without `google.api.http` has none.
    pub fn new(pool: &DescriptorPool) -> Result<Self, RouteError> {
        let mut routes: Vec<Arc<Route>> = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let error = |problem| RouteError { method: method.full_name().to_owned(), problem };
            for route in Route::all(&method).map_err(error)? {
                let same = |other: &&Arc<Route>| other.precedence() == route.precedence() && other.verb == route.verb;
                if let Some(other) = routes.iter().find(same) {
                    let (template, other) = (&route.template.text, other.method.full_name());
                    let problem = format!("the template '{template}' matches what {other} has with the same verb");
                    return Err(error(problem));
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

    /// The call by a verb and a path without its query, in time proportional to the length of the path.
    ///
    /// # Errors
    /// [`Error::PathUnknown`], or [`Error::VerbNotAllowed`] with the verbs of the path, sorted.
    pub fn find(&self, verb: &Method, path: &str) -> Result<RestCall, Error> {
        let path = template::Path::new(path);
        let mut allow = Vec::new();
        for route in &self.routes {
            let Some(segments) = route.template.matches(&path) else { continue };
            match &route.verb {
                Some(other) if other != verb => allow.push(other.clone()),
                _ => {
                    return Ok(RestCall {
                        route: Arc::clone(route),
                        bindings: route.template.bind(segments),
                        sends_events: false,
                    });
                }
            }
        }
        if allow.is_empty() {
            return Err(Error::PathUnknown);
        }
        allow.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        Err(Error::VerbNotAllowed(allow))
    }
}
