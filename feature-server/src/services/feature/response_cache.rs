//! Answers that were given before and still hold: to the same question, as long as nothing that was read for it has
//! been written since. How a question is answered is not known here.
//!
//! What an answer depends on is either in the question or among the records whose versions are kept with it. No time
//! plays a part, and no lock that a writer holds.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use feature_core::{Level, Record, Scope};
use feature_store::{FeatureStore, StoreError, Version, Versioned};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::services::frame::Frame;
use feature_auth::access::Caller;

/// What an entry takes beside its bytes and those of its principal, at most about.
const ENTRY_BYTES: usize = 640;

/// What a typical entry takes in all.
const TYPICAL_BYTES: usize = 2048;

/// The answers to reads, of which those that are seldom asked for are forgotten first.
#[derive(Clone)]
pub struct Answers {
    store: Arc<Versioned>,
    given: Option<Arc<Cache<Kept, Arc<Given>, Weight>>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question<'a> {
    /// The level whose Get is called.
    pub(super) level: Level,
    /// Who asks, and for which instance and organization.
    pub(super) caller: &'a Caller,
    /// The request, encoded.
    pub(super) message: &'a [u8],
}

/// A question that is remembered.
#[derive(Debug, Clone)]
struct Kept {
    level: Level,
    caller: Caller,
    message: Bytes,
}

#[derive(Debug)]
struct Given {
    frame: Frame,
    basis: Vec<Version>,
}

/// What was read for an answer: the versions of the records.
#[derive(Debug, Default)]
pub(super) struct Basis {
    versions: Vec<Version>,
    /// A record was read while it may have been changing, so nobody can tell later whether it has changed.
    unsteady: bool,
}

impl Answers {
    /// * `store`: the one that answers are read from.
    /// * `bytes`: how much is remembered at most; nothing with 0.
    pub fn new(store: Arc<Versioned>, bytes: usize) -> Self {
        let given = || Arc::new(Cache::with_weighter(bytes / TYPICAL_BYTES, bytes as u64, Weight));
        Self { store, given: (bytes > 0).then(given) }
    }

    /// The answer that was given before, if it still holds.
    pub(super) fn find(&self, question: &Question<'_>) -> Option<Frame> {
        let given = self.given.as_ref()?.get(question)?;
        let holds = given.basis.iter().all(|version| self.store.is_current(*version));
        holds.then(|| given.frame.clone())
    }

    /// Remembers an answer that was made from this basis.
    pub(super) fn keep(&self, question: &Question<'_>, frame: &Frame, basis: Basis) {
        if let (Some(cache), false) = (&self.given, basis.unsteady) {
            let Question { level, caller, message } = *question;
            // Copied, because the message as it came may keep a larger buffer in memory.
            let kept = Kept { level, caller: caller.clone(), message: Bytes::copy_from_slice(message) };
            cache.insert(kept, Arc::new(Given { frame: frame.clone(), basis: basis.versions }));
        }
    }

    /// Reads a record and notes its version in `basis`.
    pub(super) fn read(&self, scope: &Scope, basis: &mut Basis) -> Result<Record, StoreError> {
        match self.store.version(scope) {
            Some(version) => basis.versions.push(version),
            None => basis.unsteady = true,
        }
        self.store.record(scope)
    }
}

impl Kept {
    fn question(&self) -> Question<'_> {
        Question { level: self.level, caller: &self.caller, message: &self.message }
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.question() == other.question()
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.question().hash(state);
    }
}

impl Equivalent<Kept> for Question<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self == kept.question()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Kept, Arc<Given>> for Weight {
    fn weight(&self, kept: &Kept, given: &Arc<Given>) -> u64 {
        // Entries share their principals while tokens are remembered, but each can be the last that has its own.
        (ENTRY_BYTES + kept.caller.principal().bytes() + kept.message.len() + given.frame.size()) as u64
    }
}

#[cfg(test)]
mod tests;
