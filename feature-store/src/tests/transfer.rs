//! Tests of export and import: the way there and back loses nothing, and damaged input is refused by line and field.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use feature_core::{Credential, Event, EventKind, IdempotencyKey};
use proptest::prelude::*;

use super::fixtures::{append, decided, records};
use super::model::a_write;
use crate::store::limits::SIZES;
use crate::{FeatureStore, History, ImportError, JournalStore, OpenError, ProjectionState, export, import, verify};

/// A closed store with this history.
pub(crate) fn store_of(events: &[Event], folder: &Path) {
    let store = JournalStore::open_with(folder, SIZES).expect("the folder can be opened");
    append(&store, events).expect("the disk works");
    store.close().expect("the disk works");
}

pub(crate) fn exported(folder: &Path) -> String {
    let mut lines = Vec::new();
    let history = History::open(folder).expect("the journal is in order");
    export(&history, &mut lines, &mut |_| {}).expect("memory takes everything");
    String::from_utf8(lines).expect("JSON is text")
}

fn import_text(text: &str, folder: &Path) -> Result<u64, ImportError> {
    import(&mut text.as_bytes(), folder, &mut |_| {})
}

/// An export of three events of two scopes.
fn sample() -> String {
    let guard = tempfile::tempdir().unwrap();
    let folder = guard.path().join("data");
    store_of(&decided(&super::fixtures::some_writes()), &folder);
    exported(&folder)
}

/// These events, some with a comment and a credential, and in batches where different scopes allow it.
fn in_batches(mut events: Vec<Event>, flags: &[bool]) -> Vec<Event> {
    let mut scopes = Vec::new();
    for (index, flag) in (1..events.len()).zip(flags) {
        scopes.push(events[index - 1].scope.clone());
        events[index].comment = if *flag { "because".to_owned() } else { String::new() };
        events[index].credential = flag.then(|| credential(index));
        events[index].idempotency_key = flag.then(|| IdempotencyKey([index as u8; 16]));
        let is_alone = [index - 1, index].map(|place| events[place].kind == EventKind::Erase).contains(&true);
        events[index - 1].continues = *flag && !is_alone && !scopes.contains(&events[index].scope);
        if !events[index - 1].continues {
            scopes.clear();
        }
    }
    events
}

fn credential(number: usize) -> Credential {
    let issuers = ["https://issuer.example", "feature-server", ""];
    let issuer = issuers.get(number % 4).map(|issuer| (*issuer).to_owned());
    issuer.map_or(Credential::Certificate, |issuer| Credential::Token { issuer })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn an_import_is_the_store_that_was_exported(
        writes in prop::collection::vec(a_write(), 0..60),
        flags in prop::collection::vec(any::<bool>(), 60),
    ) {
        let guard = tempfile::tempdir().unwrap();
        let (original, imported) = (guard.path().join("original"), guard.path().join("imported"));
        let events = in_batches(decided(&writes), &flags);
        store_of(&events, &original);
        let lines = exported(&original);
        prop_assert_eq!(import_text(&lines, &imported).unwrap(), events.len() as u64);
        prop_assert_eq!(exported(&imported), lines);
        let history = History::open(&imported).unwrap();
        let scratch = guard.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let found = verify(&history, &scratch, &mut |_, _| {}).unwrap();
        prop_assert_eq!(found.projection, ProjectionState::Agrees);
        prop_assert!(history.is_sealed() && history.torn().is_none());
        drop(history);
        let open = |folder: &Path| records(&JournalStore::open_with(folder, SIZES).unwrap());
        prop_assert_eq!(open(&imported), open(&original));
    }
}

#[test]
fn a_wrong_line_is_told_by_number_and_field_and_nothing_is_imported() {
    let text = sample();
    let edit = |from: &str, to: &str| text.replacen(from, to, 1);
    let without_line = |number: usize| {
        let lines = text.split_inclusive('\n').enumerate();
        lines.filter(|(index, _)| index + 1 != number).map(|(_, line)| line).collect::<String>()
    };
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(40_000));
    let deep = r#"{"message":{"x":"#.repeat(18) + r#"{"flag":true}"# + &"}}".repeat(18);
    // what was changed | what is said
    let table = [
        (String::new(), "line 1: is missing: the input was cut off"),
        ("\n".to_owned(), "line 1: this is not an export of feature-server"),
        ("{\"revision\":1}\n".to_owned(), "line 1: this is not an export"),
        ("\u{1}\u{2}\n".to_owned(), "line 1: this is not an export"),
        (edit("\"version\":2", "\"version\":4"), "line 1: version: is 4, this binary knows 1 to 3: import with the"),
        (edit("\"version\":2", "\"version\":3"), "line 1: base: belongs to version 3, and only to that"),
        (edit("\"version\":2", "\"version\":1"), "line 5: crc32c: does not fit the lines before"),
        (
            edit("\"version\":2", "\"version\":1").replacen("\"actor\"", "\"comment\":\"new\",\"actor\"", 1),
            "line 2: has more than version 1 of an export can have",
        ),
        (
            edit("\"version\":2", "\"version\":1").replacen("\"actor\"", "\"credential\":\"certificate\",\"actor\"", 1),
            "line 2: has more than version 1 of an export can have",
        ),
        (edit("\"actor\"", "\"credential\":\"password\",\"actor\""), "line 2: credential: unknown variant `password`"),
        (edit("\"actor\"", "\"credential\":\"token\",\"actor\""), "line 2: credential"),
        (edit("\"actor\"", "\"continues\":true,\"actor\""), "line 5: crc32c: does not fit"),
        (
            text.replace("\"actor\"", "\"continues\":true,\"actor\""),
            "line 4: continues: an earlier event of the batch has the same scope",
        ),
        (
            edit("T00:00:03Z\",\"actor\"", "T00:00:03Z\",\"continues\":true,\"actor\""),
            "line 4: continues: the last event of the batch is missing",
        ),
        (edit("\"store\":\"", "\"store\":\"x"), "line 1: store: "),
        (edit("\"revision\":3}", "\"revision\":3,\"x\":1}"), "line 1: x: unknown field `x`"),
        (edit("\"revision\":3}", "\"revision\":2}"), "line 4: revision: unknown field `revision`"),
        (edit("\"revision\":3}", "\"revision\":4}"), "line 5: events: unknown field `events`"),
        (without_line(2), "line 2: revision: is 2, but 1 comes next"),
        (without_line(4), "line 4: events: unknown field `events`"),
        (without_line(5), "line 5: is missing: the input was cut off"),
        (text.trim_end().to_owned(), "line 5: ends early: the input was cut off"),
        (text.clone() + "{}\n", "line 6: follows the end"),
        (text[..text.len() / 2].to_owned(), ": ends early: the input was cut off"),
        (edit("\"sequence\":1", "\"sequence\":2"), "line 2: sequence: is 2, but 1 continues the scope's history"),
        (edit("\"sequence\":1", "\"sequence\":-1"), "line 2: sequence: invalid value: integer `-1`"),
        (
            edit("\"sequence\":1", "\"sequence\":0").replacen(r#"[{"key":"k","new":{"flag":true}}]"#, "[]", 1),
            "line 2: changes: are missing, though the scope was never written before",
        ),
        (edit("\"kind\":\"set\"", "\"kind\":\"put\""), "line 2: kind: unknown variant `put`"),
        (edit("\"kind\":\"set\"", "\"kind\":\"reset\""), "line 2: changes: of a reset have to unset all"),
        (edit("\"new\":{\"flag\":true}", "\"new\":{\"flag\":1}"), "line 2: changes[0].new.flag: invalid type"),
        (edit("\"new\":{\"flag\":true}", "\"new\":{\"number\":1}"), "line 2: changes[0].new: unknown variant `number`"),
        (edit("\"old\":{\"flag\":true}", "\"old\":{\"flag\":false}"), "line 4: changes[0].old: is not what the scope"),
        (edit("\"instance\":\"", "\"instance\":\"\\u0000"), "line 2: scope.instance: holds a control character"),
        (
            edit("\"instance\":\"a\"", "\"user\":\"a\""),
            "line 2: scope: must name nothing, an instance, one organization",
        ),
        (edit("\"time\":\"1970", "\"time\":\"1969"), "line 5: crc32c"),
        (edit("\"time\":\"1970", "\"time\":\"9999"), "line 2: time: must be a UTC time as exports have it"),
        (edit("T00:00:01Z", "T00:00:01.0Z"), "line 2: time: must be a UTC time as exports have it"),
        (edit("T00:00:03Z", "T00:00:00Z"), "line 4: time: is earlier than that of the scope's event before"),
        (edit("\"actor\":\"writer\"", "\"actor\":\"other\""), "line 5: crc32c: does not fit the lines before"),
        (edit(r#"{"text":"two"}"#, &long), "line 3: changes: the value of k takes 40"),
        (edit(r#"{"text":"two"}"#, &deep), "line 3: changes: the value of k nests messages deeper than 16"),
    ];
    let guard = tempfile::tempdir().unwrap();
    for (changed, says) in table {
        assert_ne!(changed, text, "{says}");
        let folder = guard.path().join("some/data");
        let error = import_text(&changed, &folder).unwrap_err();
        let line = error.to_string();
        assert!(line.contains(says) && line.ends_with("nothing was imported"), "{says}: {line}");
        assert!(!folder.exists(), "{says}: the folder is there");
    }
    assert_eq!(import_text(&text, &guard.path().join("some/data")).unwrap(), 3);
}

#[test]
fn the_first_version_of_an_export_is_imported_as_it_always_was() {
    let lines = concat!(
        r#"{"format":"feature-server export","version":1,"store":"07070707-0707-0707-0707-070707070707","revision":1}"#,
        "\n",
        r#"{"revision":1,"scope":{"instance":"a","user":"b"},"kind":"set","sequence":2,"time":"2026-01-31T12:00:00.500Z","#,
        r#""actor":"writer","request_id":"1","organization":"home","changes":[{"key":"k","new":{"flag":true}},"#,
        r#"{"key":"list","new":{"numbers":[2,1]}}]}"#,
        "\n",
    );
    let text = format!("{lines}{{\"events\":1,\"crc32c\":\"{:08x}\"}}\n", crc32c::crc32c(lines.as_bytes()));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(import_text(&text, folder.path()).unwrap(), 1);
    let second = lines.replace("\"version\":1", "\"version\":2");
    assert!(exported(folder.path()).starts_with(&second), "the events have the same form in both versions");
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unseen() {
    let text = sample();
    let guard = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8], what: &str| {
        let error = import(&mut &*bytes, &guard.path().join("data"), &mut |_| {}).unwrap_err();
        assert!(matches!(error, ImportError::Line { .. }), "{what}: {error}");
    };
    for index in (0..text.len()).step_by(13) {
        refused(&text.as_bytes()[..index], &format!("cut at byte {index}"));
    }
    // Another bit from byte to byte.
    for index in (0..text.len()).step_by(5) {
        let mut bytes = text.clone().into_bytes();
        bytes[index] ^= 1 << (index % 8);
        refused(&bytes, &format!("bit {} of byte {index}", index % 8));
    }
}

#[test]
fn only_an_empty_folder_takes_an_import() {
    let text = sample();
    let guard = tempfile::tempdir().unwrap();
    let folder = guard.path().join("data");
    for name in ["identity", "journal", "notes"] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), "x").unwrap();
        let error = import_text(&text, &folder).unwrap_err();
        assert!(
            matches!(&error, ImportError::Folder(OpenError::NotEmpty { name: found, .. }) if found == name),
            "{error}"
        );
        assert_eq!(fs::read(folder.join(name)).unwrap(), b"x");
        fs::remove_dir_all(&folder).unwrap();
    }
    // Keys may be restored first, and what an interrupted import has left is removed.
    fs::create_dir_all(folder.join("partial/journal")).unwrap();
    fs::create_dir_all(folder.join("keys")).unwrap();
    fs::write(folder.join("keys/1.pem"), "key").unwrap();
    let damaged = text.replacen("writer", "other", 1);
    import_text(&damaged, &folder).unwrap_err();
    assert!(!folder.join("partial").exists() && !folder.join("identity").exists());
    assert_eq!(import_text(&text, &folder).unwrap(), 3);
    assert_eq!(fs::read(folder.join("keys/1.pem")).unwrap(), b"key");
    assert_eq!(exported(&folder), text);
    // A folder that is in use is left alone.
    let held = JournalStore::open_with(&folder, SIZES).unwrap();
    let error = import_text(&text, &folder).unwrap_err();
    assert!(matches!(error, ImportError::Folder(OpenError::Locked { .. })), "{error}");
    drop(held);
}

#[test]
fn an_event_with_more_than_this_binary_understands_is_not_exported() {
    let guard = tempfile::tempdir().unwrap();
    let folder = guard.path().join("data");
    store_of(&decided(&super::fixtures::some_writes()), &folder);
    let history = History::open(&folder).unwrap();
    let segment = folder.join("journal/00000000000000000001.log");
    let with_more = crate::journal::with_unknown_field(&fs::read(&segment).unwrap(), history.store());
    drop(history);
    fs::write(&segment, with_more).unwrap();
    fs::remove_file(folder.join("journal/durable")).unwrap();
    let error = export(&History::open(&folder).unwrap(), &mut Vec::new(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("holds at byte 32 what only a newer binary understands"), "{error}");
}

/// Many scopes, as an operator's store has them. `FEATURE_STORE_SCOPES=1000000` makes it the long form, for a release
/// build: the figures are printed with `--nocapture`.
#[test]
fn many_scopes_go_there_and_back() {
    let scopes = std::env::var("FEATURE_STORE_SCOPES").map_or(20_000, |scopes| scopes.parse().unwrap());
    let guard = tempfile::tempdir().unwrap();
    let path = |name: &str| guard.path().join(name);
    let timed = |what: &str, run: &mut dyn FnMut()| {
        let start = SystemTime::now();
        run();
        println!("{scopes} scopes, {what}: {:.1} s", start.elapsed().unwrap_or(Duration::ZERO).as_secs_f32());
    };
    let store = JournalStore::open_with(&path("original"), SIZES).unwrap();
    timed("appending", &mut || {
        let mut events = super::fixtures::users(scopes);
        while let group = events.by_ref().take(1024).collect::<Vec<_>>()
            && !group.is_empty()
        {
            append(&store, &group).unwrap();
        }
        store.close().unwrap();
    });
    drop(store);
    let mut lines = String::new();
    timed("export", &mut || lines = exported(&path("original")));
    timed("import", &mut || assert_eq!(import_text(&lines, &path("imported")).unwrap(), scopes));
    assert!(exported(&path("imported")) == lines, "the second export is another");
    fs::create_dir(path("scratch")).unwrap();
    timed("verify", &mut || {
        let found = verify(&History::open(&path("imported")).unwrap(), &path("scratch"), &mut |_, _| {}).unwrap();
        assert_eq!((found.scopes as u64, found.projection), (scopes, ProjectionState::Agrees));
    });
    timed("backup", &mut || {
        assert_eq!(crate::backup(&path("imported"), &path("backup"), &[], &mut |_, _| {}).unwrap(), scopes);
    });
    timed("opening a backup, with the projection built anew", &mut || {
        drop(JournalStore::open_with(&path("backup"), SIZES).unwrap())
    });
    fs::create_dir(path("scratch 2")).unwrap();
    let found = verify(&History::open(&path("backup")).unwrap(), &path("scratch 2"), &mut |_, _| {}).unwrap();
    assert_eq!(found.projection, ProjectionState::Agrees);
}
