//! The rule of a method: what its option in the protos demands of a caller. Where resources lie is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use feature_api::schema::{Access, Exception, Method, Schema};
use feature_core::Level;

use crate::auth::authenticate::principal::Principal;
use crate::error::Failure;

/// The services that anybody may call without a token. They show no settings: health says whether the server
/// works, which load balancers ask without a token, and reflection shows the protos, which are public. Their protos
/// are not this project's, so they cannot carry its options.
pub const PUBLIC_SERVICES: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// Who may call a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The permission that is needed; `None` when every valid token suffices.
    permission: Option<String>,
    /// Whether members of the organization that the request names need no permission.
    pub(super) members: bool,
    /// Whether the user whom the request names needs no permission.
    pub(super) itself: bool,
    /// What the method is about. One without a level is about nothing that lies in an instance.
    pub(super) level: Option<Level>,
}

/// How a call is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Without a token.
    Public,
    /// As this rule says.
    By(Arc<Rule>),
}

/// The rules of all methods, by their paths. A method whose proto has no rule is there without one.
#[derive(Debug, Clone)]
pub struct Rules {
    by_path: HashMap<String, Option<Arc<Rule>>>,
}

impl Rules {
    /// The rules that the protos hold.
    pub fn new(schema: &Schema) -> Self {
        let rule = |method: &Method| method.access.as_ref().map(|access| Arc::new(Rule::new(access, method.level())));
        Self { by_path: schema.methods().map(|method| (method.path.clone(), rule(method))).collect() }
    }

    /// How a call of the method at this path is let in.
    ///
    /// # Errors
    /// [`Failure::MethodUnknown`] and [`Failure::MethodWithoutAccess`]: what has no rule is closed.
    pub fn admission(&self, path: &str) -> Result<Admission, Failure> {
        if is_public(path) {
            return Ok(Admission::Public);
        }
        match self.by_path.get(path) {
            Some(Some(rule)) => Ok(Admission::By(Arc::clone(rule))),
            Some(None) => Err(Failure::MethodWithoutAccess(path.to_owned())),
            None => Err(Failure::MethodUnknown(path.to_owned())),
        }
    }
}

fn is_public(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
    service.is_some_and(|service| PUBLIC_SERVICES.contains(&service))
}

impl Rule {
    /// The rule of a method on this level.
    pub fn new(access: &Access, level: Option<Level>) -> Self {
        let (permission, exception) = match access {
            Access::Authenticated => (None, None),
            Access::Permission { name, exception } => (Some(name.clone()), exception.as_ref()),
        };
        Self {
            permission,
            members: matches!(exception, Some(Exception::Member)),
            itself: matches!(exception, Some(Exception::Itself)),
            level,
        }
    }

    /// The permission that is needed.
    pub(super) fn permission(&self) -> Option<&str> {
        self.permission.as_deref()
    }

    /// That a caller lacks what the rule demands.
    pub(super) fn missing(&self, why: &'static str) -> Failure {
        let permission = self.permission().unwrap_or("authenticated").to_owned();
        Failure::PermissionMissing { permission, why }
    }

    /// Whether the principal could have the right on some resource of the method's level.
    pub(super) fn may_suffice(&self, principal: &Principal) -> bool {
        let Some(permission) = self.permission() else { return true };
        let excepted = self.members || self.itself;
        excepted
            || match self.level {
                None | Some(Level::System) => principal.holds_everywhere(permission),
                Some(Level::Instance) => {
                    principal.holds_everywhere(permission) || principal.holds_in_instance(permission)
                }
                Some(Level::Organization | Level::User) => {
                    principal.holds_everywhere(permission)
                        || principal.holds_in_instance(permission)
                        || principal.holds_in_organizations(permission).next().is_some()
                }
            }
    }

    /// Why the principal's grants do not suffice, once that is clear.
    pub(super) fn why_not(&self, principal: &Principal) -> &'static str {
        let Some(permission) = self.permission() else { return "nothing is needed" };
        if !principal.holds(permission) {
            return match (self.members, self.itself) {
                (true, _) => "no role of the token holds it, and the token is of no member of the organization",
                (_, true) => "no role of the token holds it, and the token is not of that user",
                _ => "no role of the token holds it",
            };
        }
        if principal.instance.is_none() {
            return "a role holds it, but is bound to an instance, and the token belongs to none: \
                    get a token of an instance";
        }
        match self.level {
            None | Some(Level::System) => "a role holds it, but is bound to its instance",
            Some(Level::Instance) => "a role holds it, but is bound to its organization",
            Some(Level::Organization) => "a role holds it, but is bound to another organization",
            Some(Level::User) => "a role holds it, but is bound to an organization, and was granted in none",
        }
    }
}

#[cfg(test)]
mod tests;
