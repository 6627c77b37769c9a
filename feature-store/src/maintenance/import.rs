//! Import: a store made of the lines of an export, with the same history and the same id. Every line is checked against
//! the lines before it.

mod input;

use std::io::{self, BufRead};
use std::path::Path;

use feature_core::{Discontinuity, Event, Record, check_continuity};
use uuid::Uuid;

use crate::error::{LineError, OpenError, StoreError};
use crate::files::{self, DataFile, FileError};
use crate::format::encoding::encode_record;
use crate::format::export_format::{Base, Header, field_of, read_event, read_record, time_of};
use crate::format::identity::Identity;
use crate::format::scope_key;
use crate::journal::{BaseWriter, Journal};
use crate::maintenance::batches::Batches;
use crate::maintenance::staging::Staging;
use crate::projection::{Builder, FOLD_BYTES, Projection};
use crate::store::FeatureStore;
use crate::store::fold::{check_value, check_values};
use crate::store::limits::{SIZES, SMALL_CACHE_BYTES};
use input::Input;

/// The names in a folder that counts as empty: the lock, keys, and the remains of an interrupted import.
const MAY_HOLD: [&str; 3] = ["lock", "keys", Staging::REMAINS];

/// The most events that are written with one sync, so that memory is bounded.
const GROUP_EVENTS: usize = 8_192;

/// The bytes of values from which on a group takes no further event.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Why nothing was imported. The folder holds no store.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The input cannot be read.
    #[error("cannot read line {number} ({reason}): nothing was imported")]
    Read {
        /// The line, counted from 1.
        number: u64,
        /// What the system says.
        reason: io::Error,
    },
    /// The input is damaged, or not an export.
    #[error("line {number}: {error}; nothing was imported")]
    Line {
        /// The line, counted from 1.
        number: u64,
        /// What is wrong with it.
        error: LineError,
    },
    /// The folder cannot take a store.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FileError> for ImportError {
    fn from(error: FileError) -> Self {
        Self::Folder(error.into())
    }
}

/// Makes a store of an export in a folder that is missing, empty, or has only keys. Returns the last revision.
///
/// `progress` gets the number of bytes read.
///
/// # Errors
/// [`ImportError`]. The folder is then as before.
pub fn import(input: &mut dyn BufRead, folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, ImportError> {
    let mut input = Input::new(input);
    let header = input.line()?;
    let header = Header::read(header).map_err(|error| input.wrong(error))?;
    let made = !folder.exists();
    files::create_folder(folder)?;
    let lock = DataFile::open(&folder.join("lock"))?;
    if !lock.try_lock()? {
        return Err(OpenError::Locked { folder: folder.to_owned() }.into());
    }
    let staging = Staging::begin(folder, made, &MAY_HOLD)?;
    fill(&staging.folder(), &header, &mut input, progress)?;
    staging.finish(header.identity())?;
    Ok(header.revision)
}

/// Makes journal and projection, durably.
fn fill(
    folder: &Path,
    header: &Header,
    input: &mut Input<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    let journal_folder = folder.join("journal");
    if let Some(base) = &header.base {
        fill_base(&journal_folder, header.store, base, input, progress)?;
    }
    let mut journal = new_journal(&journal_folder, header.identity())?;
    let projection = Projection::open(&folder.join("projection"), &journal, SMALL_CACHE_BYTES)?;
    let mut builder = Builder::new(&projection, FOLD_BYTES);
    let mut group = Vec::new();
    let (mut bytes, mut batches) = (0, Batches::default());
    for revision in header.base_revision() + 1..=header.revision {
        let event = read_event(input.line()?).map_err(|error| input.wrong(error))?;
        header.check(&event).map_err(|error| input.wrong(error))?;
        bytes += check(&event, revision).map_err(|error| input.wrong(error))?;
        let placed = batches.add(&event, revision == header.revision);
        placed.map_err(|reason| input.wrong(LineError::new("continues", &reason)))?;
        let continues = |record: &_| check_continuity(record, &event);
        builder.add_checked(&event, |record| continues(record).map_err(|error| input.wrong(discontinuity(&error))))?;
        group.push(event);
        if group.len() >= GROUP_EVENTS || bytes >= GROUP_BYTES || revision == header.revision {
            journal.append(&group)?;
            group.clear();
            bytes = 0;
            progress(input.bytes());
        }
    }
    input.end(header.revision - header.base_revision())?;
    builder.finish()?;
    journal.seal()?;
    Ok(projection.close()?)
}

/// Makes the base of a history whose oldest events were dropped, durably.
fn fill_base(
    folder: &Path,
    store: Uuid,
    base: &Base,
    input: &mut Input<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    files::create_folder(folder)?;
    let time = time_of("base.time", &base.time).map_err(|error| input.wrong(error))?;
    let mut writer = BaseWriter::begin(folder, store, base.revision)?;
    let mut before = Vec::new();
    for number in 1..=base.records {
        let (scope, record) = read_record(input.line()?).map_err(|error| input.wrong(error))?;
        check_record(&record, base.revision).map_err(|error| input.wrong(error))?;
        let key = scope_key::encode(&scope);
        if number > 1 && key <= before {
            return Err(input.wrong(LineError::new("scope", "must come after that of the line before")));
        }
        writer.put(&key, &encode_record(&record))?;
        before = key;
        if number.is_multiple_of(GROUP_EVENTS as u64) || number == base.records {
            progress(input.bytes());
        }
    }
    Ok(writer.finish(time)?)
}

/// Checks a record by itself.
fn check_record(record: &Record, revision: u64) -> Result<(), LineError> {
    if record.sequence == 0 {
        return Err(LineError::new("sequence", "must be at least 1"));
    }
    for (index, (key, value)) in record.layer.iter().enumerate() {
        check_value(key, value).map_err(|error| LineError::new(&format!("values[{index}]"), &error.to_string()))?;
        if record.revisions.get(key).is_some_and(|set| *set == 0 || *set > revision) {
            let reason = format!("must be from 1 to {revision}, the revision of the base");
            return Err(LineError::new(&format!("values[{index}].revision"), &reason));
        }
    }
    Ok(())
}

fn new_journal(folder: &Path, identity: Identity) -> Result<Journal, OpenError> {
    Journal::create(folder, identity)?;
    Journal::open(folder, identity, SIZES)
}

/// Checks an event by itself and returns the bytes of its values.
fn check(event: &Event, revision: u64) -> Result<usize, LineError> {
    if event.revision != revision {
        return Err(LineError::new("revision", &format!("is {}, but {revision} comes next", event.revision)));
    }
    check_values(event).map_err(|error| LineError::new("changes", &error.to_string()))
}

fn discontinuity(error: &Discontinuity) -> LineError {
    LineError::new(&field_of(error), &error.to_string())
}
