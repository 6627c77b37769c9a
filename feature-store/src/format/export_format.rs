//! The lines of an export: the JSON form of a store's history, and the way back.
//!
//! The first line is a [`Header`]; a line for each record of a base follows where the oldest events were dropped; then
//! one for each event; and the last line is an [`End`]. The form is the
//! interface between versions of this program: a change that an older one would misread needs a new version.

mod event;
mod record;

use feature_core::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use event::{field_of, read_event, time_of, time_text, write_event};
pub(crate) use record::{read_record, write_record};

use super::encoding::is_plain;
use super::identity::Identity;
use crate::error::LineError;

/// The version of the form for a history with a base.
pub(crate) const BASE_VERSION: u32 = 3;

/// The version of the form for a whole history.
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
    /// The revision of the last event.
    pub(crate) revision: u64,
    /// The records that stand for the events that were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Base>,
}

/// The base of a history whose oldest events were dropped.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Base {
    /// The revision of the last event that is in its records.
    pub(crate) revision: u64,
    /// The time of that event.
    pub(crate) time: String,
    /// The number of its records, a line each.
    pub(crate) records: u64,
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
    pub(crate) fn new(store: Uuid, revision: u64, base: Option<Base>) -> Self {
        let version = if base.is_some() { BASE_VERSION } else { VERSION };
        Self { format: FORMAT.to_owned(), version, store, revision, base }
    }

    /// Reads the first line.
    pub(crate) fn read(line: &[u8]) -> Result<Self, LineError> {
        let other = || LineError::new("", "this is not an export of feature-server");
        let AnyHeader { format, version } = serde_json::from_slice(line).map_err(|_| other())?;
        if format != FORMAT {
            return Err(other());
        }
        if !(FIRST_VERSION..=BASE_VERSION).contains(&version) {
            let known = format!("{FIRST_VERSION} to {BASE_VERSION}");
            let reason = format!("is {version}, this binary knows {known}: import with the binary that exported");
            return Err(LineError::new("version", &reason));
        }
        let header: Self = parse(line)?;
        match &header.base {
            base if base.is_some() != (version == BASE_VERSION) => {
                Err(LineError::new("base", &format!("belongs to version {BASE_VERSION}, and only to that")))
            }
            Some(base) if base.revision == 0 || base.revision > header.revision => {
                Err(LineError::new("base.revision", "must be from 1 to the revision of the export"))
            }
            _ => Ok(header),
        }
    }

    /// The store, and the oldest event of the export.
    pub(crate) fn identity(&self) -> Identity {
        Identity { store: self.store, oldest: self.base_revision() + 1 }
    }

    /// The revision of the base, or 0.
    pub(crate) fn base_revision(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.revision)
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
