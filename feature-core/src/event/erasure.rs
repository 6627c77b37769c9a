//! Erasures: what is known of a user is taken out of the history, and the shape of the history stays.

use crate::event::{Event, EventKind};
use crate::id::{InstanceId, UserId};
use crate::record::Record;
use crate::scope::Scope;

/// Takes what is known of a user out of the events before it: the values and comments of the user's settings, and the
/// user as the actor of changes in the same instance, with the credential. Revisions, times and the keys of what has
/// changed stay, and who has erased someone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The revision of its event. Later events stay as they are.
    pub revision: u64,
    /// The instance of the user.
    pub instance: InstanceId,
    /// The user.
    pub user: UserId,
}

impl Erasure {
    /// The erasure that an event is.
    pub fn of(event: &Event) -> Option<Self> {
        match (event.kind, &event.scope) {
            (EventKind::Erase, Scope::User(instance, user)) => {
                Some(Self { revision: event.revision, instance: instance.clone(), user: user.clone() })
            }
            _ => None,
        }
    }

    /// The user's settings.
    pub fn scope(&self) -> Scope {
        Scope::User(self.instance.clone(), self.user.clone())
    }

    /// Whether there is something in an event to take out.
    pub fn concerns(&self, event: &Event) -> bool {
        let has_values = || {
            let mut values = event.changes.iter().flat_map(|change| [&change.old, &change.new]);
            !event.comment.is_empty() || values.any(Option::is_some)
        };
        event.revision < self.revision && (self.is_by_user(event) || event.scope == self.scope() && has_values())
    }

    /// Takes it out. Does nothing to an event that the erasure does not [concern](Erasure::concerns).
    pub fn blank(&self, event: &mut Event) {
        if !self.concerns(event) {
            return;
        }
        event.is_erased = true;
        if self.is_by_user(event) {
            event.actor.clear();
            event.credential = None;
        }
        if event.scope == self.scope() {
            event.comment.clear();
            for change in &mut event.changes {
                (change.old, change.new) = (None, None);
            }
        }
    }

    /// The user's record as it is after events that were blanked.
    pub fn blank_record(record: Record) -> Record {
        Record { layer: Default::default(), revisions: Default::default(), ..record }
    }

    fn is_by_user(&self, event: &Event) -> bool {
        // Who has erased someone stays known.
        let is_erasure = event.kind == EventKind::Erase;
        event.actor == self.user.as_str() && event.scope.instance() == Some(&self.instance) && !is_erasure
    }
}
