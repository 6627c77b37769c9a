//! The principal: the identity and the roles of a caller, from a verified token or certificate.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use feature_core::{Credential, InstanceId, OrganizationId, UserId};

use crate::config::Bound;
use crate::roles::Role;

/// The overhead of one allocation, about: the allocator's and the counters of an `Arc`.
const ALLOCATION_BYTES: usize = 32;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The identity among all callers.
    pub identity: Identity,
    /// The subject of the token or certificate, which logs and the history name.
    pub subject: String,
    /// The user, if the caller is one.
    pub user: Option<UserId>,
    /// The instance of the credential. Rights on an instance or organization count only there.
    pub instance: Option<InstanceId>,
    /// The organization of the user, as the issuer says.
    pub organization: Option<OrganizationId>,
    /// The granted roles.
    pub grants: Vec<Grant>,
    /// When the token expires, in seconds since 1970-01-01T00:00:00Z. `u64::MAX` for a certificate, whose own end
    /// counts.
    pub expires_at: u64,
    /// What a revocation can name of the token; `None` for a certificate.
    pub token: Option<TokenNames>,
}

/// What a revocation can name of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenNames {
    /// Its issuer.
    pub issuer: String,
    /// Its id (`jti`).
    pub id: Option<String>,
    /// When it was issued, in seconds since 1970-01-01T00:00:00Z.
    pub issued_at_s: Option<u64>,
}

/// A granted role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Arc<Role>,
    /// The organization that it was granted in. A role bound to an organization gives no right without one.
    pub organization: Option<OrganizationId>,
}

/// The identity of a caller: equal for all tokens of one issuer for one subject and instance, and for no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// The identity of this subject of this issuer, in the instance that it is bound to.
    pub fn new(issuer: &str, subject: &str, instance: Option<&InstanceId>) -> Self {
        let mut digest = Context::new(&SHA256);
        // The lengths keep two different lists of parts from being one text.
        for part in [issuer, subject, instance.map_or("", InstanceId::as_str)] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finish().as_ref()[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Principal {
    /// The credential, for the history.
    pub fn credential(&self) -> Credential {
        match &self.token {
            Some(token) => Credential::Token { issuer: token.issuer.clone() },
            None => Credential::Certificate,
        }
    }

    /// Whether any role holds the permission, wherever the role counts.
    pub fn holds(&self, permission: &str) -> bool {
        self.granting(permission).next().is_some()
    }

    /// Whether a role that reaches everything holds the permission.
    pub fn holds_everywhere(&self, permission: &str) -> bool {
        self.granting(permission).any(|grant| grant.role.bound == Bound::Everything)
    }

    /// Whether a role that reaches the credential's instance holds the permission: one that is bound to the instance,
    /// or reaches everything.
    pub fn holds_in_instance(&self, permission: &str) -> bool {
        let in_instance = |grant: &Grant| self.instance.is_some() && grant.role.bound == Bound::Instance;
        self.holds_everywhere(permission) || self.granting(permission).any(in_instance)
    }

    /// The organizations in which a role bound to them holds the permission.
    pub fn holds_in_organizations(&self, permission: &str) -> impl Iterator<Item = &OrganizationId> {
        self.granting(permission)
            .filter(|grant| self.instance.is_some() && grant.role.bound == Bound::Organization)
            .filter_map(|grant| grant.organization.as_ref())
    }

    /// Whether a role holds the permission on anything: everything, the instance, or an organization.
    pub fn holds_on_something(&self, permission: &str) -> bool {
        self.holds_in_instance(permission) || self.holds_in_organizations(permission).next().is_some()
    }

    /// The memory of this principal, about. Roles do not count, since all principals share them.
    pub fn bytes(&self) -> usize {
        let user = self.user.iter().map(UserId::as_str);
        let instance = self.instance.iter().map(InstanceId::as_str);
        let organizations = self.organization.iter().chain(self.grants.iter().flat_map(|grant| &grant.organization));
        let texts = user.chain(instance).chain(organizations.map(OrganizationId::as_str)).chain([&*self.subject]);
        let token = self.token.iter().flat_map(|token| [Some(&token.issuer), token.id.as_ref()]).flatten();
        let texts = texts.chain(token.map(String::as_str));
        let texts: usize = texts.map(|text| ALLOCATION_BYTES + text.len()).sum();
        2 * ALLOCATION_BYTES + size_of::<Self>() + self.grants.capacity() * size_of::<Grant>() + texts
    }

    fn granting(&self, permission: &str) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.role.permissions.contains(permission))
    }
}
