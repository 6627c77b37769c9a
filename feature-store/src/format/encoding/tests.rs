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
fn a_credential_comes_back_and_an_event_of_an_older_binary_has_none() {
    let older = encode_event(&history([1]).remove(0));
    let issuer = "https://issuer.example";
    let of_issuer = Credential::Token { issuer: issuer.to_owned() };
    let nameless = Credential::Token { issuer: String::new() };
    let text = [&[0x62, u8::try_from(issuer.len()).unwrap()][..], issuer.as_bytes()].concat();
    let with = |kind: u32, more: &[u8]| {
        let mut stored = [&older, more].concat();
        // The tag and the value of the kind follow the scope of the system.
        assert_eq!(stored[..5], [0x0a, 1, b's', 0x10, 1]);
        stored[4] = u8::try_from(kind).unwrap();
        stored
    };
    let table: [(&[u8], u32, Option<Credential>); 4] = [
        // what follows the event of an older binary, the kind of the event, its credential
        (&[], KIND_SET, None),
        (&text, KIND_RICH_SET, Some(of_issuer)),
        (&[0x62, 0], KIND_RICH_SET, Some(nameless)),
        (&[0x68, 1], KIND_RICH_SET, Some(Credential::Certificate)),
    ];
    for (more, kind, credential) in table {
        let stored = with(kind, more);
        let event = decode_event(1, &stored).unwrap();
        assert_eq!((&event.credential, encode_event(&event)), (&credential, stored), "{more:?}");
    }
    for more in [&[0x68, 0][..], &[0x62, 1, 0xff]] {
        assert_eq!(decode_event(1, &with(KIND_RICH_SET, more)), Err(NotUnderstood), "{more:?}");
    }
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
