//! Roles: which permissions they hold, and how far they reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use feature_core::Level;

use crate::config::values::{ACTIONS, RESOURCES};
use crate::config::{Bound, RoleSettings};

/// The permissions of the built-in roles on each of [`RESOURCES`]: `r`ead, `w`rite and `d`elete.
#[rustfmt::skip]
const DEFAULTS: [(&str, Bound, [&str; 6]); 11] = [
    // role                   bound to             system iam    org    user   definitions history
    ("SYSTEM_OWNER",          Bound::Everything,   ["rwd", "rwd", "rwd", "rwd", "rwd", "rd"]),
    ("SYSTEM_OWNER_VIEWER",   Bound::Everything,   ["r",   "r",   "r",   "r",   "r", "r"]),
    ("IAM_OWNER",             Bound::Instance,     ["",    "rwd", "rwd", "rwd", "rwd", "rd"]),
    ("IAM_OWNER_VIEWER",      Bound::Instance,     ["",    "r",   "r",   "r",   "r", "r"]),
    ("IAM_ORG_MANAGER",       Bound::Instance,     ["",    "",    "rwd", "rwd", "r", ""]),
    ("IAM_USER_MANAGER",      Bound::Instance,     ["",    "",    "",    "rwd", "r", ""]),
    ("IAM_LOGIN_CLIENT",      Bound::Instance,     ["",    "r",   "r",   "r",   "r", ""]),
    ("ORG_OWNER",             Bound::Organization, ["",    "",    "rwd", "rwd", "r", "r"]),
    ("ORG_OWNER_VIEWER",      Bound::Organization, ["",    "",    "r",   "r",   "r", "r"]),
    ("ORG_SETTINGS_MANAGER",  Bound::Organization, ["",    "",    "rwd", "",    "r", ""]),
    ("ORG_USER_MANAGER",      Bound::Organization, ["",    "",    "",    "rwd", "r", ""]),
];

/// The permission to read the features of a level.
pub(crate) fn reading(level: Level) -> &'static str {
    ["system.feature.read", "iam.feature.read", "org.feature.read", "user.feature.read"][level as usize]
}

/// The permission to read who changed what.
pub(crate) const HISTORY_READ: &str = "feature.history.read";

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name, as claims spell it.
    pub name: String,
    /// How far it reaches.
    pub bound: Bound,
    /// Its permissions, such as `org.feature.write`.
    pub permissions: BTreeSet<String>,
}

/// All roles by their names.
#[derive(Debug, Clone)]
pub struct Roles {
    by_name: BTreeMap<String, Arc<Role>>,
}

impl Roles {
    /// The built-in roles and the configured ones. A configured role replaces the built-in one of its name.
    pub fn new(configured: &BTreeMap<String, RoleSettings>) -> Self {
        let built_in = DEFAULTS.iter().map(|(name, bound, cells)| {
            let permissions = RESOURCES.iter().zip(cells).flat_map(|(resource, cell)| permissions(resource, cell));
            Role { name: (*name).to_owned(), bound: *bound, permissions: permissions.collect() }
        });
        let configured = configured.iter().map(|(name, settings)| {
            let permissions = settings.permissions.iter().cloned().collect();
            Role { name: name.clone(), bound: settings.bound_to, permissions }
        });
        let mut by_name = BTreeMap::new();
        by_name.extend(built_in.chain(configured).map(|role| (role.name.clone(), Arc::new(role))));
        Self { by_name }
    }

    /// The same roles for an issuer that is bound to one instance: none of them reaches beyond it.
    ///
    /// The operator of a tenant's issuer decides which roles its tokens name, and must not gain the system that way.
    pub fn within_instance(&self) -> Self {
        let mut roles = self.clone();
        for role in roles.by_name.values_mut().filter(|role| role.bound == Bound::Everything) {
            Arc::make_mut(role).bound = Bound::Instance;
        }
        roles
    }

    /// The role of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Role>> {
        self.by_name.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}

/// The permissions on a resource: those whose first letter is in the cell.
fn permissions(resource: &str, cell: &str) -> impl Iterator<Item = String> {
    let held = ACTIONS.into_iter().filter(|name| cell.contains(&name[..1]));
    held.map(move |name| format!("{resource}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_hold_the_documented_permissions() {
        const EVERYTHING: Bound = Bound::Everything;
        const INSTANCE: Bound = Bound::Instance;
        const ORGANIZATION: Bound = Bound::Organization;
        #[rustfmt::skip]
        let table = [
            // role                 bound to      permissions
            ("SYSTEM_OWNER",         EVERYTHING,   "system.feature:rwd iam.feature:rwd org.feature:rwd user.feature:rwd feature.definition:rwd feature.history:rd"),
            ("SYSTEM_OWNER_VIEWER",  EVERYTHING,   "system.feature:r iam.feature:r org.feature:r user.feature:r feature.definition:r feature.history:r"),
            ("IAM_OWNER",            INSTANCE,     "iam.feature:rwd org.feature:rwd user.feature:rwd feature.definition:rwd feature.history:rd"),
            ("IAM_OWNER_VIEWER",     INSTANCE,     "iam.feature:r org.feature:r user.feature:r feature.definition:r feature.history:r"),
            ("IAM_ORG_MANAGER",      INSTANCE,     "org.feature:rwd user.feature:rwd feature.definition:r"),
            ("IAM_USER_MANAGER",     INSTANCE,     "user.feature:rwd feature.definition:r"),
            ("IAM_LOGIN_CLIENT",     INSTANCE,     "iam.feature:r org.feature:r user.feature:r feature.definition:r"),
            ("ORG_OWNER",            ORGANIZATION, "org.feature:rwd user.feature:rwd feature.definition:r feature.history:r"),
            ("ORG_OWNER_VIEWER",     ORGANIZATION, "org.feature:r user.feature:r feature.definition:r feature.history:r"),
            ("ORG_SETTINGS_MANAGER", ORGANIZATION, "org.feature:rwd feature.definition:r"),
            ("ORG_USER_MANAGER",     ORGANIZATION, "user.feature:rwd feature.definition:r"),
        ];
        let roles = Roles::new(&BTreeMap::new());
        assert_eq!(roles.names().len(), table.len());
        for (name, bound, may) in table {
            let role = roles.get(name).unwrap();
            assert_eq!((role.name.as_str(), role.bound), (name, bound));
            let expected: BTreeSet<String> = may
                .split(' ')
                .map(|cell| cell.split_once(':').unwrap())
                .flat_map(|(resource, letters)| letters.chars().map(move |letter| (resource, letter)))
                .map(|(resource, letter)| match letter {
                    'r' => format!("{resource}.read"),
                    'w' => format!("{resource}.write"),
                    'd' => format!("{resource}.delete"),
                    other => panic!("{other} is no operation"),
                })
                .collect();
            assert_eq!(role.permissions, expected, "{name}");
        }
    }

    #[test]
    fn configured_role_replaces_the_built_in_one_and_leaves_the_others() {
        let permissions = vec!["iam.feature.read".to_owned()];
        let own = RoleSettings { bound_to: Bound::Everything, permissions: permissions.clone() };
        let configured = BTreeMap::from([("IAM_OWNER".to_owned(), own.clone()), ("AUDITOR".to_owned(), own)]);
        let roles = Roles::new(&configured);
        for name in ["IAM_OWNER", "AUDITOR"] {
            let role = roles.get(name).unwrap();
            assert_eq!((role.bound, role.permissions.len()), (Bound::Everything, 1), "{name}");
        }
        assert_eq!(roles.get("ORG_OWNER").unwrap().permissions.len(), 8);
        assert_eq!(roles.get("iam_owner"), None, "names are case-sensitive");
    }

    #[test]
    fn roles_within_an_instance_are_not_bound_to_everything() {
        let roles = Roles::new(&BTreeMap::new()).within_instance();
        for name in roles.names() {
            assert_ne!(roles.get(name).unwrap().bound, Bound::Everything, "{name}");
        }
        assert_eq!(roles.get("ORG_OWNER").unwrap().bound, Bound::Organization);
    }
}
