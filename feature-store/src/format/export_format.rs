//! The lines of an export: the JSON form of a store's history, and the way back.
//!
//! The first line is a [`Header`], one line for each event follows, and the last line is an [`End`]. The form is the
//! interface between versions of this program: a change that an older one would misread needs a new version.

mod event;

use feature_core::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use event::{field_of, read_event, write_event};

use super::encoding::is_plain;
use crate::error::LineError;

/// The version of the form that is written.
pub(crate) const VERSION: u32 = 2;

/// The first version. It has neither definitions, comments and batches nor whole numbers, doubles and lists.
const FIRST_VERSION: u32 = 1;

/// The start of every export, by which an import recognises one.
const FORMAT: &str = "feature-server export";

/// The most bytes of a line, so that memory is bounded. An event of a 1 MiB request stays far below.
pub(crate) const LINE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The first line: the version of the form, and the history that follows.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    format: String,
    version: u32,
    /// The store's id.
    pub(crate) store: Uuid,
    /// The revision of the last event, which is also the number of events.
    pub(crate) revision: u64,
}

/// The part that every version has.
#[derive(Deserialize)]
struct AnyHeader {
    format: String,
    version: u32,
}

/// The last line: the proof that no line is missing or changed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// The number of events.
    pub(crate) events: u64,
    /// CRC-32C of all lines before with their line ends, in hexadecimal.
    crc32c: String,
}

impl Header {
    pub(crate) fn new(store: Uuid, revision: u64) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, store, revision }
    }

    /// Reads the first line.
    pub(crate) fn read(line: &[u8]) -> Result<Self, LineError> {
        let other = || LineError::new("", "this is not an export of feature-server");
        let AnyHeader { format, version } = serde_json::from_slice(line).map_err(|_| other())?;
        if format != FORMAT {
            return Err(other());
        }
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            let known = format!("{FIRST_VERSION} and {VERSION}");
            let reason = format!("is {version}, this binary knows {known}: import with the binary that exported");
            return Err(LineError::new("version", &reason));
        }
        parse(line)
    }

    /// Refuses an event that this version of the form cannot have.
    pub(crate) fn check(&self, event: &Event) -> Result<(), LineError> {
        if self.version == FIRST_VERSION && !is_plain(event) {
            let reason = format!("has more than version {FIRST_VERSION} of an export can have");
            return Err(LineError::new("", &reason));
        }
        Ok(())
    }
}

impl End {
    pub(crate) fn new(events: u64, checksum: u32) -> Self {
        Self { events, crc32c: format!("{checksum:08x}") }
    }

    /// Reads the last line.
    pub(crate) fn read(line: &[u8]) -> Result<Self, LineError> {
        parse(line)
    }
}

/// Adds a line with its end to a buffer.
pub(crate) fn write_line(line: &impl Serialize, buffer: &mut Vec<u8>) {
    serde_json::to_writer(&mut *buffer, line).expect("texts, numbers and maps with text keys have a JSON form");
    buffer.push(b'\n');
}

/// Reads a line. A wrong line is read a second time, to name the field.
fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, LineError> {
    serde_json::from_slice(line).map_err(|error| {
        let traced = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(line)).err();
        let field = traced.map(|traced| traced.path().to_string()).filter(|path| path != ".").unwrap_or_default();
        // serde_json names a line of its own, which is always the first.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
        LineError::new(&field, &format!("{text}, at column {}", error.column()))
    })
}
