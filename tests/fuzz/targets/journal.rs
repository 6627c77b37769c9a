//! The journal of a data folder, and the lines of an export. The first byte of the input chooses how to use the rest:
//! unchanged, or with the lengths, numbers and checksums that let it pass the first checks.
//!
//! A journal that opens can be exported. An export that imports is the same when it is exported again.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use feature_store::{History, export, import, verify};
use libfuzzer_sys::{Corpus, fuzz_target};
use tempfile::{Builder, TempDir};

const STORE: [u8; 16] = [7; 16];
const STORE_TEXT: &str = "07070707-0707-0707-0707-070707070707";

/// In memory if possible, since the target needs no disk.
static PLACE: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
});

fn folder() -> TempDir {
    Builder::new().prefix("feature-fuzz-").tempdir_in(&*PLACE).expect("there is room for a folder")
}

fn seed() -> u32 {
    crc32c::crc32c(&STORE)
}

fn with_checksum(magic: &[u8; 4], seed: u32, content: &[u8]) -> Vec<u8> {
    let checksum = crc32c::crc32c_append(seed, content).to_le_bytes();
    [magic, &checksum[..], content].concat()
}

/// The header of the first segment.
fn segment() -> Vec<u8> {
    with_checksum(b"FSSG", 0, &[&STORE[..], &1_u64.to_le_bytes()].concat())
}

/// A segment of intact frames. For each frame, the input has one byte for the kind, one for the revision, one for the
/// durable length, and two for the length; most values of these bytes give a valid frame.
fn frames(mut input: &[u8]) -> Vec<u8> {
    let mut segment = segment();
    let mut expected = 1;
    while let Some((&[kind, revision, durable, low, high], rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high]) % 1024).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        input = rest;
        let kind = if kind < 240 { [1, 3, 4][usize::from(kind) % 3] } else { u32::from(kind) - 239 };
        let revision = if revision < 240 { expected } else { u64::from(revision) - 240 };
        let durable = if durable < 240 { 32 } else { segment.len() as u64 + u64::from(durable) - 248 };
        let size = u32::try_from(payload.len()).expect("it is below 1 KiB");
        let content =
            [&size.to_le_bytes()[..], &kind.to_le_bytes(), &revision.to_le_bytes(), &durable.to_le_bytes(), payload];
        segment.extend(with_checksum(b"FSFR", seed(), &content.concat()));
        expected += u64::from([1, 3, 4].contains(&kind));
    }
    segment
}

/// The input as lines of events, with a matching header of this version and a matching end.
fn lines(input: &[u8], version: u8) -> Vec<u8> {
    let events = input.split_inclusive(|byte| *byte == b'\n').count();
    let header = format!(
        "{{\"format\":\"feature-server export\",\"version\":{version},\"store\":\"{STORE_TEXT}\",\"revision\":{events}}}\n"
    );
    let mut text = [header.as_bytes(), input].concat();
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    let checksum = crc32c::crc32c(&text);
    text.extend(format!("{{\"events\":{events},\"crc32c\":\"{checksum:08x}\"}}\n").into_bytes());
    text
}

/// Opens the journal of a folder. `None` if it is refused.
fn opened(folder: &Path) -> Option<History> {
    let error = match History::open(folder) {
        Ok(history) => return Some(history),
        Err(error) => error,
    };
    assert!(!error.to_string().is_empty(), "a refusal says why");
    None
}

/// Exports a history. `None` if an event cannot be read.
fn exported(history: &History) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    export(history, &mut text, &mut |_| ()).ok()?;
    Some(text)
}

/// Imports lines into a new folder and exports it again. `None` if the import is refused.
fn round_trip(text: &[u8]) -> Option<Vec<u8>> {
    let folder = folder();
    match import(&mut &text[..], folder.path(), &mut |_| ()) {
        Ok(_) => {
            let history = opened(folder.path()).expect("what was imported is a store");
            Some(exported(&history).expect("what was imported can be read"))
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal says why");
            assert!(opened(folder.path()).is_none(), "a refused import leaves no store");
            None
        }
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, rest)) = input.split_first() else { return Corpus::Reject };
    if choice % 4 < 2 {
        let data = folder();
        let bytes = if choice % 4 == 0 { [&segment(), rest].concat() } else { frames(rest) };
        let identity = format!("{{\"format\":1,\"store\":\"{STORE_TEXT}\"}}\n");
        fs::create_dir(data.path().join("journal")).expect("the folder is new");
        fs::write(data.path().join("identity"), identity).expect("the folder is writable");
        fs::write(data.path().join("journal/00000000000000000001.log"), bytes).expect("the folder is writable");
        let Some(history) = opened(data.path()) else { return Corpus::Keep };
        let verified = verify(&history, folder().path(), &mut |_, _| ());
        let Some(text) = exported(&history) else {
            assert!(verified.is_err(), "verification refuses what cannot be read");
            return Corpus::Keep;
        };
        // An intact history may still be one that no server writes; then the import refuses it.
        match round_trip(&text) {
            Some(again) => assert!(again == text, "the same history is exported as the same bytes"),
            None => assert!(verified.is_err(), "verification refuses what cannot be imported"),
        }
        return Corpus::Keep;
    }
    let text = if choice % 4 == 2 { rest.to_vec() } else { lines(rest, 1 + choice / 128) };
    if let Some(first) = round_trip(&text) {
        let second = round_trip(&first).expect("what was exported can be imported");
        assert!(first == second, "the same history is exported as the same bytes");
    }
    Corpus::Keep
});
