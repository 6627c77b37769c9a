//! The rule of a method: which permission and level it demands of a caller, and which callers are exempt.

use std::collections::HashMap;
use std::sync::Arc;

use feature_core::Level;

use crate::authenticate::principal::Principal;
use crate::error::AuthError;

/// The rule of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) permission: Option<String>,
    pub(super) exemption: Option<Exemption>,
    pub(super) level: Option<Level>,
}

/// Callers that need no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Members of the organization that the request names.
    Member,
    /// The user that the request names.
    SelfAccess,
}

/// The rules of all methods, by path.
#[derive(Debug, Clone)]
pub struct AccessRules {
    by_path: HashMap<String, Option<Arc<Rule>>>,
    public_services: Vec<&'static str>,
}

impl AccessRules {
    /// The rules of all methods.
    ///
    /// * `rules`: the path of each method, such as `/package.Service/Method`, and its rule. A method without a rule is
    ///   closed.
    /// * `public_services`: the full names of the services that need no credential.
    pub fn new(
        rules: impl IntoIterator<Item = (String, Option<Rule>)>,
        public_services: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let by_path = rules.into_iter().map(|(path, rule)| (path, rule.map(Arc::new))).collect();
        Self { by_path, public_services: public_services.into_iter().collect() }
    }

    /// The rule of the method at this path; `None` if it is public.
    ///
    /// # Errors
    /// [`AuthError::MethodUnknown`] and [`AuthError::MethodWithoutAccess`]: a path without a rule is closed.
    pub fn find(&self, path: &str) -> Result<Option<Arc<Rule>>, AuthError> {
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        if service.is_some_and(|service| self.public_services.contains(&service)) {
            return Ok(None);
        }
        match self.by_path.get(path) {
            Some(Some(rule)) => Ok(Some(Arc::clone(rule))),
            Some(None) => Err(AuthError::MethodWithoutAccess(path.to_owned())),
            None => Err(AuthError::MethodUnknown(path.to_owned())),
        }
    }
}

impl Rule {
    /// A rule.
    ///
    /// * `permission`: the permission that callers need; `None` if every valid credential is enough.
    /// * `exemption`: callers that do not need the permission.
    /// * `level`: the level of the method's resource; `None` if the resource does not lie in an instance.
    pub fn new(permission: Option<String>, exemption: Option<Exemption>, level: Option<Level>) -> Self {
        Self { permission, exemption, level }
    }

    /// The error of a caller without the right.
    pub(super) fn missing(&self, why: &'static str) -> AuthError {
        let permission = self.permission.as_deref().unwrap_or("authenticated").to_owned();
        AuthError::PermissionMissing { permission, why }
    }

    /// The error of a principal whose grants are not enough.
    pub(super) fn denied(&self, principal: &Principal) -> AuthError {
        self.missing(self.why_not(principal))
    }

    /// Whether the principal could have the right on some resource of the method's level.
    pub(super) fn may_suffice(&self, principal: &Principal) -> bool {
        let Some(permission) = &self.permission else { return true };
        let in_any = || principal.holds_in_organizations(permission).next().is_some();
        self.exemption.is_some()
            || match self.level {
                None | Some(Level::System) => principal.holds_everywhere(permission),
                Some(Level::Instance) => principal.holds_in_instance(permission),
                Some(Level::Organization | Level::User) => principal.holds_in_instance(permission) || in_any(),
            }
    }

    fn why_not(&self, principal: &Principal) -> &'static str {
        let Some(permission) = &self.permission else { return "nothing is needed" };
        if !principal.holds(permission) {
            return match self.exemption {
                Some(Exemption::Member) => {
                    "no role of the token holds it, and the token is of no member of the organization"
                }
                Some(Exemption::SelfAccess) => "no role of the token holds it, and the token is not of that user",
                None => "no role of the token holds it",
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
