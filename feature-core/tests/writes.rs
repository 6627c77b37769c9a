//! The rules of writes: sequences, dates, expected sequences, and the organization that a user is recorded under.

#![allow(clippy::unwrap_used)]

use feature_core::{
    Discontinuity, Event, FeatureSet, IdempotencyKey, InstanceId, Kind, Layer, Operation, OrganizationId, Patch,
    Placement, Record, Rejection, Scope, Timestamp, UserId, Value, Write, check_continuity, decide,
};

fn user() -> Scope {
    Scope::User(InstanceId::new("demo").unwrap(), UserId::new("ann").unwrap())
}

fn organization(id: &str) -> OrganizationId {
    OrganizationId::new(id).unwrap()
}

/// A Set of flags such as `a=on b=off`, or `reset`.
fn write(operation: &str) -> Write {
    let operation = match operation {
        "reset" => Operation::Reset,
        flags => {
            let features: FeatureSet = ["a", "b"].map(|key| (key.into(), Kind::Flag)).into_iter().collect();
            let flag = |setting: &str| {
                let (key, value) = setting.split_once('=').expect("a setting has a value");
                (key.into(), Value::Flag(value == "on"))
            };
            let present = flags.split_whitespace().map(flag).collect();
            Operation::Set(Patch::new(&features, &present, None).unwrap())
        }
    };
    Write {
        scope: user(),
        operation,
        expected_sequence: None,
        placement: Placement::Keep,
        validate_only: false,
        actor: "tester".into(),
        credential: None,
        request_id: "request".into(),
        comment: String::new(),
        requires: Vec::new(),
        idempotency_key: None,
    }
}

/// Carries a write out at `time` and tells whether there was something to write.
fn carry_out(record: &mut Record, write: &Write, time: i64) -> Result<bool, Rejection> {
    let event = decide(write, record, Timestamp::from_unix_nanos(time), 1)?;
    if let Some(event) = &event {
        record.apply(event);
    }
    Ok(event.is_some())
}

#[test]
fn a_record_remembers_the_newest_32_requests_with_a_key_of_the_last_hour() {
    const HOUR: i64 = 3_600_000_000_000;
    let mut record = Record::default();
    let at = Timestamp::from_unix_nanos;
    let mut set = |number: u8, key: Option<u8>, time: i64| {
        let operation = if number.is_multiple_of(2) { "a=on" } else { "a=off" };
        let write = Write { idempotency_key: key.map(|key| IdempotencyKey([key; 16])), ..write(operation) };
        assert!(carry_out(&mut record, &write, time).unwrap());
        record.clone()
    };
    set(0, Some(100), 0);
    let record = set(1, None, 10);
    let known = |record: &Record, key: u8, now: i64| {
        record.completed(Some(IdempotencyKey([key; 16])), at(now)).map(|it| (it.sequence, it.time))
    };
    assert_eq!(known(&record, 100, HOUR), Some((1, at(0))));
    assert_eq!(known(&record, 100, HOUR + 1), None, "it is forgotten, though it is stored");
    assert_eq!(known(&record, 7, 20), None);
    assert!(record.completed(None, at(20)).is_none());
    for number in 2..40 {
        set(number, Some(number), HOUR);
    }
    let record = set(40, None, HOUR + 1);
    assert_eq!(known(&record, 100, 20), None, "the oldest ones are forgotten");
    assert_eq!(record.completed.len(), 32);
    assert_eq!((known(&record, 7, HOUR), known(&record, 8, HOUR)), (None, Some((9, at(HOUR)))));
    let record = set(41, None, 3 * HOUR);
    assert!(record.completed.is_empty(), "what is too old is not stored any more");
}

#[test]
fn a_record_knows_the_revision_of_the_change_that_set_each_feature() {
    let mut record = Record::default();
    for (revision, operation) in [(5, "a=on b=on"), (7, "a=off"), (9, "b=on")] {
        let event = decide(&write(operation), &record, Timestamp::from_unix_nanos(1), revision).unwrap();
        event.iter().for_each(|event| record.apply(event));
    }
    let revisions: Vec<_> = record.revisions.iter().map(|(key, revision)| (key.as_str(), *revision)).collect();
    assert_eq!(revisions, [("a", 7), ("b", 5)]);
    let reset = decide(&write("reset"), &record, Timestamp::from_unix_nanos(1), 10).unwrap().unwrap();
    let mut before = record.clone();
    before.apply(&reset);
    assert!(before.revisions.is_empty());
    before.take_back(&reset.changes);
    assert_eq!((before.layer, before.revisions.len()), (record.layer, 0));
}

#[test]
fn the_sequence_counts_changed_features_and_resets_and_never_restarts() {
    let mut record = Record::default();
    let table = [
        // (write, clock, written, sequence, first written, last written)
        ("reset", 10, false, 0, None, None),
        ("a=on b=off", 20, true, 2, Some(20), Some(20)),
        ("a=on b=off", 30, false, 2, Some(20), Some(20)),
        ("a=off b=off", 40, true, 3, Some(20), Some(40)),
        // The clock has jumped back.
        ("b=on", 30, true, 4, Some(20), Some(40)),
        ("reset", 50, true, 5, Some(20), Some(50)),
        ("reset", 60, false, 5, Some(20), Some(50)),
        ("a=off", 70, true, 6, Some(20), Some(70)),
    ];
    for (operation, clock, written, sequence, created, changed) in table {
        assert_eq!(carry_out(&mut record, &write(operation), clock), Ok(written), "{operation} at {clock}");
        let details = record.details(&user(), None);
        let nanos = |time: Option<Timestamp>| time.map(Timestamp::unix_nanos);
        assert_eq!(
            (details.sequence, nanos(details.created), nanos(details.changed)),
            (sequence, created, changed),
            "{operation} at {clock}"
        );
    }
}

#[test]
fn an_expected_sequence_must_be_the_current_one() {
    let table = [
        // (writes before, expected, the sequence that it really is)
        ("", 0, Ok(())),
        ("", 1, Err(0)),
        ("a=on", 1, Ok(())),
        ("a=on", 0, Err(1)),
        ("a=on", 2, Err(1)),
        ("a=on b=on", 2, Ok(())),
    ];
    for (before, expected, outcome) in table {
        for operation in ["a=off", "a=on b=on", "reset"] {
            let mut record = Record::default();
            if !before.is_empty() {
                carry_out(&mut record, &write(before), 1).unwrap();
            }
            let write = Write { expected_sequence: Some(expected), ..write(operation) };
            let refused = outcome.map_err(|actual| Rejection::SequenceMismatch { expected, actual });
            let unchanged = record.clone();
            let result = carry_out(&mut record, &write, 2).map(|_| ());
            assert_eq!(result, refused, "{before:?}, {expected}, {operation}");
            if result.is_err() {
                assert_eq!(record, unchanged);
            }
        }
    }
}

#[test]
fn validate_only_checks_and_changes_nothing() {
    let mut record = Record::default();
    let write = Write { validate_only: true, ..write("a=on") };
    assert_eq!(carry_out(&mut record, &write, 1), Ok(false));
    assert_eq!(record, Record::default());
    let stale = Write { expected_sequence: Some(7), ..write };
    assert_eq!(carry_out(&mut record, &stale, 1), Err(Rejection::SequenceMismatch { expected: 7, actual: 0 }));
}

#[test]
fn a_user_is_recorded_under_an_organization() {
    let keep = Placement::Keep;
    let initial = |id| Placement::Initial(organization(id));
    let moved = |id| Placement::Move(organization(id));
    let within = |id| Placement::Within(organization(id));
    let table = [
        // (recorded before, placement, recorded after; None: refused, written although the values hold already)
        (None, keep.clone(), Some(None), false),
        (Some("o1"), keep, Some(Some("o1")), false),
        (None, initial("o1"), Some(Some("o1")), true),
        (Some("o1"), initial("o2"), Some(Some("o1")), false),
        (None, moved("o1"), Some(Some("o1")), true),
        (Some("o1"), moved("o2"), Some(Some("o2")), true),
        (Some("o1"), moved("o1"), Some(Some("o1")), false),
        (None, within("o1"), Some(Some("o1")), true),
        (Some("o1"), within("o1"), Some(Some("o1")), false),
        (Some("o1"), within("o2"), None, false),
    ];
    for (before, placement, after, rewritten) in table {
        let mut record = Record { organization: before.map(organization), ..Record::default() };
        carry_out(&mut record, &write("a=on"), 1).unwrap();

        let changing = Write { placement: placement.clone(), ..write("a=off") };
        let mut changed = record.clone();
        let outcome = carry_out(&mut changed, &changing, 2).map(|_| changed.organization);
        let expected = after.map(|id| id.map(organization)).ok_or(Rejection::OtherOrganization);
        assert_eq!(outcome, expected, "{before:?}, {placement:?}");

        let holding = Write { placement: placement.clone(), ..write("a=on") };
        if after.is_some() {
            let sequence = record.sequence;
            assert_eq!(carry_out(&mut record, &holding, 2), Ok(rewritten), "{before:?}, {placement:?}");
            assert_eq!(record.sequence, sequence, "a move changes no feature: {before:?}, {placement:?}");
        }
    }
}

#[test]
fn a_user_who_was_never_set_is_not_recorded_by_a_set_of_nothing() {
    let features: FeatureSet = [("a".into(), Kind::Flag)].into_iter().collect();
    let unset = Patch::new(&features, &Layer::default(), Some(&["a".to_owned()])).unwrap();
    for placement in [Placement::Within(organization("o1")), Placement::Move(organization("o1"))] {
        let write = Write { operation: Operation::Set(unset.clone()), placement, ..write("reset") };
        let mut record = Record::default();
        assert_eq!(carry_out(&mut record, &write, 1), Ok(false));
        assert_eq!(record, Record::default());
    }
}

#[test]
fn every_resource_has_an_owner() {
    let (demo, o1) = (InstanceId::new("demo").unwrap(), organization("o1"));
    let o2 = organization("o2");
    let table = [
        // (scope, recorded organization, named organization, owner)
        (Scope::System, None, None, "SYSTEM"),
        (Scope::Instance(demo.clone()), None, None, "demo"),
        (Scope::Organization(demo.clone(), o1.clone()), None, None, "demo"),
        (user(), Some(o1.clone()), None, "o1"),
        (user(), Some(o1), Some(&o2), "o1"),
        (user(), None, Some(&o2), "o2"),
        (user(), None, None, "demo"),
    ];
    for (scope, organization, named, owner) in table {
        let record = Record { organization, ..Record::default() };
        assert_eq!(record.details(&scope, named).resource_owner, owner, "{scope:?}");
    }
}

#[test]
fn a_scope_inherits_from_its_parents() {
    let (demo, o1) = (InstanceId::new("demo").unwrap(), organization("o1"));
    let instance = Scope::Instance(demo.clone());
    let organization = Scope::Organization(demo, o1.clone());
    let table = [
        // (scope, organization of the user, parents)
        (Scope::System, None, vec![]),
        (instance.clone(), None, vec![Scope::System]),
        (organization.clone(), None, vec![Scope::System, instance.clone()]),
        (user(), Some(&o1), vec![Scope::System, instance.clone(), organization]),
        (user(), None, vec![Scope::System, instance]),
    ];
    for (scope, through, parents) in table {
        assert_eq!(scope.parents(through), parents, "{scope:?}");
    }
}

type Edit<'a> = &'a dyn Fn(&mut Event);

#[test]
fn what_is_decided_continues_the_history_and_nothing_else_does() {
    let mut record = Record::default();
    for (revision, operation) in (1..).zip(["a=on b=off", "a=off", "reset", "b=on"]) {
        let event = decide(&write(operation), &record, Timestamp::from_unix_nanos(revision), revision as u64);
        let event = event.unwrap().unwrap();
        assert_eq!(check_continuity(&record, &event), Ok(()), "{operation}");
        assert_eq!(event.is_first(), revision == 1, "{operation}");
        record.apply(&event);
    }
    // The scope has b=on at sequence 5 and time 4.
    let after = |operation| decide(&write(operation), &record, Timestamp::from_unix_nanos(5), 5).unwrap().unwrap();
    let changed = |operation, change: Edit<'_>| {
        let mut event = after(operation);
        change(&mut event);
        check_continuity(&record, &event)
    };
    let table: [(&str, Edit<'_>, Discontinuity); 8] = [
        // (operation, what is changed in its event, what is found)
        ("b=off", &|event| event.sequence = 7, Discontinuity::Sequence { expected: 6, actual: 7 }),
        ("b=off", &|event| event.sequence = 5, Discontinuity::Sequence { expected: 6, actual: 5 }),
        ("b=off", &|event| event.time = Timestamp::from_unix_nanos(3), Discontinuity::Time),
        ("b=off", &|event| event.changes[0].old = None, Discontinuity::Old(0)),
        ("a=on b=off", &|event| event.changes[1].old = Some(Value::Flag(false)), Discontinuity::Old(1)),
        ("b=off", &|event| event.changes[0].new = Some(Value::Flag(true)), Discontinuity::Change(0)),
        ("a=on b=off", &|event| event.changes[1] = event.changes[0].clone(), Discontinuity::Change(1)),
        ("reset", &|event| event.changes.clear(), Discontinuity::Reset),
    ];
    for (operation, change, expected) in table {
        assert_eq!(changed(operation, change), Err(expected), "{operation}");
    }
    let first = Event { sequence: 0, changes: Vec::new(), ..after("b=off") };
    assert_eq!(check_continuity(&Record::default(), &first), Err(Discontinuity::Empty));
}
