//! The rights of a caller of a method whose request names its resource: the level and the instance follow from the
//! name, which is read after the caller was admitted.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use feature_core::{InstanceId, Level, OrganizationId, Scope};

use super::{CallNames, Caller, INSTANCE_METADATA, Rule, instance_of_call};
use crate::authenticate::principal::Principal;
use crate::error::AuthError;
use crate::roles::{HISTORY_READ, reading};

/// The rules of a method for resources of each level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelRules([Arc<Rule>; 4]);

/// The caller of a method, before its resource is known.
///
/// Equal callers have equal rights, so the same request gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCaller {
    principal: Arc<Principal>,
    rules: Arc<LevelRules>,
    /// The instance of the call, if there is one.
    instance: Option<InstanceId>,
    /// The instance that the metadata name.
    in_metadata: Option<InstanceId>,
    /// The organization that the metadata name.
    organization: Option<OrganizationId>,
}

impl LevelRules {
    /// `rule`: the rule for a level.
    pub fn new(rule: impl FnMut(Level) -> Rule) -> Self {
        Self(Level::ALL.map(rule).map(Arc::new))
    }

    fn of(&self, level: Level) -> &Arc<Rule> {
        &self.0[level as usize]
    }
}

impl NamedCaller {
    /// Admits a principal to a method, unless no resource could be within its rights.
    ///
    /// # Errors
    /// As for [`Caller::admit`]. A call without an instance is accepted, because the name of its resource can have one.
    pub fn admit(principal: Arc<Principal>, rules: Arc<LevelRules>, names: &impl CallNames) -> Result<Self, AuthError> {
        let most_specific = rules.of(Level::User);
        if !rules.0.iter().any(|rule| rule.may_suffice(&principal)) {
            return Err(most_specific.denied(&principal));
        }
        let instance = match instance_of_call(&principal, most_specific, names) {
            Ok(instance) => Some(instance),
            Err(AuthError::InstanceUnknown) => None,
            Err(error) => return Err(error),
        };
        let (in_metadata, organization) = (names.instance()?, names.organization()?);
        Ok(Self { principal, rules, instance, in_metadata, organization })
    }

    /// The authenticated principal.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The same, to keep.
    pub fn shared_principal(&self) -> Arc<Principal> {
        Arc::clone(&self.principal)
    }

    /// The instance of the call, if there is one.
    pub fn instance(&self) -> Option<&InstanceId> {
        self.instance.as_ref()
    }

    /// The subject of the principal, for the history.
    pub fn subject(&self) -> &str {
        &self.principal.subject
    }

    /// The caller of the method on a resource.
    ///
    /// * `level`: of the resource.
    /// * `instance`: the instance in the name of the resource; `None` for the instance of the call.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`] if no resource of the level could be within the caller's rights or the
    /// credential belongs to another instance; [`AuthError::InstanceUnknown`]; and [`AuthError::FieldInvalid`] if the
    /// metadata name another instance than the name of the resource.
    pub fn at(&self, level: Level, instance: Option<&InstanceId>) -> Result<Caller, AuthError> {
        let rule = self.rules.of(level);
        if !rule.may_suffice(&self.principal) {
            return Err(rule.denied(&self.principal));
        }
        let instance = match (level, instance) {
            (Level::System, _) => None,
            (_, None) => Some(self.instance.clone().ok_or(AuthError::InstanceUnknown)?),
            (_, Some(named)) if self.principal.instance.as_ref().is_some_and(|own| own != named) => {
                return Err(rule.missing("the token belongs to another instance than the one that is named"));
            }
            (_, Some(named)) if self.in_metadata.as_ref().is_some_and(|other| other != named) => {
                let problem = "names another instance than the request";
                return Err(AuthError::field(INSTANCE_METADATA, problem));
            }
            (_, Some(named)) => Some(named.clone()),
        };
        let named = self.organization.clone().filter(|_| level == Level::User);
        Ok(Caller { principal: Arc::clone(&self.principal), rule: Arc::clone(rule), instance, named })
    }
}

impl NamedCaller {
    /// Checks that the caller may read all resources of a level by a role: those of an instance, or of every instance.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`].
    pub fn reads_all(&self, level: Level, instance: Option<&InstanceId>) -> Result<(), AuthError> {
        self.holds_on_all(reading(level), level, instance)
    }

    /// Checks that the caller may read the whole history of an instance, or of the system.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`].
    pub fn reads_history_of(&self, instance: Option<&InstanceId>) -> Result<(), AuthError> {
        let level = if instance.is_some() { Level::Instance } else { Level::System };
        self.holds_on_all(HISTORY_READ, level, instance)
    }

    fn holds_on_all(&self, permission: &str, level: Level, instance: Option<&InstanceId>) -> Result<(), AuthError> {
        let principal = &self.principal;
        let at_home = instance.is_some() && instance == principal.instance.as_ref();
        // As for a single resource: the token of an instance counts in no other one.
        let is_elsewhere = level != Level::System && !at_home && principal.instance.is_some();
        let everywhere = !is_elsewhere && principal.holds_everywhere(permission);
        if everywhere || (at_home && principal.holds_in_instance(permission)) {
            return Ok(());
        }
        let why = if is_elsewhere {
            "the token belongs to one instance: get one that belongs to none"
        } else if !principal.holds(permission) {
            "no role of the token holds it"
        } else if at_home {
            "a role holds it, but is bound to its organization"
        } else {
            "a role holds it, but is bound to its instance"
        };
        Err(AuthError::PermissionMissing { permission: permission.to_owned(), why })
    }
}

impl Hash for NamedCaller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // These fields distinguish nearly all unequal callers.
        self.principal.identity.hash(state);
        self.instance.hash(state);
        self.organization.hash(state);
    }
}

impl Caller {
    /// Whether the caller may read the history of a resource.
    ///
    /// `organization`: of the resource, or through which a user is read.
    pub fn reads_history(&self, scope: &Scope, organization: Option<&OrganizationId>) -> bool {
        self.holds_on(HISTORY_READ, scope.level(), organization)
    }

    /// Checks that the caller may read the history of a resource.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`].
    pub fn demand_history(&self, scope: &Scope, organization: Option<&OrganizationId>) -> Result<(), AuthError> {
        if self.reads_history(scope, organization) {
            return Ok(());
        }
        let why = "no role of the token holds it on the resource, and it is needed for what was once";
        Err(AuthError::PermissionMissing { permission: HISTORY_READ.to_owned(), why })
    }

    /// Whether the caller may read a resource by a role, not only as a user, as a member, or because everyone may.
    ///
    /// `organization`: of the resource, or through which a user is read.
    pub fn reads_by_role(&self, scope: &Scope, organization: Option<&OrganizationId>) -> bool {
        self.holds_on(reading(scope.level()), scope.level(), organization)
    }

    fn holds_on(&self, permission: &str, level: Level, organization: Option<&OrganizationId>) -> bool {
        let principal = &self.principal;
        let in_instance = || level > Level::System && principal.holds_in_instance(permission);
        let in_organization = || {
            level > Level::Instance
                && organization.is_some_and(|id| principal.holds_in_organizations(permission).any(|held| held == id))
        };
        principal.holds_everywhere(permission) || (self.at_home() && (in_instance() || in_organization()))
    }
}

#[cfg(test)]
mod tests;
