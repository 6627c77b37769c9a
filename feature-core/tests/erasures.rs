//! What an erasure takes out of earlier events, and what a record is after it.

#![allow(clippy::unwrap_used)]

use feature_core::{
    Credential, Discontinuity, Erasure, Event, EventKind, FeatureChange, FeatureKey, InstanceId, Operation,
    OrganizationId, Placement, Record, Scope, Timestamp, UserId, Value, Write, check_continuity, decide,
};

fn user(instance: &str, user: &str) -> Scope {
    Scope::User(InstanceId::new(instance).unwrap(), UserId::new(user).unwrap())
}

fn instance(id: &str) -> Scope {
    Scope::Instance(InstanceId::new(id).unwrap())
}

fn event(revision: u64, scope: Scope, actor: &str) -> Event {
    let change = FeatureChange { key: FeatureKey::from("k"), old: None, new: Some(Value::Flag(true)) };
    Event {
        revision,
        scope,
        kind: EventKind::Set,
        sequence: 1,
        time: Timestamp::from_unix_nanos(1),
        actor: actor.to_owned(),
        credential: Some(Credential::Certificate),
        request_id: "request".to_owned(),
        idempotency_key: None,
        organization: OrganizationId::new("home").ok(),
        changes: vec![change],
        comment: "because".to_owned(),
        continues: false,
        is_erased: false,
    }
}

fn erase(actor: &str) -> Write {
    Write {
        scope: user("a", "ann"),
        operation: Operation::Erase,
        expected_sequence: None,
        placement: Placement::Keep,
        validate_only: false,
        actor: actor.to_owned(),
        credential: Some(Credential::Certificate),
        request_id: "erase".to_owned(),
        idempotency_key: None,
        comment: "ticket 7".to_owned(),
        requires: Vec::new(),
    }
}

#[test]
fn values_and_comments_of_the_user_go_and_the_user_as_the_actor_of_the_instance() {
    let erasure = Erasure { revision: 9, instance: InstanceId::new("a").unwrap(), user: UserId::new("ann").unwrap() };
    #[rustfmt::skip]
    let table = [
        // revision, scope,            actor,  loses the values, the actor
        (8,  user("a", "ann"),         "jane", true,             false),
        (8,  user("a", "ann"),         "ann",  true,             true),
        (8,  user("a", "bob"),         "ann",  false,            true),
        (8,  user("a", "bob"),         "jane", false,            false),
        (8,  instance("a"),            "ann",  false,            true),
        (8,  user("b", "ann"),         "ann",  false,            false),
        (8,  instance("b"),            "ann",  false,            false),
        (8,  Scope::System,            "ann",  false,            false),
        (10, user("a", "ann"),         "ann",  false,            false),
    ];
    for (revision, scope, actor, loses_values, loses_actor) in table {
        let before = event(revision, scope, actor);
        let mut expected = Event { is_erased: loses_values || loses_actor, ..before.clone() };
        if loses_values {
            expected.changes[0].new = None;
            expected.comment.clear();
        }
        if loses_actor {
            expected.actor.clear();
            expected.credential = None;
        }
        let mut blanked = before.clone();
        erasure.blank(&mut blanked);
        assert_eq!(blanked, expected, "{before:?}");
        assert_eq!(erasure.concerns(&before), before != blanked, "{before:?}");
        assert!(!erasure.concerns(&blanked), "nothing is left");
    }
}

#[test]
fn an_erasure_fits_to_what_was_and_to_what_is_blank_already() {
    let (now, scope) = (Timestamp::from_unix_nanos(5), user("a", "ann"));
    let set = event(1, scope.clone(), "ann");
    let mut known = Record::default();
    known.apply(&set);
    let erasure = decide(&erase("operator"), &known, now, 2).unwrap().unwrap();
    assert_eq!((erasure.kind, &*erasure.actor, &*erasure.comment), (EventKind::Erase, "operator", "ticket 7"));
    assert!(erasure.changes[0].is_blank() && erasure.is_erased);
    let of_event = Erasure::of(&erasure).unwrap();
    assert_eq!((of_event.scope(), of_event.revision), (scope, 2));
    let mut blank = set.clone();
    of_event.blank(&mut blank);
    // The event with its values, and without them.
    for before in [set, blank] {
        assert_eq!(check_continuity(&Record::default(), &before), Ok(()));
        let mut record = Record::default();
        record.apply(&before);
        assert_eq!(check_continuity(&record, &erasure), Ok(()));
        record.apply(&erasure);
        assert!(record.layer.is_empty() && record.revisions.is_empty());
        assert_eq!(record.sequence, 2);
    }
}

#[test]
fn one_who_is_unknown_can_be_erased_and_who_has_erased_someone_stays_known() {
    let erasure = decide(&erase("ann"), &Record::default(), Timestamp::from_unix_nanos(5), 1).unwrap().unwrap();
    assert_eq!((&*erasure.actor, erasure.changes.len(), erasure.sequence), ("ann", 0, 1));
    assert_eq!(check_continuity(&Record::default(), &erasure), Ok(()));
    let later = Erasure { revision: 2, ..Erasure::of(&erasure).unwrap() };
    let mut blanked = erasure.clone();
    later.blank(&mut blanked);
    assert_eq!(blanked, Event { comment: String::new(), ..erasure });
    let check = Write { validate_only: true, ..erase("operator") };
    assert_eq!(decide(&check, &Record::default(), Timestamp::from_unix_nanos(5), 1), Ok(None));
}

#[test]
fn an_erasure_of_a_foreign_history_is_one_of_a_user_without_values_and_alone() {
    let erasure = decide(&erase("ann"), &Record::default(), Timestamp::from_unix_nanos(5), 1).unwrap().unwrap();
    let with_value = event(1, user("a", "ann"), "ann").changes;
    for wrong in [
        Event { scope: instance("a"), ..erasure.clone() },
        Event { continues: true, ..erasure.clone() },
        Event { changes: with_value, ..erasure.clone() },
    ] {
        assert_eq!(check_continuity(&Record::default(), &wrong), Err(Discontinuity::Erasure), "{wrong:?}");
    }
}
