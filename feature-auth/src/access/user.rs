//! The rights of a caller on one user. They depend on the user's organization, which has three sources: the metadata of
//! the call, the caller's token, and the record of the user's settings.

use std::collections::BTreeSet;

use feature_core::{OrganizationId, Placement, Scope, UserId};

use super::{Caller, Exemption, ORGANIZATION_METADATA};
use crate::error::AuthError;

/// A right on one user, or at least on some users of the instance.
#[derive(Debug, Clone)]
pub struct UserAccess {
    /// The user.
    pub scope: Scope,
    caller: Caller,
    /// Whether a role gives the right on the whole instance. Then nothing below counts.
    whole_instance: bool,
    /// The organizations in which a role gives the right.
    granted: BTreeSet<OrganizationId>,
    /// Whether the caller has the right as that user.
    self_access: bool,
}

impl Caller {
    /// The user with this id in the instance of the call, if the caller may have a right on the user: by a role in the
    /// instance, by a role in some organization or, if the rule exempts it, as that user. The extent of the right
    /// depends on the user's organization, see [`UserAccess`].
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`], and then [`AuthError::FieldInvalid`] for `user_id`.
    pub fn user(&self, raw_id: &str) -> Result<UserAccess, AuthError> {
        let instance = self.instance_id()?;
        let whole_instance = self.holds_whole_instance();
        let granted: BTreeSet<_> = self.granted_organizations().cloned().collect();
        let own = self.principal.user.as_ref().map(UserId::as_str);
        let self_access = self.is_exempt(Exemption::SelfAccess) && own == Some(raw_id);
        self.demand(whole_instance || !granted.is_empty() || self_access)?;
        let id = UserId::new(raw_id).map_err(|error| AuthError::field("user_id", error))?;
        let scope = Scope::User(instance.clone(), id);
        Ok(UserAccess { scope, caller: self.clone(), whole_instance, granted, self_access })
    }
}

impl UserAccess {
    /// The organization that a write places the user in.
    ///
    /// A caller with the right on the instance may move the user to the organization that the metadata name. The
    /// organization of the caller's token counts only if none is recorded. A caller with a role in an organization can
    /// place the user there only. Users who write for themselves stay in their organization.
    ///
    /// # Errors
    /// [`AuthError::PermissionMissing`] if the metadata name an organization out of reach, and
    /// [`AuthError::FieldInvalid`] for `x-zitadel-orgid` if the caller has several organizations and must name one.
    pub fn placement(&self) -> Result<Placement, AuthError> {
        if self.whole_instance {
            return Ok(match (self.caller.named.as_ref(), self.claimed()) {
                (Some(named), _) => Placement::Move(named.clone()),
                (None, Some(claimed)) => Placement::Initial(claimed.clone()),
                (None, None) => Placement::Keep,
            });
        }
        if self.granted.is_empty() {
            return Ok(self.own(self.claimed())?.map_or(Placement::Keep, Placement::Initial));
        }
        self.one_of(None).map(Placement::Within)
    }

    /// The organization through which the user inherits in this read; `None` if there is none.
    ///
    /// With the right on the instance it is the organization in the metadata, or else the caller's own, or else the
    /// recorded one. A caller with a role in an organization reads users who are recorded there or nowhere.
    ///
    /// Users read their own settings through the organization in their token. The record counts only if the token names
    /// none, because the token is fresh, and its issuer knows the user. The record may be older than a change of the
    /// user's organization, and the manager of any organization may have written it first. So a read never shows
    /// settings of an organization that the same token could not read as a member, and a record elsewhere cannot keep
    /// users from their own settings. The metadata may repeat the user's organization, but not name another one.
    ///
    /// # Errors
    /// As for [`UserAccess::placement`], and [`AuthError::PermissionMissing`] if the user is recorded out of reach.
    pub fn reads_through(&self, recorded: Option<&OrganizationId>) -> Result<Option<OrganizationId>, AuthError> {
        if self.whole_instance {
            return Ok(self.caller.named.as_ref().or(self.claimed()).or(recorded).cloned());
        }
        if self.self_access {
            let own = self.own(self.claimed().or(recorded));
            // A role must not take away the right of all users to read their own settings.
            if own.is_ok() || self.granted.is_empty() {
                return own;
            }
        }
        let through = self.one_of(recorded)?;
        if recorded.is_some_and(|recorded| *recorded != through) {
            return Err(self.caller.missing("the user belongs to another organization"));
        }
        Ok(Some(through))
    }

    /// The organization that the answer names as the user's owner; `None` for the recorded one.
    ///
    /// Only a right on the instance shows where a user is recorded. Other callers see the `organization` that they read
    /// or write through.
    pub fn owner<'o>(&self, organization: Option<&'o OrganizationId>) -> Option<&'o OrganizationId> {
        organization.filter(|_| !self.whole_instance)
    }

    /// The organization in which the caller's right is used.
    fn one_of(&self, recorded: Option<&OrganizationId>) -> Result<OrganizationId, AuthError> {
        let is_granted = |id: &&OrganizationId| self.granted.contains(*id);
        if let Some(named) = self.caller.named.as_ref() {
            return Some(named).filter(is_granted).cloned().ok_or_else(|| self.out_of_reach());
        }
        let known = [self.claimed(), recorded].into_iter().flatten().find(is_granted);
        let only = self.granted.first().filter(|_| self.granted.len() == 1);
        match known.or(only) {
            Some(id) => Ok(id.clone()),
            None if recorded.is_some() => Err(self.caller.missing("the user belongs to another organization")),
            None => Err(AuthError::field(ORGANIZATION_METADATA, "name one of your organizations")),
        }
    }

    /// The user's own organization, unless the metadata name another one.
    fn own(&self, own: Option<&OrganizationId>) -> Result<Option<OrganizationId>, AuthError> {
        let named = self.caller.named.as_ref();
        if named.is_some() && named != own { Err(self.out_of_reach()) } else { Ok(own.cloned()) }
    }

    /// The organization in the caller's token.
    fn claimed(&self) -> Option<&OrganizationId> {
        self.caller.principal.organization.as_ref()
    }

    fn out_of_reach(&self) -> AuthError {
        self.caller.missing("it is not held in the organization that x-zitadel-orgid names")
    }
}

#[cfg(test)]
mod tests;
