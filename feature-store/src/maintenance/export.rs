//! Export: the whole history of a store as lines of JSON, in the [form of an export](crate::format::export_format).
//! The history is in a data folder, or in the log of a fleet.

use std::io::{self, Write};

use feature_core::{Erasure, Event};
use uuid::Uuid;

use crate::engine::{BaseRecord, Engine, Head, Position};
use crate::error::{OpenError, StoreError};
use crate::event_log::erasures::blank;
use crate::format::encoding::{decode_record, encode_record};
use crate::format::export_format::{Base, End, Header, time_text, write_event, write_line, write_record};
use crate::format::scope_key;
use crate::journal::{BaseEnd, History};

/// The most entries of a log that are read at once.
const PAGE: usize = 10_000;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history could not be read.
    #[error(transparent)]
    History(#[from] OpenError),
    /// The log of a fleet keeps only the newer events.
    #[error(
        "the database keeps events from revision {kept_from} on, and an export needs all of them: a store whose old \
         events were dropped (history.keep) can only be copied by a backup of the database"
    )]
    EventsDropped {
        /// The first revision that is kept.
        kept_from: u64,
    },
    /// The lines could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes all lines to `output`: the same bytes for the same history, whenever and wherever it is exported. Where the
/// oldest events were dropped, the records of that time come first.
///
/// `progress` gets the number of events written.
///
/// # Errors
/// [`ExportError`]; then the last line is missing, and an import refuses the lines.
pub fn export(history: &History, output: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), ExportError> {
    let mut lines = Lines::begin(history.store(), history.revision(), base_of(history)?, output);
    if history.oldest() > 1 {
        let mut base = history.base(history.oldest() - 1)?;
        while let Some(record) = base.next()? {
            lines.add_record(&record).ok_or_else(|| base.not_understood())??;
        }
    }
    let before = history.oldest() - 1;
    history.for_each(|event, _| lines.add(event, &mut |done| progress(done - before)))?;
    lines.end(history.events())
}

fn base_of(history: &History) -> Result<Option<Base>, OpenError> {
    let revision = history.oldest() - 1;
    if revision == 0 {
        return Ok(None);
    }
    let BaseEnd { records, newest_event } = history.base(revision)?.check()?;
    Ok(Some(Base { revision, time: time_text(newest_event), records }))
}

/// As [`export`], of the log of a fleet, up to the end that it has now. Replicas may go on writing.
///
/// # Errors
/// [`ExportError`]; then the last line is missing, and an import refuses the lines.
pub fn export_log(
    engine: &dyn Engine,
    output: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ExportError> {
    let Head { store, end, kept_from, folded } = engine.head().map_err(OpenError::from)?;
    if kept_from > 1 {
        return Err(ExportError::EventsDropped { kept_from });
    }
    let erasures = pending_erasures(engine, folded, end.revision)?;
    let mut lines = Lines::begin(store, end.revision, None, output);
    let mut before = Position::start(store);
    while before.revision < end.revision {
        let entries = engine.read(before.revision + 1, PAGE).map_err(OpenError::from)?;
        let broken = |revision| ExportError::from(OpenError::from(StoreError::LogBroken { revision }));
        let last = entries.last().ok_or_else(|| broken(before.revision + 1))?.position;
        for entry in entries.iter().take_while(|entry| entry.position.revision <= end.revision) {
            if !before.is_followed_by(entry) {
                return Err(broken(entry.position.revision));
            }
            before = entry.position;
            let mut event = entry.event().map_err(OpenError::from)?;
            if !entry.is_known(&event) {
                // A field of a newer binary would be lost without a word.
                return Err(OpenError::from(StoreError::NotUnderstood { revision: event.revision }).into());
            }
            blank(&erasures, &mut event);
            lines.add(&event, &mut |done| progress(done, end.revision))?;
        }
        // Only a history that was taken back meanwhile ends elsewhere.
        if last.revision >= end.revision && before != end {
            return Err(broken(end.revision));
        }
    }
    lines.end(end.revision)
}

/// The erasures that may not be carried out in the log yet: those that its base does not have.
fn pending_erasures(engine: &dyn Engine, folded: u64, end: u64) -> Result<Vec<Erasure>, OpenError> {
    let (mut erasures, mut next) = (Vec::new(), folded + 1);
    while next <= end {
        let entries = engine.read(next, PAGE)?;
        let Some(last) = entries.last() else { break };
        next = last.position.revision + 1;
        for entry in &entries {
            erasures.extend(Erasure::of(&entry.event()?));
        }
    }
    Ok(erasures)
}

/// The lines of an export.
struct Lines<'a> {
    output: &'a mut dyn Write,
    /// What is not written yet.
    buffer: Vec<u8>,
    checksum: u32,
}

impl<'a> Lines<'a> {
    fn begin(store: Uuid, revision: u64, base: Option<Base>, output: &'a mut dyn Write) -> Self {
        let mut buffer = Vec::new();
        write_line(&Header::new(store, revision, base), &mut buffer);
        Self { output, buffer, checksum: 0 }
    }

    /// Adds a record of a base; `None` when it cannot be read.
    fn add_record(&mut self, record: &BaseRecord) -> Option<Result<(), ExportError>> {
        let (scope, content) = (scope_key::decode(&record.key)?, decode_record(&record.body).ok()?);
        if encode_record(&content) != record.body {
            return None;
        }
        write_record(&scope, &content, &mut self.buffer)?;
        Some(self.write())
    }

    fn add(&mut self, event: &Event, progress: &mut dyn FnMut(u64)) -> Result<(), ExportError> {
        write_event(event, &mut self.buffer);
        self.write()?;
        progress(event.revision);
        Ok(())
    }

    fn write(&mut self) -> Result<(), ExportError> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Adds the end, with the number of events.
    fn end(mut self, events: u64) -> Result<(), ExportError> {
        // Without events the header is still in the buffer.
        let checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        write_line(&End::new(events, checksum), &mut self.buffer);
        self.output.write_all(&self.buffer)?;
        Ok(self.output.flush()?)
    }
}
