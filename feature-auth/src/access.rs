//! The rights of a caller: the rule of the method, and the grants of the principal.
//!
//! The right is checked before an id is read, so that a caller without a right learns nothing about ids.

mod named;
mod rules;
mod user;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use feature_core::{InstanceId, Level, OrganizationId, Scope};

pub use self::named::{LevelRules, NamedCaller};
pub use self::rules::{AccessRules, MethodRules};
pub use self::user::UserAccess;
use crate::authenticate::principal::Principal;
use crate::error::AuthError;

/// The metadata that names an instance.
pub const INSTANCE_METADATA: &str = "x-zitadel-instance-id";

/// The metadata that names an organization.
pub const ORGANIZATION_METADATA: &str = "x-zitadel-orgid";

/// What a call says about the place of its resource. Each name is none unless it is implemented. Reading it fails with
/// [`AuthError::FieldInvalid`] when it is malformed.
///
/// [`Caller::admit`] reads a name only if the method needs it, and only after the right to call the method.
pub trait CallNames {
    /// The instance that the call names.
    fn instance(&self) -> Result<Option<InstanceId>, AuthError> {
        Ok(None)
    }

    /// The instance of a call that names none and whose credential has none.
    fn default_instance(&self) -> Result<Option<InstanceId>, AuthError> {
        Ok(None)
    }

    /// The organization that the call names.
    fn organization(&self) -> Result<Option<OrganizationId>, AuthError> {
        Ok(None)
    }
}

/// A call that names nothing.
impl CallNames for () {}

/// The caller of a method, with its rights on the method's resources. Reaching a resource fails with
/// [`AuthError::PermissionMissing`] when the caller has no right on it.
///
/// Equal callers have equal rights, so the same request gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Arc<Principal>,
    rule: Arc<Rule>,
    /// The instance of the call; `None` for methods without one.
    instance: Option<InstanceId>,
    /// The organization that the call names.
    named: Option<OrganizationId>,
}

impl Caller {
    /// Admits a principal to a method, unless no resource could be within its rights.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`] if no grant could be enough or the credential belongs to another
    /// instance than the call names, [`AuthError::InstanceUnknown`], or [`AuthError::FieldInvalid`] for a malformed
    /// name.
    pub fn admit(principal: Arc<Principal>, rule: Arc<Rule>, names: &impl CallNames) -> Result<Self, AuthError> {
        if !rule.may_suffice(&principal) {
            return Err(rule.denied(&principal));
        }
        let in_instance = rule.level.is_some_and(|level| level != Level::System);
        let instance = in_instance.then(|| instance_of_call(&principal, &rule, names)).transpose()?;
        let named = if rule.level == Some(Level::User) { names.organization()? } else { None };
        Ok(Self { principal, rule, instance, named })
    }

    /// The authenticated principal.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The subject of the principal, for the history.
    pub fn subject(&self) -> &str {
        &self.principal.subject
    }

    /// The error of a caller without the right that the method demands.
    pub fn missing(&self, why: &'static str) -> AuthError {
        self.rule.missing(why)
    }

    /// The system, if the caller has the right on it.
    pub fn system(&self) -> Result<Scope, AuthError> {
        let may = self.rule.permission.as_ref().is_none_or(|permission| {
            let anywhere = self.rule.exemption == Some(Exemption::Anywhere);
            self.principal.holds_everywhere(permission) || (anywhere && self.principal.holds_on_something(permission))
        });
        self.demand(may)?;
        Ok(Scope::System)
    }

    /// The instance of the call, if the caller has the right on it.
    pub fn instance(&self) -> Result<Scope, AuthError> {
        let instance = self.instance_id()?;
        let anywhere = self.is_exempt(Exemption::Anywhere) && self.granted_organizations().next().is_some();
        self.demand(self.holds_whole_instance() || anywhere)?;
        Ok(Scope::Instance(instance.clone()))
    }

    /// The organization with this id in the instance of the call, if the caller has the right on it: by a role in the
    /// instance, by a role in this organization or, if the rule exempts members, as a member.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`], and then [`AuthError::FieldInvalid`] for `organization_id`.
    pub fn organization(&self, raw_id: &str) -> Result<Scope, AuthError> {
        let instance = self.instance_id()?;
        let by_role = self.granted_organizations().any(|id| id.as_str() == raw_id);
        let own = self.principal.organization.as_ref().map(OrganizationId::as_str);
        let member = self.is_exempt(Exemption::Member) && own == Some(raw_id);
        self.demand(self.holds_whole_instance() || by_role || member)?;
        let id = OrganizationId::new(raw_id).map_err(|error| AuthError::field("organization_id", error))?;
        Ok(Scope::Organization(instance.clone(), id))
    }

    fn demand(&self, may: bool) -> Result<(), AuthError> {
        if may { Ok(()) } else { Err(self.rule.denied(&self.principal)) }
    }

    /// Whether the right covers everything in the instance of the call.
    fn holds_whole_instance(&self) -> bool {
        let holds = if self.at_home() { Principal::holds_in_instance } else { Principal::holds_everywhere };
        self.rule.permission.as_ref().is_none_or(|permission| holds(&self.principal, permission))
    }

    /// The organizations on which a role gives the right.
    fn granted_organizations(&self) -> impl Iterator<Item = &OrganizationId> {
        let permission = self.rule.permission.as_ref().filter(|_| self.at_home());
        permission.into_iter().flat_map(|permission| self.principal.holds_in_organizations(permission))
    }

    fn is_exempt(&self, exemption: Exemption) -> bool {
        self.rule.exemption == Some(exemption) && self.at_home()
    }

    /// Whether the call is for the credential's own instance. Ids are unique within their instance only, so rights
    /// bound to an instance or organization, membership and being a user count nowhere else.
    fn at_home(&self) -> bool {
        self.instance.is_some() && self.instance == self.principal.instance
    }

    fn instance_id(&self) -> Result<&InstanceId, AuthError> {
        self.instance.as_ref().ok_or(AuthError::InstanceUnknown)
    }
}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // These fields distinguish nearly all unequal callers.
        self.principal.identity.hash(state);
        self.instance.hash(state);
        self.named.hash(state);
    }
}

/// The instance of a call: the credential's own, or the one that the call names, or the default.
fn instance_of_call(principal: &Principal, rule: &Rule, names: &impl CallNames) -> Result<InstanceId, AuthError> {
    match (&principal.instance, names.instance()?) {
        (Some(own), Some(named)) if *own != named => {
            Err(rule.missing("the token belongs to another instance than x-zitadel-instance-id names"))
        }
        // A default of another instance is no contradiction: a token may be used through any address of the server.
        (Some(own), _) => Ok(own.clone()),
        (None, Some(named)) => Ok(named),
        (None, None) => names.default_instance()?.ok_or(AuthError::InstanceUnknown),
    }
}

/// The rule of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    permission: Option<String>,
    exemption: Option<Exemption>,
    level: Option<Level>,
}

/// Callers that need no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Members of the organization that the request names.
    Member,
    /// The user that the request names.
    SelfAccess,
    /// Callers to whom a role in any organization gives the permission.
    Anywhere,
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
    fn missing(&self, why: &'static str) -> AuthError {
        let permission = self.permission.as_deref().unwrap_or("authenticated").to_owned();
        AuthError::PermissionMissing { permission, why }
    }

    /// Whether the principal could have the right on some resource of the method's level.
    fn may_suffice(&self, principal: &Principal) -> bool {
        let Some(permission) = &self.permission else { return true };
        let in_any = || principal.holds_in_organizations(permission).next().is_some();
        let exempt = match self.exemption {
            None => false,
            Some(Exemption::Member | Exemption::SelfAccess) => true,
            Some(Exemption::Anywhere) => principal.holds_on_something(permission),
        };
        exempt
            || match self.level {
                None | Some(Level::System) => principal.holds_everywhere(permission),
                Some(Level::Instance) => principal.holds_in_instance(permission),
                Some(Level::Organization | Level::User) => principal.holds_in_instance(permission) || in_any(),
            }
    }

    /// The error of a principal whose grants are not enough.
    fn denied(&self, principal: &Principal) -> AuthError {
        self.missing(self.why_not(principal))
    }

    fn why_not(&self, principal: &Principal) -> &'static str {
        let Some(permission) = &self.permission else { return "nothing is needed" };
        if !principal.holds(permission) {
            return match self.exemption {
                Some(Exemption::Member) => {
                    "no role of the token holds it, and the token is of no member of the organization"
                }
                Some(Exemption::SelfAccess) => "no role of the token holds it, and the token is not of that user",
                Some(Exemption::Anywhere) | None => "no role of the token holds it",
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
