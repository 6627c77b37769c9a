//! Terms: what an event concerns, as the index has it.

use feature_core::{Event, InstanceId, Scope};

use crate::format::scope_key;

/// Something that an event concerns: its scope, its instance, a feature, its actor, or the definitions of an owner. It
/// is a hash, so two of them may be equal by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub(crate) u32);

impl Term {
    /// Events of a scope.
    pub fn scope(scope: &Scope) -> Self {
        Self::new(b's', &scope_key::encode(scope))
    }

    /// Events of an instance, and of all scopes in it.
    pub fn instance(instance: &InstanceId) -> Self {
        Self::new(b'i', instance.as_str().as_bytes())
    }

    /// Events that change a feature with this key, or a definition of it. Case does not count.
    pub fn feature(key: &str) -> Self {
        Self::new(b'f', key.to_ascii_lowercase().as_bytes())
    }

    /// Events of all definitions of an instance, or of the system.
    pub fn definitions(owner: Option<&InstanceId>) -> Self {
        Self::new(b'd', owner.map_or("", InstanceId::as_str).as_bytes())
    }

    /// Events of an actor.
    pub fn actor(actor: &str) -> Self {
        Self::new(b'a', actor.as_bytes())
    }

    /// The terms of an event, each once.
    pub(crate) fn all_of(event: &Event) -> Vec<Self> {
        let mut terms = vec![Self::scope(&event.scope), Self::actor(&event.actor)];
        terms.extend(event.scope.instance().map(Self::instance));
        match &event.scope {
            // What a definition changes are its fields.
            Scope::Definition(owner, key) => {
                terms.extend([Self::feature(key.key().as_str()), Self::definitions(owner.as_ref())]);
            }
            _ => terms.extend(event.changes.iter().map(|change| Self::feature(change.key.as_str()))),
        }
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    fn new(kind: u8, name: &[u8]) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(&[kind]), name))
    }
}
