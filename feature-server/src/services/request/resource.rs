//! The resource of a call: the scope of settings, with the caller's right on it.

use feature_api::resource_name::{InstanceName, SettingsName};
use feature_auth::AuthError;
use feature_auth::access::{Caller, NamedCaller, UserAccess};
use feature_core::{InstanceId, Level, OrganizationId, Placement, Scope};

use crate::error::Failure;

/// The resource of a call, after the caller's right on it was checked.
#[derive(Debug, Clone)]
pub(in crate::services) enum Resource {
    /// A resource of any level but the user's.
    Plain(Scope),
    /// A user, with the caller's rights on the user's organization.
    User(UserAccess),
}

impl Resource {
    /// The resource of this level with this id.
    ///
    /// # Errors
    /// [`AuthError`] when the caller has no right on it, or the id is malformed.
    pub(in crate::services) fn new(caller: &Caller, level: Level, id: &str) -> Result<Self, AuthError> {
        Ok(match level {
            Level::System => Resource::Plain(caller.system()?),
            Level::Instance => Resource::Plain(caller.instance()?),
            Level::Organization => Resource::Plain(caller.organization(id)?),
            Level::User => Resource::User(caller.user(id)?),
        })
    }

    /// The resource with this name, and its caller.
    ///
    /// # Errors
    /// [`AuthError`] when the caller has no right on it.
    pub(in crate::services) fn named(caller: &NamedCaller, name: &SettingsName) -> Result<(Caller, Self), AuthError> {
        let (level, instance, id) = match name {
            SettingsName::System => (Level::System, None, ""),
            SettingsName::Instance(instance) => (Level::Instance, Some(instance), ""),
            SettingsName::Organization(instance, id) => (Level::Organization, Some(instance), id.as_str()),
            SettingsName::User(instance, id) => (Level::User, Some(instance), id.as_str()),
        };
        let instance = instance.and_then(|instance| match instance {
            InstanceName::Current => None,
            InstanceName::Id(id) => Some(id),
        });
        let caller = caller.at(level, instance)?;
        let resource = Self::new(&caller, level, id)?;
        Ok((caller, resource))
    }

    pub(in crate::services) fn scope(&self) -> &Scope {
        match self {
            Resource::Plain(scope) => scope,
            Resource::User(access) => &access.scope,
        }
    }

    /// Where a write places the resource.
    ///
    /// # Errors
    /// As for [`UserAccess::placement`].
    pub(in crate::services) fn placement(&self) -> Result<Placement, AuthError> {
        match self {
            Resource::Plain(_) => Ok(Placement::Keep),
            Resource::User(access) => access.placement(),
        }
    }

    /// The organization through which the resource inherits in a read.
    ///
    /// `recorded`: the organization in the resource's record.
    ///
    /// # Errors
    /// As for [`UserAccess::reads_through`].
    pub(in crate::services) fn reads_through(
        &self,
        recorded: Option<&OrganizationId>,
    ) -> Result<Option<OrganizationId>, AuthError> {
        match self {
            Resource::Plain(_) => Ok(None),
            Resource::User(access) => access.reads_through(recorded),
        }
    }

    /// The organization that the answer names as the owner, in place of the recorded one.
    pub(in crate::services) fn owner<'o>(
        &self,
        organization: Option<&'o OrganizationId>,
    ) -> Option<&'o OrganizationId> {
        match self {
            Resource::Plain(_) => None,
            Resource::User(access) => access.owner(organization),
        }
    }
}

/// The instance, or the system, that a name says, if the caller has the right on it.
pub(in crate::services) fn owner(
    caller: &NamedCaller,
    owner: Option<&InstanceName>,
) -> Result<Option<InstanceId>, Failure> {
    let (level, instance) = match owner {
        None => (Level::System, None),
        Some(InstanceName::Current) => (Level::Instance, None),
        Some(InstanceName::Id(id)) => (Level::Instance, Some(id)),
    };
    let caller = caller.at(level, instance)?;
    Ok(match level {
        Level::System => caller.system().map(|_| None)?,
        _ => match caller.instance()? {
            Scope::Instance(instance) => Some(instance),
            _ => None,
        },
    })
}
