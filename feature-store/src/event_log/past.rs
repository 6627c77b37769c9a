//! What was once: the record of a scope at an earlier revision, and the revision of a time.

use feature_core::{Event, EventKind, FeatureChange, FeatureKey, Record, Scope, Timestamp};

use super::term::Term;
use super::{EventLog, Found, Order};
use crate::error::StoreError;

/// The most changes that a read of the past takes back.
pub(crate) const TAKEN_BACK_MAX: usize = 200_000;

/// So many events are read at once.
const READ_AT_ONCE: usize = 500;

/// The record of a scope as it was after a revision. A value that was overwritten since has no revision, and the
/// record remembers no requests.
///
/// `newest`: the record as it was read before this call. Changes since then do no harm.
///
/// # Errors
/// [`StoreError::TooLongAgo`] when the scope has changed too often since, [`StoreError::Erased`], and those of
/// [`EventLog::events`].
pub fn record_at(log: &dyn EventLog, scope: &Scope, newest: Record, revision: u64) -> Result<Record, StoreError> {
    let mut record = Record { completed: Vec::new(), ..newest };
    if record.changed.is_none() {
        return Ok(Record::default());
    }
    let (mut taken_back, mut before) = (0, None);
    for_each_of(log, scope, revision, |event| {
        if event.revision <= revision {
            before = Some(event);
            return Ok(false);
        }
        // A replica that is behind may show blank changes, and not yet their erasure.
        let is_blank = event.is_erased && event.changes.iter().any(FeatureChange::is_blank);
        if event.kind == EventKind::Erase || is_blank {
            return Err(StoreError::Erased { revision });
        }
        record.take_back(&event.changes);
        record.sequence = event.sequence - event.steps();
        taken_back += 1;
        if taken_back > TAKEN_BACK_MAX { Err(StoreError::TooLongAgo { max: TAKEN_BACK_MAX }) } else { Ok(true) }
    })?;
    if record.sequence == 0 && before.is_none() {
        return Ok(Record::default());
    }
    if taken_back > 0 {
        record.changed = before.as_ref().map(|event| event.time);
        // An event that is not kept any more leaves the newest organization.
        record.organization = before.map_or(record.organization, |event| event.organization);
    }
    Ok(record)
}

/// The newest change of one of these features of a scope after a revision: the feature, and the revision of the change.
///
/// # Errors
/// As for [`record_at`].
pub fn changed_since(
    log: &dyn EventLog,
    scope: &Scope,
    keys: &[&FeatureKey],
    revision: u64,
) -> Result<Option<(FeatureKey, u64)>, StoreError> {
    let (mut seen, mut newest) = (0, None);
    for_each_of(log, scope, revision, |event| {
        seen += 1;
        if seen > TAKEN_BACK_MAX {
            return Err(StoreError::TooLongAgo { max: TAKEN_BACK_MAX });
        }
        let is_later = event.revision > revision;
        let changed = event.changes.into_iter().map(|change| change.key).find(|key| keys.contains(&key));
        newest = changed.filter(|_| is_later).map(|key| (key, event.revision));
        Ok(is_later && newest.is_none())
    })?;
    Ok(newest)
}

/// Hands over the events of a scope, the newest first, until `take` returns `false`. If there is none after this
/// revision, the search ends there.
fn for_each_of(
    log: &dyn EventLog,
    scope: &Scope,
    revision: u64,
    mut take: impl FnMut(Event) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let (mut at, mut is_later) = (Some(log.newest()), false);
    while let Some(from) = at.filter(|from| *from > revision || is_later) {
        let Found { revisions, next } = log.find(&[Term::scope(scope)], from, Order::NewestFirst)?;
        for part in revisions.chunks(READ_AT_ONCE) {
            for event in events_of(log, part)?.into_iter().rev().filter(|event| event.scope == *scope) {
                is_later |= event.revision > revision;
                if !take(event)? {
                    return Ok(());
                }
            }
        }
        at = next;
    }
    Ok(())
}

/// The events with these revisions, which descend. They come in the order of their revisions.
fn events_of(log: &dyn EventLog, revisions: &[u64]) -> Result<Vec<Event>, StoreError> {
    let ascending: Vec<_> = revisions.iter().rev().copied().collect();
    let (mut events, mut left) = (Vec::with_capacity(ascending.len()), &ascending[..]);
    while !left.is_empty() {
        let read = log.events_at(left)?;
        let Some(last) = read.last().map(|last| last.revision) else { break };
        events.extend(read);
        left = &left[left.partition_point(|revision| *revision <= last)..];
    }
    Ok(events)
}

/// The revision of the last event up to a time; 0 when there is none. Where a clock was set back, events are not in the
/// order of their times: then it is one of those that could be meant.
///
/// # Errors
/// [`StoreError::Compacted`] when the events of that time are not kept any more, and those of [`EventLog::events`].
pub fn revision_at(log: &dyn EventLog, time: Timestamp) -> Result<u64, StoreError> {
    let (oldest, newest) = (log.oldest()?, log.newest());
    // All up to `low` are not later than the time, and all from `high` on are.
    let (mut low, mut high) = (oldest - 1, newest + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        // Events may be dropped at any moment.
        let event = log.events_at(&[middle])?.pop().ok_or(StoreError::Compacted { oldest: middle + 1, newest })?;
        if event.time <= time { low = middle } else { high = middle }
    }
    if low + 1 == oldest && oldest > 1 { Err(StoreError::Compacted { oldest, newest }) } else { Ok(low) }
}
