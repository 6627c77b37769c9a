//! Tests of the stored form: the kinds that older binaries refuse, and what a newer one has written.

use std::cell::Cell;

use feature_core::IdempotencyKey;

use super::*;
use crate::tests::fixtures::history;

thread_local! {
    /// The records that were encoded on this thread.
    pub(crate) static ENCODED: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn an_event_with_something_newer_has_a_kind_that_the_first_binaries_refuse() {
    let plain = history([1]).remove(0);
    let table = [
        // (kind of event, comment, kind in its stored form)
        (EventKind::Set, "", 1),
        (EventKind::Reset, "", 2),
        (EventKind::Set, "because", 3),
        (EventKind::Reset, "because", 4),
    ];
    for (kind, comment, expected) in table {
        let event = Event { kind, comment: comment.to_owned(), ..plain.clone() };
        let stored = encode_event(&event);
        assert_eq!(StoredEvent::decode(&*stored).unwrap().kind, expected, "{kind:?}, {comment:?}");
        assert_eq!(decode_event(1, &stored).unwrap(), event);
    }
}

#[test]
fn an_idempotency_key_is_one_that_the_first_binaries_refuse_and_comes_back() {
    let event = Event { idempotency_key: Some(IdempotencyKey([7; 16])), ..history([1]).remove(0) };
    let stored = encode_event(&event);
    assert_eq!(StoredEvent::decode(&*stored).unwrap().kind, KIND_RICH_SET);
    assert_eq!(decode_event(1, &stored).unwrap(), event);
    let mut record = Record::default();
    record.apply(&event);
    assert_eq!(record.completed.len(), 1);
    assert_eq!(decode_record(&encode_record(&record)).unwrap(), record);
}

#[test]
fn a_kind_from_the_future_is_not_understood() {
    // A record with sequence 1 and one value whose oneof has the unknown tag 8.
    let value = [0x42, 0x00];
    let entry = [&[0x0a, 0x01, b'k', 0x12, 0x02][..], &value].concat();
    let record = [&[0x0a, u8::try_from(entry.len()).unwrap()][..], &entry, &[0x10, 0x01]].concat();
    assert_eq!(decode_record(&record), Err(NotUnderstood));
    assert_eq!(decode_record(&record[record.len() - 2..]).unwrap().sequence, 1);
}
