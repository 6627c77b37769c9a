//! Roles: which permissions they hold, and how far they reach.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::{Bound, RoleSettings};

const NOTHING: &str = "";
const READ: &str = "r";
const ALL: &str = "rwd";

/// The permissions of the built-in roles on the features of each level: `r`ead, `w`rite and `d`elete.
#[rustfmt::skip]
const DEFAULTS: [(&str, Bound, [&str; 4]); 11] = [
    // role                   bound to             system   iam      org      user
    ("SYSTEM_OWNER",          Bound::Everything,   [ALL,     ALL,     ALL,     ALL]),
    ("SYSTEM_OWNER_VIEWER",   Bound::Everything,   [READ,    READ,    READ,    READ]),
    ("IAM_OWNER",             Bound::Instance,     [NOTHING, ALL,     ALL,     ALL]),
    ("IAM_OWNER_VIEWER",      Bound::Instance,     [NOTHING, READ,    READ,    READ]),
    ("IAM_ORG_MANAGER",       Bound::Instance,     [NOTHING, NOTHING, ALL,     ALL]),
    ("IAM_USER_MANAGER",      Bound::Instance,     [NOTHING, NOTHING, NOTHING, ALL]),
    ("IAM_LOGIN_CLIENT",      Bound::Instance,     [NOTHING, READ,    READ,    READ]),
    ("ORG_OWNER",             Bound::Organization, [NOTHING, NOTHING, ALL,     ALL]),
    ("ORG_OWNER_VIEWER",      Bound::Organization, [NOTHING, NOTHING, READ,    READ]),
    ("ORG_SETTINGS_MANAGER",  Bound::Organization, [NOTHING, NOTHING, ALL,     NOTHING]),
    ("ORG_USER_MANAGER",      Bound::Organization, [NOTHING, NOTHING, NOTHING, ALL]),
];

const RESOURCES: [&str; 4] = ["system.feature", "iam.feature", "org.feature", "user.feature"];

/// The built-in roles, as a configuration file would define them.
fn defaults() -> BTreeMap<String, RoleSettings> {
    DEFAULTS.iter().map(|(name, bound_to, cells)| ((*name).to_owned(), role(*bound_to, cells))).collect()
}

fn role(bound_to: Bound, cells: &[&str; 4]) -> RoleSettings {
    let permissions = RESOURCES.iter().zip(cells).flat_map(|(resource, cell)| {
        cell.chars().map(move |operation| match operation {
            'r' => format!("{resource}.read"),
            'w' => format!("{resource}.write"),
            _ => format!("{resource}.delete"),
        })
    });
    RoleSettings { bound_to, permissions: permissions.collect() }
}

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
    by_name: HashMap<String, Arc<Role>>,
}

impl Roles {
    /// The built-in roles and the configured ones. A configured role replaces the built-in one of its name.
    pub fn new(configured: &BTreeMap<String, RoleSettings>) -> Self {
        let mut settings = defaults();
        settings.extend(configured.clone());
        Self::of(settings.into_iter().map(|(name, role)| Role {
            name,
            bound: role.bound_to,
            permissions: role.permissions.into_iter().collect(),
        }))
    }

    /// The same roles for an issuer that is bound to one instance: none of them reaches beyond it.
    ///
    /// The operator of a tenant's issuer decides which roles its tokens name, and must not gain the system that way.
    pub fn within_instance(&self) -> Self {
        Self::of(self.by_name.values().map(|role| match role.bound {
            Bound::Everything => Role { bound: Bound::Instance, ..Role::clone(role) },
            Bound::Instance | Bound::Organization => Role::clone(role),
        }))
    }

    fn of(roles: impl Iterator<Item = Role>) -> Self {
        Self { by_name: roles.map(|role| (role.name.clone(), Arc::new(role))).collect() }
    }

    /// The role of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Role>> {
        self.by_name.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
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
            ("SYSTEM_OWNER",         EVERYTHING,   "system.feature:rwd iam.feature:rwd org.feature:rwd user.feature:rwd"),
            ("SYSTEM_OWNER_VIEWER",  EVERYTHING,   "system.feature:r iam.feature:r org.feature:r user.feature:r"),
            ("IAM_OWNER",            INSTANCE,     "iam.feature:rwd org.feature:rwd user.feature:rwd"),
            ("IAM_OWNER_VIEWER",     INSTANCE,     "iam.feature:r org.feature:r user.feature:r"),
            ("IAM_ORG_MANAGER",      INSTANCE,     "org.feature:rwd user.feature:rwd"),
            ("IAM_USER_MANAGER",     INSTANCE,     "user.feature:rwd"),
            ("IAM_LOGIN_CLIENT",     INSTANCE,     "iam.feature:r org.feature:r user.feature:r"),
            ("ORG_OWNER",            ORGANIZATION, "org.feature:rwd user.feature:rwd"),
            ("ORG_OWNER_VIEWER",     ORGANIZATION, "org.feature:r user.feature:r"),
            ("ORG_SETTINGS_MANAGER", ORGANIZATION, "org.feature:rwd"),
            ("ORG_USER_MANAGER",     ORGANIZATION, "user.feature:rwd"),
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
        assert_eq!(roles.get("ORG_OWNER").unwrap().permissions.len(), 6);
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
