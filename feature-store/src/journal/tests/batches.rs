//! Batches, and the kinds of frames that an older binary reads or refuses.

use std::fs;
use std::ops::RangeInclusive;

use feature_core::{Credential, OwnKey, Scope, Value};

use super::*;
use crate::format::encoding::decode_event;
use crate::journal::frame::{KIND_EVENT, KIND_EVENT_OF_BATCH, KIND_RICH_EVENT};
use crate::tests::fixtures::{event, history};

/// Events of these revisions, which are one batch.
fn batch(revisions: RangeInclusive<u64>) -> Vec<Event> {
    let last = *revisions.end();
    history(revisions).into_iter().map(|event| Event { continues: event.revision < last, ..event }).collect()
}

#[test]
fn a_batch_is_there_as_a_whole_or_not_at_all() {
    let bench = Bench::new();
    bench.append(1..=4);
    let mark = fs::read(bench.folder.join("durable")).unwrap();
    let mut journal = bench.open().unwrap();
    let start = journal.end.offset;
    let events = batch(5..=7);
    journal.append(&events).unwrap();
    journal.give_back_space().unwrap();
    let whole = fs::read(bench.segment(1)).unwrap();
    for end in start as usize..=whole.len() {
        for tail in [&[][..], &[0; 50], &[0xa5; 50]] {
            fs::write(bench.segment(1), [&whole[..end], tail].concat()).unwrap();
            fs::write(bench.folder.join("durable"), &mark).unwrap();
            let journal = bench.open().unwrap();
            let is_whole = end == whole.len();
            assert_eq!(journal.revision(), if is_whole { 7 } else { 4 }, "cut at {end}");
            assert_eq!(journal.end.offset, if is_whole { end as u64 } else { start });
            let expected: Vec<_> = history(1..=4).into_iter().chain(events.clone()).collect();
            assert_eq!(events_of(&journal, 0), expected[..journal.revision() as usize]);
        }
    }
}

#[test]
fn a_batch_that_was_durable_without_its_end_is_refused() {
    let bench = Bench::new();
    bench.append(1..=4);
    let mut journal = bench.open().unwrap();
    let start = journal.end.offset;
    // As an import appends it, in parts.
    for event in &batch(5..=7)[..2] {
        journal.append([event]).unwrap();
    }
    bench.remove_mark();
    assert_eq!(bench.corrupt_at(), (bench.segment(1), start));
}

#[test]
fn a_batch_that_is_appended_in_parts_stays_in_one_segment() {
    let bench = Bench::new();
    let mut journal = bench.open().unwrap();
    for event in &batch(1..=20) {
        journal.append([event]).unwrap();
    }
    assert_eq!(journal.segments, [1]);
    journal.append(&history([21])).unwrap();
    assert_eq!(journal.segments, [1, 21]);
    assert_eq!(bench.open().unwrap().revision(), 21);
}

#[test]
fn the_frame_of_an_event_tells_an_older_binary_whether_to_read_it() {
    let plain = || history([1]).remove(0);
    let definition = Scope::Definition(None, OwnKey::new("own.feature").unwrap());
    let table: [(&str, Event, u32); 6] = [
        // (the event has, the event, the kind of its frame)
        ("what the first binaries know", plain(), KIND_EVENT),
        ("a comment", Event { comment: "asked for by Ann".to_owned(), ..plain() }, KIND_RICH_EVENT),
        ("a credential", Event { credential: Some(Credential::Certificate), ..plain() }, KIND_RICH_EVENT),
        ("a definition", Event { scope: definition, ..plain() }, KIND_RICH_EVENT),
        ("a newer value", event(1, &Scope::System, 1, &[Value::List(vec![Value::Integer(1)])]), KIND_RICH_EVENT),
        ("a batch that goes on", Event { continues: true, ..plain() }, KIND_EVENT_OF_BATCH),
    ];
    for (has, event, kind) in table {
        assert_eq!(kind_of(&event), kind, "{has}");
        let decoded = decode_event(1, &encode_event(&event)).unwrap();
        assert_eq!(decoded, event, "{has}");
    }
}
