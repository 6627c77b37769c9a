//! What a caller may do to one user. It depends on the user's organization, of which three parties speak: the
//! metadata of the call, the caller's token, and the record of the user's settings.

use feature_core::{OrganizationId, Placement, Scope};

use super::{Caller, ORGANIZATION_METADATA};
use crate::error::Failure;

/// A right on one user, or at least on some users of their instance.
#[derive(Debug, Clone)]
pub struct UserAccess {
    /// The user.
    pub scope: Scope,
    caller: Caller,
    reach: Reach,
}

/// Where the right comes from. The widest one counts.
#[derive(Debug, Clone)]
enum Reach {
    /// A role over the whole instance.
    Instance,
    /// Roles in these organizations, and being that user when `itself`.
    Organizations { granted: Vec<OrganizationId>, itself: bool },
}

impl UserAccess {
    pub(super) fn new(scope: Scope, caller: &Caller, itself: bool) -> Self {
        let reach = if caller.holds_whole_instance() {
            Reach::Instance
        } else {
            let mut granted: Vec<OrganizationId> = match caller.rule.permission() {
                Some(permission) if caller.at_home() => {
                    caller.principal.holds_in_organizations(permission).cloned().collect()
                }
                _ => Vec::new(),
            };
            granted.sort_unstable();
            granted.dedup();
            Reach::Organizations { granted, itself }
        };
        Self { scope, caller: caller.clone(), reach }
    }

    /// Where a write puts the user.
    ///
    /// Who has the right on the instance may move users: to the organization that the metadata name. That of their
    /// own token only counts where none is recorded. A role in an organization keeps to it. A user who writes for
    /// themself stays where they are.
    ///
    /// # Errors
    /// [`Failure::PermissionMissing`] when the metadata name an organization out of reach, and
    /// [`Failure::FieldsInvalid`] for `x-zitadel-orgid` when it must be given to tell which of several is meant.
    pub fn placement(&self) -> Result<Placement, Failure> {
        match &self.reach {
            Reach::Instance => Ok(match (self.named(), self.claimed()) {
                (Some(named), _) => Placement::Move(named.clone()),
                (None, Some(claimed)) => Placement::Initial(claimed.clone()),
                (None, None) => Placement::Keep,
            }),
            Reach::Organizations { granted, .. } if !granted.is_empty() => {
                self.one_of(granted, None).map(Placement::Within)
            }
            Reach::Organizations { .. } => {
                let own = self.own(self.claimed())?;
                Ok(own.map_or(Placement::Keep, Placement::Initial))
            }
        }
    }

    /// The organization through which the user inherits in this read; `None` when none is known.
    ///
    /// With the right on the instance it is the one that the metadata name, else the caller's own, else the
    /// recorded one. A role in an organization reads users who are recorded there or nowhere.
    ///
    /// Users themselves read through the organization that their token names, and only a token that names none
    /// makes the record count. The token is fresh and signed by who knows the user. The record is what the last
    /// writer said: it may be older than a change of the user's organization, and the first to write may have been a
    /// manager of any organization. So the read shows no settings of an organization that the same token could not
    /// read as a member anyway, and nobody can turn users away from their own settings by recording them elsewhere.
    /// Metadata may repeat that organization, and never name another one.
    ///
    /// # Errors
    /// As for [`UserAccess::placement`], and [`Failure::PermissionMissing`] when the user is recorded out of reach.
    pub fn reads_through(&self, recorded: Option<&OrganizationId>) -> Result<Option<OrganizationId>, Failure> {
        match &self.reach {
            Reach::Instance => Ok(self.named().or(self.claimed()).or(recorded).cloned()),
            Reach::Organizations { granted, itself: false } => self.as_granted(granted, recorded),
            Reach::Organizations { granted, itself: true } => {
                // Holding a role must not take away what everybody may read of themself.
                let own = self.own(self.claimed().or(recorded));
                if own.is_err() && !granted.is_empty() { self.as_granted(granted, recorded) } else { own }
            }
        }
    }

    /// The organization that the answer names as the user's owner; `None` for the recorded one.
    ///
    /// Only a right on the instance shows where a user is recorded. All others see the organization that they read or
    /// write through: users whose token names one do not learn that they are recorded under another.
    ///
    /// `organization`: the one that the call reads or writes through.
    pub fn owner<'o>(&self, organization: Option<&'o OrganizationId>) -> Option<&'o OrganizationId> {
        match self.reach {
            Reach::Instance => None,
            Reach::Organizations { .. } => organization,
        }
    }

    fn as_granted(
        &self,
        granted: &[OrganizationId],
        recorded: Option<&OrganizationId>,
    ) -> Result<Option<OrganizationId>, Failure> {
        let through = self.one_of(granted, recorded)?;
        if recorded.is_some_and(|recorded| *recorded != through) {
            return Err(self.caller.missing("the user belongs to another organization"));
        }
        Ok(Some(through))
    }

    /// The one of the caller's organizations that is meant.
    fn one_of(&self, granted: &[OrganizationId], recorded: Option<&OrganizationId>) -> Result<OrganizationId, Failure> {
        if let Some(named) = self.named() {
            return if granted.contains(named) { Ok(named.clone()) } else { Err(self.out_of_reach()) };
        }
        let known = [self.claimed(), recorded].into_iter().flatten().find(|id| granted.contains(id));
        match (known, granted) {
            (Some(known), _) => Ok(known.clone()),
            (None, [only]) => Ok(only.clone()),
            (None, _) if recorded.is_some() => Err(self.caller.missing("the user belongs to another organization")),
            (None, _) => Err(Failure::field(ORGANIZATION_METADATA, "name one of your organizations")),
        }
    }

    /// The user's own organization, when the metadata do not name another one.
    fn own(&self, own: Option<&OrganizationId>) -> Result<Option<OrganizationId>, Failure> {
        match self.named() {
            Some(named) if Some(named) != own => Err(self.out_of_reach()),
            _ => Ok(own.cloned()),
        }
    }

    fn named(&self) -> Option<&OrganizationId> {
        self.caller.named.as_ref()
    }

    /// The organization in the caller's token.
    fn claimed(&self) -> Option<&OrganizationId> {
        self.caller.principal.organization.as_ref()
    }

    fn out_of_reach(&self) -> Failure {
        self.caller.missing("it is not held in the organization that x-zitadel-orgid names")
    }
}

#[cfg(test)]
mod tests;
