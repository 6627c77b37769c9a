//! The principal: who calls, as far as a verified token or certificate tells. What a method demands is not known here.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use feature_core::{InstanceId, OrganizationId, UserId};

use crate::auth::roles::Role;
use crate::config::settings::Bound;

/// What the allocator and the counters of an `Arc` add to each piece of memory, at about.
const PIECE_BYTES: usize = 32;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who this is among all callers.
    pub identity: Identity,
    /// Whom the token or certificate was made for: what logs and the history name.
    pub subject: String,
    /// The user that this is, when it is one.
    pub user: Option<UserId>,
    /// The instance that the credential belongs to. Rights on an instance or organization count there and nowhere else.
    pub instance: Option<InstanceId>,
    /// The organization that the user belongs to, as the issuer says.
    pub organization: Option<OrganizationId>,
    /// The roles held.
    pub grants: Vec<Grant>,
    /// When the token expires; never for who is known by a certificate, which has an end of its own. In seconds since 1970-01-01T00:00:00Z.
    pub expires_at: u64,
}

/// A role held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Arc<Role>,
    /// The organization that it was granted in. A role bound to an organization is worth nothing without one.
    pub organization: Option<OrganizationId>,
}

/// A caller among all callers: the same for all tokens of one issuer for one subject and instance, and for no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// * `issuer`: who tells who this is.
    /// * `subject`: who it is, as the issuer says.
    /// * `instance`: the instance that the caller is bound to.
    pub fn new(issuer: &str, subject: &str, instance: Option<&InstanceId>) -> Self {
        let mut digest = Context::new(&SHA256);
        // Each part with its length, so that no two lists of parts are one text.
        for part in [issuer, subject, instance.map_or("", InstanceId::as_str)] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        let digest = digest.finish();
        Self(digest.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Principal {
    /// Whether some role holds the permission, wherever that counts.
    pub fn holds(&self, permission: &str) -> bool {
        self.granting(permission).next().is_some()
    }

    /// Whether a role that reaches everything holds the permission.
    pub fn holds_everywhere(&self, permission: &str) -> bool {
        self.granting(permission).any(|grant| grant.role.bound == Bound::Everything)
    }

    /// Whether a role bound to the token's instance holds the permission.
    pub fn holds_in_instance(&self, permission: &str) -> bool {
        self.instance.is_some() && self.granting(permission).any(|grant| grant.role.bound == Bound::Instance)
    }

    /// The organizations in which a role bound to them holds the permission.
    pub fn holds_in_organizations(&self, permission: &str) -> impl Iterator<Item = &OrganizationId> {
        let at_home = self.instance.is_some();
        self.granting(permission)
            .filter(move |grant| at_home && grant.role.bound == Bound::Organization)
            .filter_map(|grant| grant.organization.as_ref())
    }

    /// The memory that it takes, at about. Roles are shared by all principals, and count for nothing.
    pub fn bytes(&self) -> usize {
        let ids = [
            self.user.as_ref().map(UserId::as_str),
            self.instance.as_ref().map(InstanceId::as_str),
            self.organization.as_ref().map(OrganizationId::as_str),
        ];
        let granted_in = self.grants.iter().map(|grant| grant.organization.as_ref().map(OrganizationId::as_str));
        let texts = ids.into_iter().chain(granted_in).flatten().chain([self.subject.as_str()]);
        let texts: usize = texts.map(|text| PIECE_BYTES + text.len()).sum();
        2 * PIECE_BYTES + size_of::<Self>() + self.grants.capacity() * size_of::<Grant>() + texts
    }

    fn granting(&self, permission: &str) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.role.permissions.contains(permission))
    }
}
