//! Checks the changes themselves: no gap, and each write is there as a whole, once, if it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Kind, Problem};
use crate::campaign::watch::model::Model;
use crate::campaign::watch::record::{Answer, Era, Event, Part, Write};
use feature_api::feature::v1::ChangeKind;

/// Checks all changes of all eras against all writes.
pub fn check_writes(eras: &[Era], writes: &[Write]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, era) in eras.iter().enumerate() {
        numbers(number, era, &mut problems);
        let newest = era.events.keys().last().copied().unwrap_or_default();
        if let Err(text) = Model::default().move_to(era, newest) {
            problems.push(Kind::Wrong.problem(text));
        }
        let mut by_request: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in era.events.range(era.base + 1..).map(|(_, event)| event) {
            by_request.entry(&event.request).or_default().push(event);
        }
        let mut etags: BTreeSet<(&str, &str)> = BTreeSet::new();
        etags.extend(era.events.values().map(|event| (&*event.resource, &*event.etag)));
        for write in writes.iter().filter(|write| write.era == number) {
            let events = by_request.remove(&*write.id).unwrap_or_default();
            problems.extend(check_write(write, &events, &etags));
        }
        let unasked = |(id, events): (&str, Vec<&Event>)| {
            Kind::Unasked.problem(format!("{} has the unknown request {id}", events[0].revision))
        };
        problems.extend(by_request.into_iter().map(unasked));
    }
    problems
}

/// The changes of an era have all numbers from 1 on.
fn numbers(number: usize, era: &Era, problems: &mut Vec<Problem>) {
    let mut expected = 1;
    for revision in era.events.keys() {
        if *revision != expected {
            problems.push(Kind::Gap.problem(format!("era {number}: {revision} follows {}", expected - 1)));
        }
        expected = revision + 1;
    }
}

fn check_write(write: &Write, events: &[&Event], etags: &BTreeSet<(&str, &str)>) -> Option<Problem> {
    let Write { id, kind, parts, answer, .. } = write;
    let (found, asked) = (events.len(), parts.len());
    // A reset of a scope that sets nothing changes nothing, and so does the archival of what is archived.
    let may_be_nothing = *kind != ChangeKind::Set;
    match answer {
        Answer::Refused if found > 0 => {
            return Some(Kind::Unasked.problem(format!("{id} was refused, and is {}", events[0].revision)));
        }
        Answer::Acknowledged(_) if found == 0 && !may_be_nothing => {
            return Some(Kind::Lost.problem(format!("{id} was acknowledged: {kind:?} of {}", parts[0].resource)));
        }
        Answer::Acknowledged(told) => {
            let is_lost = |(part, etag): &(&Part, &String)| {
                // The etag of a scope that was never written belongs to no change.
                !(found == 0 || etags.contains(&(&*part.resource, &**etag)))
            };
            if let Some((part, etag)) = parts.iter().zip(told).find(is_lost) {
                return Some(Kind::Lost.problem(format!("{id}: {} never had the etag {etag}", part.resource)));
            }
        }
        _ => {}
    }
    if found == 0 {
        return None;
    }
    let revisions: Vec<_> = events.iter().map(|event| event.revision).collect();
    let is_apart = revisions.windows(2).any(|pair| pair[1] != pair[0] + 1);
    let of_events: BTreeSet<_> = events.iter().map(|event| &event.resource).collect();
    let of_parts: BTreeSet<_> = parts.iter().map(|part| &part.resource).collect();
    if found != asked || is_apart || of_events != of_parts {
        return Some(Kind::Half.problem(format!("{id} has {asked} parts, and is {revisions:?}")));
    }
    let wrong = events.iter().find(|event| {
        let part = parts.iter().find(|part| part.resource == event.resource);
        let has = |(key, digest)| event.fields.get(key).is_some_and(|field| field.new == Some(digest));
        event.kind != *kind || !part.is_some_and(|part| part.new.iter().all(|(key, digest)| has((key, *digest))))
    });
    wrong.map(|event| Kind::Wrong.problem(format!("{id} is {}, which changes something else", event.revision)))
}
