//! The claims of a token with roles, in the forms that issuers write.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use feature_core::OrganizationId;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::claims::{Claims, Name, PROJECT_ROLES_CLAIM};
use super::principal::Grant;
use crate::roles::Roles;

/// The grants of a token, each once. Ignores names that are not in `roles`: issuers name roles of other services too.
///
/// A claim in another form than those below gives no roles, and its name goes to `unreadable`. The token stays valid:
/// with fewer roles it can only have fewer rights.
///
/// * `list`: the name of the claim that lists roles without organizations.
/// * `organization`: the organization of the token, in which the roles of the list are granted.
pub(crate) fn grants(
    claims: &Claims,
    list: &str,
    organization: Option<&OrganizationId>,
    roles: &Roles,
    mut unreadable: impl FnMut(&str),
) -> Vec<Grant> {
    let mut grants = Vec::new();
    let mut take = |claim: &str, found: Option<Vec<Grant>>| match found {
        Some(found) => grants.extend(found),
        None => unreadable(claim),
    };
    take(list, claims.roles.as_ref().map(|listed| listed.grants(organization, roles)));
    take(PROJECT_ROLES_CLAIM, claims.project_roles.as_ref().and_then(|granted| granted.grants(roles)));
    let mut seen = HashSet::new();
    grants.retain(|grant| seen.insert((Arc::as_ptr(&grant.role), grant.organization.clone())));
    grants.shrink_to_fit();
    grants
}

/// A list of roles: one name, or a list of names and of objects with a name.
#[derive(Debug, Default)]
pub(crate) struct ListedRoles(Vec<String>);

impl ListedRoles {
    fn grants(&self, organization: Option<&OrganizationId>, roles: &Roles) -> Vec<Grant> {
        let known = self.0.iter().filter_map(|name| roles.get(name));
        known.map(|role| Grant { role: Arc::clone(role), organization: organization.cloned() }).collect()
    }
}

/// Zitadel's form: an object with the name of each role, which holds an object with the id of each organization that
/// the role was granted in. The innermost values are domains, which do not count.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ProjectRoles(BTreeMap<String, BTreeMap<String, IgnoredAny>>);

impl ProjectRoles {
    /// `None` if the id of an organization is not valid.
    fn grants(&self, roles: &Roles) -> Option<Vec<Grant>> {
        let known = self.0.iter().filter_map(|(name, organizations)| Some((roles.get(name)?, organizations)));
        let granted = known.flat_map(|(role, organizations)| organizations.keys().map(move |id| (role, id)));
        let grant = |(role, id): (&Arc<_>, &String)| {
            Some(Grant { role: Arc::clone(role), organization: Some(OrganizationId::new(id).ok()?) })
        };
        granted.map(grant).collect()
    }
}

impl<'de> Deserialize<'de> for ListedRoles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = ListedRoles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a role or a list of roles")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ListedRoles, E> {
                Ok(ListedRoles(vec![name.to_owned()]))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<ListedRoles, S::Error> {
                let mut names = Vec::new();
                while let Some(RoleName(name)) = list.next_element()? {
                    names.push(name);
                }
                Ok(ListedRoles(names))
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

/// The name of a role in a list. In an object it is the `value` (RFC 7643, section 2.4, as RFC 9068, section 2.2.3.1,
/// demands), or else the `name`.
struct RoleName(String);

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RoleVisitor;

        impl<'de> Visitor<'de> for RoleVisitor {
            type Value = RoleName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a role, or an object with a value or a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<RoleName, E> {
                Ok(RoleName(name.to_owned()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut role: M) -> Result<RoleName, M::Error> {
                let (mut value, mut name) = (None, None);
                while let Some(Name(field)) = role.next_key()? {
                    match &*field {
                        "value" => value = role.next_value::<Option<String>>()?,
                        "name" => name = role.next_value::<Option<String>>()?,
                        _ => drop(role.next_value::<IgnoredAny>()?),
                    }
                }
                value.or(name).map(RoleName).ok_or_else(|| M::Error::missing_field("value"))
            }
        }

        deserializer.deserialize_any(RoleVisitor)
    }
}

#[cfg(test)]
mod tests;
