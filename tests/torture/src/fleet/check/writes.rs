//! Checks of what writes were answered.

use super::replay::{Replayed, is_outdated};
use super::timeline::Timeline;
use super::{Kind, Problem, Version, key};
use crate::fleet::record::{Answer, Place, WriteCall};
use crate::workload::feature::{Details, Scope};

/// Checks the answer of one write.
pub fn check(call: &WriteCall, replayed: &Replayed, timeline: &Timeline, problems: &mut Vec<Problem>) {
    let versions = replayed.versions(&key(&call.scope));
    let oldest = timeline.acknowledged_before(call.begin);
    let newest = timeline.possible_at(call.end);
    let mut report = |kind, text: String| {
        let WriteCall { id, server, scope, write, .. } = call;
        problems.push(Problem::new(kind, format!("{id} on server {server}, {scope:?}: {text}; {write:?}")));
    };
    let found = replayed.found.get(&call.id).copied();
    if let Some(revision) = found
        && revision <= oldest
    {
        report(Kind::Order, format!("it has revision {revision}, and {oldest} was acknowledged before it began"));
    }
    let place = match &call.answer {
        Answer::Acknowledged(details, place) => {
            match found {
                Some(revision) => {
                    let version = versions.iter().find(|version| version.revision == revision);
                    if !version.is_some_and(|version| has(version, &call.scope, details, call)) {
                        report(Kind::Wrong, format!("revision {revision} was acknowledged as {details:?}"));
                    }
                }
                None => {
                    let right =
                        |version: &Version| changes_nothing(call, version) && has(version, &call.scope, details, call);
                    match (first(versions, oldest, newest, right), versions.iter().any(right)) {
                        (Some(_), _) => {}
                        (None, true) => {
                            report(Kind::Outdated, format!("it changed nothing, answered {details:?}, and not now"));
                        }
                        (None, false) => report(Kind::Lost, format!("acknowledged as {details:?}, and not there")),
                    }
                }
            }
            *place
        }
        Answer::Mismatch(actual) => {
            let right = |version: &Version| version.state.sequence == *actual && is_outdated(call, &version.state);
            if first(versions, oldest, newest, right).is_none() {
                report(Kind::Outdated, format!("the sequence was not {actual} then"));
            }
            None
        }
        Answer::Refused(_) | Answer::Unknown(_) => None,
    };
    if let Some(place) = place
        && !is_possible(place, found.unwrap_or(oldest), newest, replayed)
    {
        report(Kind::Wrong, format!("its answer names {place}, which is not between {found:?} and {newest}"));
    }
}

/// Whether an answer may name this place.
pub fn is_possible(place: Place, oldest: u64, newest: u64, replayed: &Replayed) -> bool {
    (oldest..=newest).contains(&place.revision) && replayed.has(place)
}

/// The first revision of these, both included, at which the scope has a version like that. A scope without versions was
/// never written.
pub fn first(versions: &[Version], oldest: u64, newest: u64, is_right: impl Fn(&Version) -> bool) -> Option<u64> {
    let unwritten = [Version::default()];
    let versions = if versions.is_empty() { &unwritten } else { versions };
    let begin = versions.partition_point(|version| version.revision <= oldest).saturating_sub(1);
    let possible = versions[begin..].iter().take_while(|version| version.revision <= newest);
    possible.filter(|version| is_right(version)).map(|version| version.revision.max(oldest)).next()
}

fn changes_nothing(call: &WriteCall, version: &Version) -> bool {
    !is_outdated(call, &version.state) && call.write.apply(call.scope.level, &version.state) == version.state
}

fn has(version: &Version, scope: &Scope, details: &Details, call: &WriteCall) -> bool {
    let named = call.write.organization.as_deref();
    version.state.sequence == details.sequence
        && version.state.owner(scope, named) == details.owner
        && version.changed == details.changed
        && version.created == details.created
}
