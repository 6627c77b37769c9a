//! The claims of a token with roles, in the forms that issuers write.

use std::collections::{BTreeMap, HashSet};
use std::slice;
use std::sync::Arc;

use feature_core::OrganizationId;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::claims::{Claims, PROJECT_ROLES_CLAIM};
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
    claims: &Claims<'_>,
    list: &str,
    organization: Option<&OrganizationId>,
    roles: &Roles,
    mut unreadable: impl FnMut(&str),
) -> Vec<Grant> {
    let mut grants = Vec::new();
    let listed = claims.roles(list).and_then(|claim: Value| listed_roles(&claim, organization, roles));
    let of_projects = claims.roles(PROJECT_ROLES_CLAIM).and_then(|claim: ProjectRoles| project_roles(&claim, roles));
    for (claim, found) in [(list, listed), (PROJECT_ROLES_CLAIM, of_projects)] {
        match found {
            Some(found) => grants.extend(found),
            None => unreadable(claim),
        }
    }
    let mut seen = HashSet::new();
    grants.retain(|grant| seen.insert((Arc::as_ptr(&grant.role), grant.organization.clone())));
    grants.shrink_to_fit();
    grants
}

/// A list of roles: one name, or a list of names and of objects with a name.
fn listed_roles(claim: &Value, organization: Option<&OrganizationId>, roles: &Roles) -> Option<Vec<Grant>> {
    let list = match claim {
        Value::Null => &[],
        Value::String(_) => slice::from_ref(claim),
        Value::Array(list) => list.as_slice(),
        _ => return None,
    };
    let names: Vec<&str> = list.iter().map(role_name).collect::<Option<_>>()?;
    let known = names.into_iter().filter_map(|name| roles.get(name));
    Some(known.map(|role| Grant { role: Arc::clone(role), organization: organization.cloned() }).collect())
}

/// The name of a role in a list. In an object it is the `value` (RFC 7643, section 2.4, as RFC 9068, section 2.2.3.1,
/// demands), or else the `name`.
fn role_name(role: &Value) -> Option<&str> {
    let fields = ["value", "name"].map(|field| &role[field]);
    let readable = fields.iter().all(|field| field.is_null() || field.is_string());
    role.as_str().or_else(|| fields.into_iter().find_map(Value::as_str).filter(|_| readable))
}

/// Zitadel's form: an object with the name of each role, which holds an object with the id of each organization that
/// the role was granted in. The innermost values are domains, which do not count.
type ProjectRoles = BTreeMap<String, BTreeMap<String, IgnoredAny>>;

/// `None` if the id of an organization is not valid.
fn project_roles(claim: &ProjectRoles, roles: &Roles) -> Option<Vec<Grant>> {
    let mut grants = Vec::new();
    for (name, organizations) in claim {
        let Some(role) = roles.get(name) else { continue };
        for id in organizations.keys() {
            grants.push(Grant { role: Arc::clone(role), organization: Some(OrganizationId::new(id).ok()?) });
        }
    }
    Some(grants)
}

#[cfg(test)]
mod tests;
