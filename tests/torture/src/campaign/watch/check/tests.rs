//! Negative controls: the checkers find every kind of broken promise in doctored records, and nothing in good ones.

use std::collections::BTreeMap;

use feature_api::feature::v1::{ChangeKind, Level, ValueSource};

use super::*;
use crate::campaign::watch::record::*;

const ORGANIZATION: &str = "instances/i/organizations/o/settings";
const USER: &str = "instances/i/users/u/settings";

/// Nine changes: 1 and 2 are a batch, 3 makes the user a member, 9 is a reset.
fn era() -> Era {
    let resources = [ORGANIZATION, USER, USER, "instances/j/settings", ORGANIZATION, USER, USER, ORGANIZATION, USER];
    let mut before: BTreeMap<&str, Digest> = BTreeMap::new();
    let mut events = BTreeMap::new();
    for (revision, resource) in (1..).zip(resources) {
        let new = (revision < 9).then_some(revision * 100);
        let old = before.get(resource).copied();
        before.extend(new.map(|new| (resource, new)));
        let event = Event {
            revision,
            resource: resource.to_owned(),
            level: if resource == USER { Level::User } else { Level::Organization },
            kind: if new.is_some() { ChangeKind::Set } else { ChangeKind::Reset },
            request: format!("request-{}", revision.max(2)),
            etag: format!("etag-{revision}"),
            organization: (resource == USER && revision > 2).then(|| "o".to_owned()),
            fields: BTreeMap::from([("actions".to_owned(), Field { old, new })]),
            digest: revision,
        };
        events.insert(revision, event);
    }
    Era { base: 0, events }
}

/// The writes of these changes, all acknowledged.
fn writes(era: &Era) -> Vec<Write> {
    let mut writes: BTreeMap<&str, Write> = BTreeMap::new();
    for event in era.events.values() {
        let new = event.fields.iter().filter_map(|(key, field)| Some((key.clone(), field.new?))).collect();
        let (id, kind, answer) = (event.request.clone(), event.kind, Answer::Acknowledged(Vec::new()));
        let empty = Write { id, era: 0, kind, parts: Vec::new(), answer };
        let write = writes.entry(&event.request).or_insert(empty);
        write.parts.push(Part { resource: event.resource.clone(), new });
        if let Answer::Acknowledged(etags) = &mut write.answer {
            etags.push(event.etag.clone());
        }
    }
    writes.into_values().collect()
}

fn told(revisions: &[u64]) -> ChangesSeen {
    let revision = revisions.last().copied().unwrap_or_default();
    ChangesSeen::Changes { revision, changes: revisions.iter().map(|it| (*it, *it)).collect() }
}

fn began(start: Start) -> ChangesSeen {
    ChangesSeen::Began { era: 0, start }
}

/// The kinds of problems, each once.
fn kinds(problems: &[Problem]) -> Vec<Kind> {
    let mut kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn of_changes(seen: Vec<ChangesSeen>) -> Vec<Kind> {
    of_eras(&[era()], Selection::default(), seen)
}

fn of_eras(eras: &[Era], selection: Selection, seen: Vec<ChangesSeen>) -> Vec<Kind> {
    kinds(&check_changes(eras, &ChangesRecord { name: "test".to_owned(), selection, roams: false, seen }, true))
}

#[test]
fn a_stream_of_changes_shows_each_one_once_in_order_up_to_the_end() {
    let start = || began(Start::After(0));
    let resumed = |revision| [ChangesSeen::Ended(End::Broken), began(Start::Token(revision))];
    let all: Vec<_> = (1..=9).collect();
    let check = |name: &str, seen: &[&[ChangesSeen]], expected: &[Kind]| {
        let seen = [start()].into_iter().chain(seen.concat()).collect();
        assert_eq!(of_changes(seen), expected, "{name}");
    };
    let wrong = ChangesSeen::Changes { revision: 9, changes: all.iter().map(|it| (*it, it + it / 5)).collect() };
    //    name                  what is seen                                                      problems
    check("good", &[&[told(&all)]], &[]);
    check("resumed", &[&[told(&[1, 2, 3])], &resumed(3), &[told(&[4, 5, 6, 7, 8, 9])]], &[]);
    check("an older token", &[&[told(&[1, 2, 3])], &resumed(1), &[told(&all[1..])]], &[]);
    check("a gap", &[&[told(&[1, 2, 4, 5, 6, 7, 8, 9])]], &[Kind::Gap]);
    check("a gap at the end", &[&[told(&all[..8])]], &[Kind::Gap]);
    check("a gap before a heartbeat", &[&[told(&all[..8]), ChangesSeen::Nothing { revision: 9 }]], &[Kind::Gap]);
    check("a gap after a cut", &[&[told(&[1, 2, 3])], &resumed(3), &[told(&all[4..])]], &[Kind::Gap]);
    check("a repeat", &[&[told(&[1, 2, 3, 3, 4, 5, 6, 7, 8, 9])]], &[Kind::Repeat]);
    check("a repeat after a cut", &[&[told(&[1, 2, 3])], &resumed(3), &[told(&all[2..])]], &[Kind::Repeat]);
    check("a reorder", &[&[told(&[1, 3, 2, 4, 5, 6, 7, 8, 9])]], &[Kind::Reorder]);
    check("back", &[&[told(&all), ChangesSeen::Nothing { revision: 7 }]], &[Kind::Back]);
    check("another change", &[&[wrong]], &[Kind::Wrong]);
    check("none that exists", &[&[told(&all), told(&[10])]], &[Kind::Wrong]);
    check("an unexpected end", &[&[told(&all), ChangesSeen::Ended(End::Other("x".to_owned()))]], &[Kind::End]);
    check("an unexpected start", &[&[told(&[1, 2]), began(Start::After(5)), told(&all[5..])]], &[Kind::End]);
}

#[test]
fn a_selection_has_its_own_changes_alone() {
    let user = Selection { parent: "instances/i/users/u".to_owned(), ..Selection::default() };
    let seen = |revisions: &[u64]| vec![began(Start::After(0)), told(revisions)];
    assert_eq!(of_eras(&[era()], user.clone(), seen(&[2, 3, 6, 7, 9])), []);
    assert_eq!(of_eras(&[era()], user.clone(), seen(&[2, 3, 5, 6, 7, 9])), [Kind::Wrong]);
    assert_eq!(of_eras(&[era()], user.clone(), seen(&[2, 3, 7, 9])), [Kind::Gap]);
    let level =
        Selection { level: Some(Level::Organization), parent: "instances/i".to_owned(), ..Selection::default() };
    assert_eq!(of_eras(&[era()], level, seen(&[1, 5, 8])), []);
    let kept = Kept { oldest: (3, 3), newest: 9 };
    let listed = |changes: &[u64]| {
        let changes = changes.iter().map(|it| (*it, *it)).collect();
        vec![began(Start::After(0)), told(&[2, 3, 6, 7, 9]), ChangesSeen::Listed { kept, changes }]
    };
    assert_eq!(of_eras(&[era()], user.clone(), listed(&[3, 6, 7, 9])), []);
    assert_eq!(of_eras(&[era()], user.clone(), listed(&[3, 6, 9])), [Kind::Wrong]);
    assert_eq!(of_eras(&[era()], user, listed(&[6, 7, 9])), [Kind::Wrong]);
}

#[test]
fn a_dropped_change_may_be_left_out_and_no_other() {
    let seen = |oldest, after, from: usize| {
        let end = ChangesSeen::Ended(End::Compacted { oldest, newest: 9 });
        let all: Vec<_> = (1..=9).collect();
        vec![began(Start::After(0)), told(&[1, 2]), end, began(Start::After(after)), told(&all[from - 1..])]
    };
    assert_eq!(of_changes(seen(5, 4, 5)), []);
    assert_eq!(of_changes(seen(5, 4, 6)), [Kind::Gap]);
    assert_eq!(of_changes(seen(5, 5, 6)), [Kind::End]);
    assert_eq!(of_changes(seen(3, 2, 3)), [], "it says so although it is there, and nothing is left out");
}

#[test]
fn a_restored_backup_is_told_to_those_that_are_ahead_of_it_and_to_no_others() {
    let mut events = era().events;
    events.retain(|revision, _| *revision <= 5);
    let other = Event { digest: 66, revision: 6, ..events[&5].clone() };
    events.insert(6, other);
    let eras = [era(), Era { base: 5, events }];
    let start = |start| ChangesSeen::Began { era: 1, start };
    let last = || ChangesSeen::Changes { revision: 6, changes: vec![(6, 66)] };
    let taken_back = || ChangesSeen::Ended(End::TakenBack);
    let check = |position: u64, then: Vec<ChangesSeen>| {
        let first: Vec<_> = (1..=position).collect();
        let seen = [began(Start::After(0)), told(&first)].into_iter().chain(then).collect();
        of_eras(&eras, Selection::default(), seen)
    };
    let again = || vec![taken_back(), start(Start::After(0)), told(&[1, 2, 3, 4, 5]), last()];
    assert_eq!(check(8, again()), []);
    assert_eq!(check(4, again()), [Kind::End]);
    assert_eq!(check(4, vec![start(Start::Token(4)), told(&[5]), last()]), []);
    assert_eq!(check(6, vec![start(Start::Token(6))]), [Kind::Back]);
}

#[test]
fn acknowledged_writes_are_there_as_a_whole() {
    let good = writes(&era());
    let of = |era: Era, writes: &[Write]| kinds(&check_writes(&[era], writes));
    let changed = |act: &dyn Fn(&mut Vec<Write>)| {
        let mut writes = good.clone();
        act(&mut writes);
        of(era(), &writes)
    };
    assert_eq!(of(era(), &good), []);
    let lost = Write { id: "more".to_owned(), ..good[1].clone() };
    assert_eq!(changed(&|writes| writes.push(lost.clone())), [Kind::Lost]);
    let unknown = Write { answer: Answer::Unknown, ..lost.clone() };
    assert_eq!(changed(&|writes| writes.push(unknown.clone())), []);
    assert_eq!(changed(&|writes| writes[2].answer = Answer::Refused), [Kind::Unasked]);
    assert_eq!(changed(&|writes| writes[2].answer = Answer::Acknowledged(vec!["x".to_owned()])), [Kind::Lost]);
    assert_eq!(changed(&|writes| drop(writes.pop())), [Kind::Unasked]);
    assert_eq!(changed(&|writes| writes[2].parts[0].new.values_mut().for_each(|new| *new += 1)), [Kind::Wrong]);
    let batch = good.iter().position(|write| write.parts.len() == 2).expect("there is a batch");
    let more = good[batch].parts[0].clone();
    assert_eq!(changed(&|writes| writes[batch].parts.push(more.clone())), [Kind::Half]);
    let mut gap = era();
    gap.events.remove(&9);
    let event = Event { revision: 10, ..era().events[&9].clone() };
    gap.events.insert(10, event);
    assert_eq!(of(gap, &good), [Kind::Gap]);
    let mut old = era();
    old.events.entry(7).and_modify(|event| event.fields.values_mut().for_each(|field| field.old = None));
    assert_eq!(of(old, &good), [Kind::Wrong]);
}

/// The value of the user at a revision.
fn value(digest: Digest, source: ValueSource, revision: u64) -> Values {
    let value = Value { digest, source: source.into(), revision };
    Values::from([((USER.to_owned(), "actions".to_owned()), value)])
}

fn of_values(seen: Vec<ValuesSeen>) -> Vec<Kind> {
    let (name, names, features) = ("test".to_owned(), vec![USER.to_owned()], vec!["actions".to_owned()]);
    kinds(&check_values(&[era()], &ValuesRecord { name, names, features, roams: false, seen }, true))
}

#[test]
fn each_state_of_values_is_that_of_the_model() {
    let own = |revision: u64| value(revision * 100, ValueSource::User, revision);
    let inherited = || value(800, ValueSource::Organization, 8);
    let first = || ValuesSeen::Snapshot { revision: 3, values: own(3) };
    let delta = |revision, values| ValuesSeen::Delta { revision, values, removed: Vec::new() };
    let check = |name: &str, then: Vec<ValuesSeen>, expected: &[Kind]| {
        let begin = [ValuesSeen::Began { era: 0, resumed: None }, first()];
        assert_eq!(of_values(begin.into_iter().chain(then).collect()), expected, "{name}");
    };
    let again = |resumed| [ValuesSeen::Ended(End::Broken), ValuesSeen::Began { era: 0, resumed }];
    let then = |seen: Vec<ValuesSeen>| seen.into_iter().chain([delta(9, inherited())]).collect::<Vec<_>>();
    //    name                        what is seen                                                 problems
    check("good", then(vec![delta(6, own(6)), delta(7, own(7))]), &[]);
    check("states between are left out", then(vec![]), &[]);
    check(
        "a read is the same",
        then(vec![delta(9, inherited()), ValuesSeen::Read { newest: 9, values: inherited() }]),
        &[],
    );
    check("a wrong value", then(vec![delta(6, own(3))]), &[Kind::Wrong]);
    check("a newer value", then(vec![delta(6, own(7))]), &[Kind::Ahead]);
    check("a wrong revision of a value", then(vec![delta(6, value(600, ValueSource::User, 5))]), &[Kind::Wrong]);
    check("a value of another level", then(vec![delta(6, value(600, ValueSource::Instance, 6))]), &[Kind::Wrong]);
    check("an old value", then(vec![ValuesSeen::Nothing { revision: 6 }]), &[Kind::Wrong]);
    check("a heartbeat", then(vec![ValuesSeen::Nothing { revision: 4 }]), &[]);
    check("back", then(vec![delta(7, own(7)), ValuesSeen::Snapshot { revision: 6, values: own(6) }]), &[Kind::Back]);
    check("a wrong last value", vec![delta(9, own(7))], &[Kind::Wrong]);
    check("a last value that does not come", vec![delta(7, own(7))], &[Kind::Lost]);
    check(
        "a removed value",
        vec![ValuesSeen::Delta { revision: 9, values: Values::new(), removed: vec![] }],
        &[Kind::Wrong],
    );
    let read = ValuesSeen::Read { newest: 9, values: own(7) };
    check("a read is another one", then(vec![delta(9, inherited()), read]), &[Kind::Wrong]);
    check("resumed", then([again(Some(3)).to_vec(), vec![ValuesSeen::Nothing { revision: 4 }]].concat()), &[]);
    check("resumed with a delta", [again(Some(3)).to_vec(), then(vec![])].concat(), &[Kind::Wrong]);
    check("begun anew", [again(None).to_vec(), vec![first(), delta(9, inherited())]].concat(), &[Kind::End]);
}

#[test]
fn a_state_within_a_batch_is_half_of_it() {
    let mut era = era();
    let begin = ValuesSeen::Began { era: 0, resumed: None };
    let record = |seen| {
        let (names, features) = (vec!["instances/j/settings".to_owned()], vec!["none".to_owned()]);
        ValuesRecord { name: "test".to_owned(), names, features, roams: false, seen }
    };
    let seen = vec![begin, ValuesSeen::Snapshot { revision: 1, values: Values::new() }];
    assert_eq!(kinds(&check_values(&[era.clone()], &record(seen.clone()), false)), [Kind::Half]);
    era.events.remove(&2);
    assert_eq!(kinds(&check_values(&[era], &record(seen), false)), []);
}
