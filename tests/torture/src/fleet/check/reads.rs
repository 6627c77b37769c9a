//! Checks of what readers saw.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::replay::Replayed;
use super::timeline::Timeline;
use super::writes::{first, is_possible};
use super::{Claims, Kind, Problem, Version, key};
use crate::fleet::record::{Answer, Asks, Nanos, ReadCall, WriteCall};
use crate::workload::client::Read;
use crate::workload::feature::Scope;

/// What a server has shown or acknowledged, and has to show from then on.
#[derive(Default)]
struct Shown {
    floor: u64,
    /// The revisions of calls that end later.
    coming: BinaryHeap<Reverse<(Nanos, u64)>>,
}

/// Checks the reads of a cycle, of each server by itself.
pub fn check(
    reads: &[ReadCall],
    calls: &HashMap<String, WriteCall>,
    replayed: &Replayed,
    timeline: &Timeline,
    claims: &Claims,
    problems: &mut Vec<Problem>,
) {
    let mut shown: HashMap<usize, Shown> = HashMap::new();
    for call in calls.values().filter(|call| matches!(call.answer, Answer::Acknowledged(..))) {
        if let Some(revision) = replayed.found.get(&call.id) {
            shown.entry(call.server).or_default().coming.push(Reverse((call.end, *revision)));
        }
    }
    let mut reads: Vec<_> = reads.iter().collect();
    reads.sort_unstable_by_key(|call| call.begin);
    for call in reads {
        let shown = shown.entry(call.server).or_default();
        let floor = shown.at(call.begin);
        match checked(call, floor, replayed, timeline, claims) {
            Ok(revision) => shown.coming.push(Reverse((call.end, revision))),
            Err(problem) => problems.push(problem),
        }
    }
}

/// The first revision at which the answer is right.
fn checked(
    call: &ReadCall,
    floor: u64,
    replayed: &Replayed,
    timeline: &Timeline,
    claims: &Claims,
) -> Result<u64, Problem> {
    let ReadCall { server, scope, begin, end, asks, answer, place } = call;
    let problem = |kind, text| Problem::new(kind, format!("a read of {scope:?} on server {server}: {text}"));
    let read = match answer {
        Ok(read) => read,
        Err(error) => {
            let is_down = claims.down.iter().any(|(down, from, to)| down == server && from < end && begin < to);
            // Such a read needs the database, which may be away.
            let needs_database = matches!(asks, Asks::Latest | Asks::AtLeast(_));
            return if is_down || needs_database { Ok(floor) } else { Err(problem(Kind::Unanswered, error.clone())) };
        }
    };
    let claimed = match asks {
        Asks::Any => 0,
        Asks::Ready => timeline.acknowledged_before(begin.saturating_sub(claims.staleness)),
        Asks::AtLeast(place) => place.revision,
        Asks::Latest => timeline.acknowledged_before(*begin),
    };
    let newest = timeline.possible_at(*end);
    if let Some(place) = place
        && !is_possible(*place, claimed.max(floor), newest, replayed)
    {
        return Err(problem(Kind::Stale, format!("the answer names {place}, not from {claimed} to {newest}")));
    }
    let oldest = claimed.max(place.map_or(0, |place| place.revision));
    let versions = replayed.versions(&key(scope));
    let is_right = |version: &Version| shows(version, scope, read);
    let text = || format!("{:?}, and it asked for {asks:?}, from {oldest} to {newest}", read.details);
    if first(versions, 0, newest, is_right).is_none() {
        return Err(problem(Kind::Wrong, text()));
    }
    if first(versions, oldest, newest, is_right).is_none() {
        return Err(problem(Kind::Stale, text()));
    }
    let seen = first(versions, oldest.max(floor), newest, is_right);
    seen.ok_or_else(|| problem(Kind::Back, format!("{}; {floor} was shown before", text())))
}

/// Whether a read shows this version of a scope.
pub fn shows(version: &Version, scope: &Scope, read: &Read) -> bool {
    version.state.sequence == read.details.sequence
        && version.state.layer == read.layer
        && version.state.owner(scope, None) == read.details.owner
        && version.changed == read.details.changed
        && version.created == read.details.created
}

impl Shown {
    /// The revision that a call which begins at this moment has to show at least.
    fn at(&mut self, moment: Nanos) -> u64 {
        while let Some(Reverse((end, revision))) = self.coming.peek().copied().filter(|Reverse((end, _))| *end < moment)
        {
            let _ = end;
            self.floor = self.floor.max(revision);
            self.coming.pop();
        }
        self.floor
    }
}
