//! A record: the state of one scope, which is the sum of the scope's events.

pub(crate) mod idempotency;

use std::collections::BTreeMap;

use crate::event::{Event, EventKind, FeatureChange};
use crate::feature::FeatureKey;
use crate::id::OrganizationId;
use crate::layer::Layer;
use crate::scope::Scope;
use crate::time::Timestamp;
use idempotency::{Completed, IdempotencyKey, find, remember};

/// The owner of the settings on the system level.
const SYSTEM_OWNER: &str = "SYSTEM";

/// The state of one scope. The default is the state of a scope that was never written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The features that the scope has set.
    pub layer: Layer,
    /// The number of changes so far; 0 before the first one.
    pub sequence: u64,
    /// When the scope was first written.
    pub created: Option<Timestamp>,
    /// When the scope was last written.
    pub changed: Option<Timestamp>,
    /// For a user: the organization that the last write recorded.
    pub organization: Option<OrganizationId>,
    /// The revision of the event that set each feature. It is missing for values that an earlier version has written.
    pub revisions: BTreeMap<FeatureKey, u64>,
    /// The requests with a key that the scope remembers, the oldest first.
    pub completed: Vec<Completed>,
}

/// What an answer says about a scope beside its features (`zitadel.object.v2.Details`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The number of changes so far; 0 before the first one.
    pub sequence: u64,
    /// When the scope was first written.
    pub created: Option<Timestamp>,
    /// When the scope was last written.
    pub changed: Option<Timestamp>,
    /// The owner of the settings: `SYSTEM`, the id of an instance, or the id of an organization.
    pub resource_owner: String,
}

impl Details {
    /// The same details with this organization as the owner. Without an organization they stay as they are.
    pub fn owned_by(self, organization: Option<&OrganizationId>) -> Self {
        match organization {
            Some(organization) => Self { resource_owner: organization.as_str().to_owned(), ..self },
            None => self,
        }
    }
}

impl Record {
    /// Adds one event of this scope. The caller adds events in the order of their sequence.
    pub fn apply(&mut self, event: &Event) {
        self.layer.apply(&event.changes);
        if event.kind == EventKind::Erase {
            (self.layer, self.revisions) = Default::default();
        }
        for change in &event.changes {
            match change.new {
                Some(_) => drop(self.revisions.insert(change.key.clone(), event.revision)),
                None => drop(self.revisions.remove(&change.key)),
            }
        }
        self.sequence = event.sequence;
        self.created = self.created.or(Some(event.time));
        self.changed = Some(event.time);
        self.organization = event.organization.clone();
        remember(&mut self.completed, event);
    }

    /// Takes the changes of later events back, the newest first. The rest of the record stays.
    pub fn take_back(&mut self, changes: &[FeatureChange]) {
        self.layer.take_back(changes);
        for change in changes {
            // What set the old value is not known.
            self.revisions.remove(&change.key);
        }
    }

    /// The request with this key, if it has changed the scope and is remembered.
    pub fn completed(&self, key: Option<IdempotencyKey>, now: Timestamp) -> Option<&Completed> {
        find(&self.completed, key, now)
    }

    /// The details of this record, which belongs to `scope`.
    ///
    /// `named`: the organization that the call names. It owns a user for whom no organization is recorded.
    pub fn details(&self, scope: &Scope, named: Option<&OrganizationId>) -> Details {
        let resource_owner = match scope {
            Scope::System | Scope::Definition(None, _) => SYSTEM_OWNER,
            Scope::Instance(instance) | Scope::Organization(instance, _) | Scope::Definition(Some(instance), _) => {
                instance.as_str()
            }
            Scope::User(instance, _) => {
                self.organization.as_ref().or(named).map_or(instance.as_str(), OrganizationId::as_str)
            }
        };
        Details {
            sequence: self.sequence,
            created: self.created,
            changed: self.changed,
            resource_owner: resource_owner.to_owned(),
        }
    }
}
