//! Erasures that the files or the database may not have carried out yet: what is read meanwhile is blanked.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use feature_core::{Erasure, Event};

use super::Found;
use super::term::Term;
use crate::error::StoreError;
use crate::format::encoding::{NotUnderstood, decode_record, encode_record};
use crate::format::scope_key;

/// Erasures that are not known to be carried out.
#[derive(Debug, Default)]
pub(crate) struct PendingErasures(RwLock<Arc<[Erasure]>>);

impl PendingErasures {
    /// With these.
    pub(crate) fn new(erasures: Vec<Erasure>) -> Self {
        Self(RwLock::new(erasures.into()))
    }

    /// Adds those of events, before they are visible. Returns whether there are any.
    pub(crate) fn add<'e>(&self, events: impl Iterator<Item = &'e Event>) -> bool {
        let new: Vec<_> = events.filter_map(Erasure::of).collect();
        let is_new = !new.is_empty();
        if is_new {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            *known = known.iter().cloned().chain(new).collect();
        }
        is_new
    }

    /// Takes out those up to this revision, which are carried out.
    pub(crate) fn done(&self, revision: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|erasure| erasure.revision <= revision) {
            *known = known.iter().filter(|erasure| erasure.revision > revision).cloned().collect();
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Arc<[Erasure]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes out of an event what is erased.
pub(crate) fn blank(erasures: &[Erasure], event: &mut Event) {
    erasures.iter().for_each(|erasure| erasure.blank(event));
}

/// Takes out of events in memory what is erased. Parts that it does not concern stay shared.
pub(crate) fn blank_parts(erasures: &[Erasure], parts: &mut [Arc<[Event]>]) {
    let concerns = |event: &Event| erasures.iter().any(|erasure| erasure.concerns(event));
    for part in parts.iter_mut().filter(|part| part.iter().any(concerns)) {
        let mut events = part.to_vec();
        events.iter_mut().for_each(|event| blank(erasures, event));
        *part = events.into();
    }
}

/// The revisions of the events that erasures may concern, down to the revision `oldest`. Each part of the history is
/// looked at once, the newest first.
///
/// * `first_of`: the first revision of the part of a revision.
/// * `find`: searches the newest events with these terms up to a revision.
/// * `go_on`: asked for each part; `false` ends the search without an outcome.
pub(crate) fn concerned(
    erasures: &[Erasure],
    oldest: u64,
    first_of: impl Fn(u64) -> u64,
    find: impl Fn(&[Term], u64) -> Result<Found, StoreError>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<BTreeSet<u64>>, StoreError> {
    let mut revisions = BTreeSet::new();
    let mut part = erasures.last().map(|last| last.revision);
    while let Some(last) = part.filter(|last| *last >= oldest) {
        if !go_on() {
            return Ok(None);
        }
        let first = first_of(last);
        for erasure in erasures.iter().filter(|erasure| erasure.revision >= first) {
            for terms in terms(erasure) {
                let mut from = Some(erasure.revision.min(last));
                while let Some(at) = from.filter(|from| *from >= first) {
                    let found = find(&terms, at)?;
                    revisions.extend(found.revisions);
                    from = found.next;
                }
            }
        }
        part = first.checked_sub(1);
    }
    Ok(Some(revisions))
}

/// What to look for: the events of the user's settings, and those of the user as the actor.
fn terms(erasure: &Erasure) -> [Vec<Term>; 2] {
    let by_user = vec![Term::actor(erasure.user.as_str()), Term::instance(&erasure.instance)];
    [vec![Term::scope(&erasure.scope())], by_user]
}

/// The records that an erasure empties, among those of a revision before it.
#[derive(Debug, Default)]
pub(crate) struct EmptiedRecords {
    keys: BTreeSet<Vec<u8>>,
}

impl EmptiedRecords {
    /// `revision`: that of the records.
    pub(crate) fn of(erasures: &[Erasure], revision: u64) -> Self {
        let later = erasures.iter().filter(|erasure| erasure.revision > revision);
        Self { keys: later.map(|erasure| scope_key::encode(&erasure.scope())).collect() }
    }

    /// Whether the record with this key is one of them.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.keys.contains(key)
    }

    /// The stored form of a record, emptied if it is one of them.
    pub(crate) fn emptied(&self, key: &[u8], body: Vec<u8>) -> Result<Vec<u8>, NotUnderstood> {
        if self.has(key) { Ok(encode_record(&Erasure::blank_record(decode_record(&body)?))) } else { Ok(body) }
    }
}
