//! What a caller may do: the rule of the method against the grants of the principal. Tokens are not known here.
//!
//! A right is looked for before an id is checked, so that who may not do a thing learns nothing about it.

mod instance;
mod rule;
mod user;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use feature_core::{InstanceId, Level, OrganizationId, Scope, UserId};
use http::Extensions;

pub use self::instance::Instances;
pub use self::rule::{Admission, PUBLIC_SERVICES, Rule, Rules};
pub use self::user::UserAccess;
use crate::auth::authenticate::principal::Principal;
use crate::error::Failure;

/// The metadata that names an organization.
pub const ORGANIZATION_METADATA: &str = "x-zitadel-orgid";

/// Who calls a method, and what they may do to the resources that it is about.
///
/// Equal callers may do the same, so the same request is answered the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Arc<Principal>,
    rule: Arc<Rule>,
    /// The instance of the call; `None` for methods that are not about one.
    instance: Option<InstanceId>,
    /// The organization that the metadata name.
    named: Option<OrganizationId>,
}

impl Caller {
    /// Lets a principal call a method, unless it is plain already that it may not.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`] when no grant could ever suffice, [`Failure::InstanceUnknown`], or
    /// [`Failure::FieldsInvalid`] for malformed metadata.
    pub fn admit(
        principal: Arc<Principal>,
        rule: Arc<Rule>,
        instances: &Instances,
        parts: CallParts<'_>,
    ) -> Result<Self, Failure> {
        if !rule.may_suffice(&principal) {
            return Err(rule.missing(rule.why_not(&principal)));
        }
        let instance = match rule.level {
            None | Some(Level::System) => None,
            Some(Level::Instance | Level::Organization | Level::User) => {
                Some(instances.of_call(&principal, &rule, parts)?)
            }
        };
        let named = match rule.level {
            Some(Level::User) => instance::metadata(parts.headers, ORGANIZATION_METADATA, OrganizationId::new)?,
            _ => None,
        };
        Ok(Self { principal, rule, instance, named })
    }

    /// The caller whom the layer has let in.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The name of who calls, for the history.
    pub fn subject(&self) -> &str {
        &self.principal.subject
    }

    /// That the caller may not do what the method does.
    pub fn missing(&self, why: &'static str) -> Failure {
        self.rule.missing(why)
    }

    /// The system, when the caller has the right on it.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`].
    pub fn system(&self) -> Result<Scope, Failure> {
        match self.rule.permission() {
            Some(permission) if !self.principal.holds_everywhere(permission) => Err(self.denied()),
            _ => Ok(Scope::System),
        }
    }

    /// The instance of the call, when the caller has the right on it.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`].
    pub fn instance(&self) -> Result<Scope, Failure> {
        let instance = self.instance_id()?;
        if self.holds_whole_instance() { Ok(Scope::Instance(instance.clone())) } else { Err(self.denied()) }
    }

    /// The organization of this id in the instance of the call, when the caller has the right on it: by a role of the
    /// instance, by a role in this organization or, where the method's rule says so, as a member.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`], and then [`Failure::FieldsInvalid`] for `organization_id`.
    pub fn organization(&self, raw_id: &str) -> Result<Scope, Failure> {
        let instance = self.instance_id()?;
        let granted = |permission| self.principal.holds_in_organizations(permission).any(|id| id.as_str() == raw_id);
        let by_role = self.at_home() && self.rule.permission().is_some_and(granted);
        let member = self.rule.members
            && self.at_home()
            && self.principal.organization.as_ref().is_some_and(|id| id.as_str() == raw_id);
        if !(self.holds_whole_instance() || by_role || member) {
            return Err(self.denied());
        }
        let id = OrganizationId::new(raw_id).map_err(|error| Failure::field("organization_id", error.to_string()))?;
        Ok(Scope::Organization(instance.clone(), id))
    }

    /// The user of this id in the instance of the call, when the caller may have a right on them: by a role of the
    /// instance, by a role in some organization or, where the method's rule says so, as that user. What the right
    /// covers depends on the user's organization, which [`UserAccess`] answers.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`], and then [`Failure::FieldsInvalid`] for `user_id`.
    pub fn user(&self, raw_id: &str) -> Result<UserAccess, Failure> {
        let instance = self.instance_id()?;
        let by_role = self.rule.permission().is_some_and(|permission| {
            self.at_home() && self.principal.holds_in_organizations(permission).next().is_some()
        });
        let itself =
            self.rule.itself && self.at_home() && self.principal.user.as_ref().is_some_and(|id| id.as_str() == raw_id);
        if !(self.holds_whole_instance() || by_role || itself) {
            return Err(self.denied());
        }
        let id = UserId::new(raw_id).map_err(|error| Failure::field("user_id", error.to_string()))?;
        Ok(UserAccess::new(Scope::User(instance.clone(), id), self, itself))
    }

    /// Whether the right covers all that lies in the instance of the call.
    fn holds_whole_instance(&self) -> bool {
        self.rule.permission().is_none_or(|permission| {
            self.principal.holds_everywhere(permission)
                || (self.at_home() && self.principal.holds_in_instance(permission))
        })
    }

    /// Whether the call is for the token's own instance. Rights bound to an instance or organization, membership and
    /// being a user mean nothing elsewhere: ids are only unique within their instance.
    fn at_home(&self) -> bool {
        self.instance.is_some() && self.instance == self.principal.instance
    }

    fn instance_id(&self) -> Result<&InstanceId, Failure> {
        self.instance.as_ref().ok_or(Failure::InstanceUnknown)
    }

    fn denied(&self) -> Failure {
        self.rule.missing(self.rule.why_not(&self.principal))
    }
}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // These tell nearly all callers apart that are not equal.
        self.principal.identity.hash(state);
        self.instance.hash(state);
        self.named.hash(state);
    }
}

/// What of a call tells which instance and organization it is for.
#[derive(Debug, Clone, Copy)]
pub struct CallParts<'a> {
    /// Its metadata.
    pub headers: &'a http::HeaderMap,
    /// Its target, with the `:authority` where the protocol has one.
    pub uri: &'a http::Uri,
}

#[cfg(test)]
mod tests;
