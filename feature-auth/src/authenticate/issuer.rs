//! Issuers of tokens: their keys, and which of their claims count, with roles in the forms that issuers write. The
//! server itself is one of them.

use std::collections::{BTreeMap, HashSet};
use std::slice;
use std::sync::Arc;

use feature_core::{IdError, InstanceId, OrganizationId, UserId};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::claims::{Claims, PROJECT_ROLES_CLAIM};
use super::principal::{Grant, Identity, Principal, TokenNames};
use crate::clock::Timestamp;
use crate::config::Auth;
use crate::error::{AuthError, SetupError};
use crate::keys::jwks_cache::{JwksCache, Source};
use crate::keys::jwks_http::Fetcher;
use crate::keys::{KeyFolder, KeysError, LoadError};
use crate::roles::Roles;

/// The `iss` and the `aud` of the server's own tokens.
pub const OWN_ISSUER: &str = "feature-server";

/// The `sub` of an own token without a user.
pub const OPERATOR: &str = "operator";

#[derive(Debug)]
pub(crate) struct Issuer {
    audience: String,
    pub keys: Arc<JwksCache>,
    kind: IssuerKind,
    /// The roles that it can grant.
    roles: Roles,
}

#[derive(Debug)]
enum IssuerKind {
    /// The server itself. Its tokens name their instance, and need not have a user.
    Own,
    /// An OIDC issuer. Every subject is a user of the instance that the configuration binds the issuer to.
    Oidc(Option<InstanceId>),
}

impl Issuer {
    /// The server itself.
    pub(crate) fn own(config: &Auth, keys: KeyFolder, roles: &Roles, now: Timestamp) -> Result<Self, KeysError> {
        let (first, source) = (keys.verifying()?, Source::Folder(keys));
        let keys = JwksCache::new(OWN_ISSUER, source, Some(first), config.jwks_max_stale_s, now.monotonic);
        Ok(Self { audience: OWN_ISSUER.to_owned(), keys, kind: IssuerKind::Own, roles: roles.clone() })
    }

    /// The OIDC issuer in `auth.issuers[index]`.
    pub(crate) fn oidc(index: usize, config: &Auth, roles: &Roles, now: Timestamp) -> Result<Self, SetupError> {
        let entry = &config.issuers[index];
        let setting = |field: &str| format!("auth.issuers[{index}].{field}");
        let source = if let Some(file) = &entry.jwks_file {
            Source::File(file.clone())
        } else {
            let url = entry.jwks_url.as_deref().unwrap_or_default();
            let fetcher = Fetcher::new(url, entry.jwks_ca_file.as_deref()).map_err(|problem| match problem {
                LoadError::CaFile(_) => SetupError::file(setting("jwks_ca_file"), &entry.jwks_ca_file, problem),
                problem => SetupError::setting(setting("jwks_url"), url, problem),
            })?;
            Source::Url(Box::new(fetcher))
        };
        let instance = SetupError::id(setting("instance"), entry.instance.as_deref(), InstanceId::new)?;
        let file_error = |problem| SetupError::file(setting("jwks_file"), &entry.jwks_file, problem);
        let first = source.read().map_err(file_error)?;
        Ok(Self {
            audience: entry.audience.clone(),
            keys: JwksCache::new(&entry.issuer, source, first, config.jwks_max_stale_s, now.monotonic),
            roles: if instance.is_some() { roles.within_instance() } else { roles.clone() },
            kind: IssuerKind::Oidc(instance),
        })
    }

    /// The principal of a token with these claims. The signature must be verified already.
    pub(crate) fn principal(&self, claims: &Claims<'_>, config: &Auth, now: Timestamp) -> Result<Principal, AuthError> {
        claims.check_audience(&self.audience)?;
        let subject = claims.sub.as_deref().ok_or(AuthError::TokenInvalid("the claim sub is missing"))?;
        let as_user = UserId::new(subject).map_err(|_| AuthError::TokenInvalid("the claim sub is no valid id"))?;
        let (user, instance) = match &self.kind {
            IssuerKind::Own => (
                id(text(&claims.user), UserId::new, "the claim user is no valid id")?,
                id(text(&claims.instance), InstanceId::new, "the claim instance is no valid id")?,
            ),
            IssuerKind::Oidc(instance) => (Some(as_user), instance.clone()),
        };
        let organization = claims.organization.as_deref();
        let organization = id(organization, OrganizationId::new, "it names an organization whose id is not valid")?;
        let expires_at = claims.check_times(config, now.unix_s)?;
        let identity = Identity::new(&claims.iss, subject, instance.as_ref());
        let grants = grants(claims, &config.roles_claim, organization.as_ref(), &self.roles, |claim| {
            tracing::warn!(
                issuer = claims.iss,
                subject,
                claim,
                "the claim has a form that is not read, so it gives no roles: see auth.roles_claim"
            );
        });
        let token = TokenNames { issuer: claims.iss.clone(), id: claims.jti.clone(), issued_at_s: claims.iat };
        let (subject, token) = (subject.to_owned(), Some(token));
        Ok(Principal { identity, subject, user, instance, organization, grants, expires_at, token })
    }
}

/// An id in a token. A malformed one is an error: without its restriction the token would have more rights.
fn id<I>(id: Option<&str>, new: fn(&str) -> Result<I, IdError>, why: &'static str) -> Result<Option<I>, AuthError> {
    id.map(new).transpose().map_err(|_| AuthError::TokenInvalid(why))
}

/// The text of a claim. Another type counts as an empty text, which is no id.
fn text(claim: &Option<Value>) -> Option<&str> {
    claim.as_ref().map(|claim| claim.as_str().unwrap_or_default())
}

/// The grants of a token, each once. Ignores names that are not in `roles`: issuers name roles of other services too.
///
/// A claim in another form than those below gives no roles, and its name goes to `unreadable`. The token stays valid:
/// with fewer roles it can only have fewer rights.
///
/// * `list`: the name of the claim that lists roles without organizations.
/// * `organization`: the organization of the token, in which the roles of the list are granted.
fn grants(
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
