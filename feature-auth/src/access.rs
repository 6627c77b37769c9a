//! The rights of a caller: the rule of the method, and the grants of the principal.
//!
//! The right is checked before an id is read, so that a caller without a right learns nothing about ids.

mod rule;
mod user;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use feature_core::{InstanceId, Level, OrganizationId, Scope, UserId};

pub use self::rule::{Exemption, Rule, Rules};
pub use self::user::UserAccess;
use crate::authenticate::principal::Principal;
use crate::error::AuthError;

/// The metadata that names an instance.
pub const INSTANCE_METADATA: &str = "x-zitadel-instance-id";

/// The metadata that names an organization.
pub const ORGANIZATION_METADATA: &str = "x-zitadel-orgid";

/// What a call says about the place of its resource. Each name is none unless it is implemented.
///
/// [`Caller::admit`] reads a name only if the method needs it, and only after the right to call the method.
pub trait CallNames {
    /// The instance that the call names.
    ///
    /// # Errors
    /// [`AuthError::FieldInvalid`] if the name is malformed.
    fn instance(&self) -> Result<Option<InstanceId>, AuthError> {
        Ok(None)
    }

    /// The instance of a call that names none and whose credential has none.
    ///
    /// # Errors
    /// [`AuthError::FieldInvalid`] if the name that it depends on is malformed.
    fn default_instance(&self) -> Result<Option<InstanceId>, AuthError> {
        Ok(None)
    }

    /// The organization that the call names.
    ///
    /// # Errors
    /// [`AuthError::FieldInvalid`] if the name is malformed.
    fn organization(&self) -> Result<Option<OrganizationId>, AuthError> {
        Ok(None)
    }
}

/// A call that names nothing.
impl CallNames for () {}

/// The caller of a method, with its rights on the method's resources.
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
    /// # Errors [`AuthError::PermissionMissing`] if no grant could be enough or the credential belongs to another
    /// instance than the call names, [`AuthError::InstanceUnknown`], or [`AuthError::FieldInvalid`] for a malformed
    /// name.
    pub fn admit(principal: Arc<Principal>, rule: Arc<Rule>, names: &impl CallNames) -> Result<Self, AuthError> {
        if !rule.may_suffice(&principal) {
            return Err(rule.missing(rule.why_not(&principal)));
        }
        let instance = match rule.level() {
            None | Some(Level::System) => None,
            Some(Level::Instance | Level::Organization | Level::User) => {
                Some(instance_of_call(&principal, &rule, names)?)
            }
        };
        let named = match rule.level() {
            Some(Level::User) => names.organization()?,
            _ => None,
        };
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
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`].
    pub fn system(&self) -> Result<Scope, AuthError> {
        match self.rule.permission() {
            Some(permission) if !self.principal.holds_everywhere(permission) => Err(self.denied()),
            _ => Ok(Scope::System),
        }
    }

    /// The instance of the call, if the caller has the right on it.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`].
    pub fn instance(&self) -> Result<Scope, AuthError> {
        let instance = self.instance_id()?;
        if self.holds_whole_instance() { Ok(Scope::Instance(instance.clone())) } else { Err(self.denied()) }
    }

    /// The organization with this id in the instance of the call, if the caller has the right on it: by a role in the
    /// instance, by a role in this organization or, if the rule exempts members, as a member.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`], and then [`AuthError::FieldInvalid`] for `organization_id`.
    pub fn organization(&self, raw_id: &str) -> Result<Scope, AuthError> {
        let instance = self.instance_id()?;
        let granted = |permission| self.principal.holds_in_organizations(permission).any(|id| id.as_str() == raw_id);
        let by_role = self.at_home() && self.rule.permission().is_some_and(granted);
        let member = self.rule.exempts(Exemption::Member)
            && self.at_home()
            && self.principal.organization.as_ref().is_some_and(|id| id.as_str() == raw_id);
        if !(self.holds_whole_instance() || by_role || member) {
            return Err(self.denied());
        }
        let id = OrganizationId::new(raw_id).map_err(|error| AuthError::field("organization_id", error))?;
        Ok(Scope::Organization(instance.clone(), id))
    }

    /// The user with this id in the instance of the call, if the caller may have a right on the user: by a role in the
    /// instance, by a role in some organization or, if the rule exempts it, as that user. The extent of the right
    /// depends on the user's organization, see [`UserAccess`].
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`], and then [`AuthError::FieldInvalid`] for `user_id`.
    pub fn user(&self, raw_id: &str) -> Result<UserAccess, AuthError> {
        let instance = self.instance_id()?;
        let by_role = self.rule.permission().is_some_and(|permission| {
            self.at_home() && self.principal.holds_in_organizations(permission).next().is_some()
        });
        let self_access = self.rule.exempts(Exemption::SelfAccess)
            && self.at_home()
            && self.principal.user.as_ref().is_some_and(|id| id.as_str() == raw_id);
        if !(self.holds_whole_instance() || by_role || self_access) {
            return Err(self.denied());
        }
        let id = UserId::new(raw_id).map_err(|error| AuthError::field("user_id", error))?;
        Ok(UserAccess::new(Scope::User(instance.clone(), id), self, self_access))
    }

    /// Whether the right covers everything in the instance of the call.
    fn holds_whole_instance(&self) -> bool {
        self.rule.permission().is_none_or(|permission| {
            self.principal.holds_everywhere(permission)
                || (self.at_home() && self.principal.holds_in_instance(permission))
        })
    }

    /// Whether the call is for the credential's own instance. Ids are unique within their instance only, so rights
    /// bound to an instance or organization, membership and being a user count nowhere else.
    fn at_home(&self) -> bool {
        self.instance.is_some() && self.instance == self.principal.instance
    }

    fn instance_id(&self) -> Result<&InstanceId, AuthError> {
        self.instance.as_ref().ok_or(AuthError::InstanceUnknown)
    }

    fn denied(&self) -> AuthError {
        self.rule.missing(self.rule.why_not(&self.principal))
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

#[cfg(test)]
mod tests;
