//! The four levels and their scopes. A scope is the address of one layer.

use crate::feature::OwnKey;
use crate::id::{InstanceId, OrganizationId, UserId};

/// A level of settings, from the least to the most specific. A later level overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The whole system.
    System,
    /// One instance of the system.
    Instance,
    /// One organization of an instance.
    Organization,
    /// One user of an instance.
    User,
}

impl Level {
    /// All levels, from the least to the most specific.
    pub const ALL: [Level; 4] = [Level::System, Level::Instance, Level::Organization, Level::User];

    /// The level's name in messages to users.
    pub fn name(self) -> &'static str {
        match self {
            Level::System => "system",
            Level::Instance => "instance",
            Level::Organization => "organization",
            Level::User => "user",
        }
    }
}

/// The address of one layer: of the settings of a resource, or of the fields of a feature's definition.
///
/// A user belongs to its instance here, not to its organization: a user who moves to another organization keeps the
/// settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The one system.
    System,
    /// One instance.
    Instance(InstanceId),
    /// One organization of an instance.
    Organization(InstanceId, OrganizationId),
    /// One user of an instance.
    User(InstanceId, UserId),
    /// The definition of a feature, which the system makes for all, or an instance for itself. Keys that differ in case
    /// only are the same, so the key is [folded](OwnKey::folded).
    Definition(Option<InstanceId>, OwnKey),
}

impl Scope {
    /// The level of this scope; of a definition, the level that makes it.
    pub fn level(&self) -> Level {
        match self {
            Scope::System | Scope::Definition(None, _) => Level::System,
            Scope::Instance(_) | Scope::Definition(Some(_), _) => Level::Instance,
            Scope::Organization(..) => Level::Organization,
            Scope::User(..) => Level::User,
        }
    }

    /// The instance that the resource belongs to; `None` for what is the system's.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Scope::System => None,
            Scope::Instance(instance) | Scope::Organization(instance, _) | Scope::User(instance, _) => Some(instance),
            Scope::Definition(owner, _) => owner.as_ref(),
        }
    }

    /// The id of the resource. `None` for the system, which exists only once.
    pub fn id(&self) -> Option<&str> {
        match self {
            Scope::System => None,
            Scope::Instance(instance) => Some(instance.as_str()),
            Scope::Organization(_, organization) => Some(organization.as_str()),
            Scope::User(_, user) => Some(user.as_str()),
            Scope::Definition(_, key) => Some(key.key().as_str()),
        }
    }

    /// The scopes that this scope inherits from, from the least to the most specific. A definition inherits nothing.
    ///
    /// `organization`: for a user, the organization to inherit through, if it is known.
    pub fn parents(&self, organization: Option<&OrganizationId>) -> Vec<Scope> {
        match self {
            Scope::System | Scope::Definition(..) => vec![],
            Scope::Instance(_) => vec![Scope::System],
            Scope::Organization(instance, _) => vec![Scope::System, Scope::Instance(instance.clone())],
            Scope::User(instance, _) => {
                let organization = organization.map(|id| Scope::Organization(instance.clone(), id.clone()));
                [Scope::System, Scope::Instance(instance.clone())].into_iter().chain(organization).collect()
            }
        }
    }
}
