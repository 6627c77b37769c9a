//! Which definitions to read from a store.

use feature_core::{InstanceId, OwnKey, Scope};

/// Definitions to read from a store.
#[derive(Debug, Clone, Copy)]
pub enum Definitions<'a> {
    /// All of an instance, or of the system.
    Of(Option<&'a InstanceId>),
    /// Those of this key, of the system and of every instance. This reads all definitions of the store.
    Named(&'a OwnKey),
}

impl Definitions<'_> {
    /// Whether this is the scope of one of them.
    pub fn include(self, scope: &Scope) -> bool {
        match (self, scope) {
            (Definitions::Of(owner), Scope::Definition(of, _)) => owner == of.as_ref(),
            (Definitions::Named(key), Scope::Definition(_, named)) => key == named,
            _ => false,
        }
    }
}
