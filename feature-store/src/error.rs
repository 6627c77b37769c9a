//! The errors of a store. Each text is one line for an operator: what is wrong, and what to do where something can be
//! done. The server decides which status a caller gets.

use std::path::PathBuf;
use std::time::Duration;

use feature_core::{FeatureKey, Scope};

use crate::files::FileError;
use crate::format::scope_key;
use crate::store::limits::{VALUE_MAX_BYTES, VALUE_MAX_DEPTH};

const MEBIBYTE: u64 = 1024 * 1024;

/// Why a store could not read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] FileError),
    /// The projection could not be read or written.
    #[error("the projection failed: {reason}; at the next start it is rebuilt from the journal")]
    Projection {
        /// What the database said.
        reason: String,
    },
    /// The record of a scope fails its check. Other scopes are not affected.
    #[error(
        "the stored record of {} fails its check; at the next start it is rebuilt from the journal",
        scope_key::describe(.scope)
    )]
    DamagedRecord {
        /// Whose record.
        scope: Scope,
    },
    /// An event does not continue the history. Nothing was written.
    #[error("an event has revision {actual}, but the next one of the store is {expected}")]
    WrongRevision {
        /// What continues the history.
        expected: u64,
        /// What the event has.
        actual: u64,
    },
    /// A value is above [`VALUE_MAX_BYTES`]. Nothing was written.
    #[error("the value of {key} takes {bytes} bytes, at most {VALUE_MAX_BYTES} are allowed")]
    ValueTooLarge {
        /// The feature.
        key: FeatureKey,
        /// The value's size in bytes.
        bytes: usize,
    },
    /// A value is above [`VALUE_MAX_DEPTH`]. Nothing was written.
    #[error("the value of {key} nests messages deeper than {VALUE_MAX_DEPTH} levels")]
    ValueTooDeep {
        /// The feature.
        key: FeatureKey,
    },
    /// The file system is nearly full. Nothing was written; writes are accepted again when there is space.
    #[error(
        "writes are refused: {} MiB are free at {}, the reserve is {} MiB; free some space",
        .free / MEBIBYTE, .path.display(), .reserve / MEBIBYTE
    )]
    DiskFull {
        /// A folder on that file system.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// Another replica has written since the batch was decided. Nothing was written; it has to be decided again.
    #[error("another replica has written meanwhile")]
    Overtaken,
    /// The database of a fleet cannot be reached. Nothing was written; a later attempt may succeed.
    #[error("the database does not answer: {reason}")]
    Unreachable {
        /// What the connection said.
        reason: String,
    },
    /// The database of a fleet was lost during an append, and did not say in time whether it has the events.
    #[error("the database did not confirm a write, which may have happened all the same: {reason}")]
    OutcomeUnknown {
        /// What the connection said.
        reason: String,
    },
    /// The view of a replica cannot continue with the history in the database: it has to be made anew. Nothing was
    /// written.
    #[error("this replica cannot follow the history in the database: {reason}")]
    CannotFollow {
        /// The difference.
        reason: String,
    },
    /// An entry of the log in the database does not continue the one before it. Nothing was written.
    #[error("the log in the database is broken at revision {revision}: restore the database from a backup")]
    LogBroken {
        /// Where.
        revision: u64,
    },
    /// A record of the base in the database cannot be read. Nothing was written.
    #[error(
        "the table of records in the database is damaged at revision {revision}: restore the database from a backup"
    )]
    BaseDamaged {
        /// The revision of the record.
        revision: u64,
    },
    /// The history in the database has an event of a form that this binary does not know. Nothing was written.
    #[error("revision {revision} in the database was written by a newer server: update this one")]
    NotUnderstood {
        /// The event's revision.
        revision: u64,
    },
    /// An earlier append failed, so the content of the disk is unknown. Nothing was written.
    #[error("writes are refused since an earlier one failed ({cause}): restart when its cause is gone")]
    RefusingWrites {
        /// The first failure.
        cause: Box<StoreError>,
    },
}

impl StoreError {
    /// The error of a write after this failure.
    pub(crate) fn refusing_writes(&self) -> Self {
        Self::RefusingWrites { cause: Box::new(self.clone()) }
    }

    /// Whether an append with this error changed nothing, so that a later one may succeed.
    pub fn is_refusal(&self) -> bool {
        !self.ends_writes() && !matches!(self, Self::OutcomeUnknown { .. })
    }

    /// Whether the store takes no writes after this error, until a restart.
    pub fn ends_writes(&self) -> bool {
        match self {
            Self::Io(_) | Self::Projection { .. } | Self::DamagedRecord { .. } | Self::RefusingWrites { .. } => true,
            Self::WrongRevision { .. }
            | Self::ValueTooLarge { .. }
            | Self::ValueTooDeep { .. }
            | Self::DiskFull { .. }
            | Self::Overtaken
            | Self::Unreachable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::CannotFollow { .. }
            | Self::LogBroken { .. }
            | Self::BaseDamaged { .. }
            | Self::NotUnderstood { .. } => false,
        }
    }
}

/// Why the folder of a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed: a permission, a full disk, a defect of the disk.
    #[error("{0}: check that the data folder is writable for this user and that its disk has space and works")]
    Io(#[from] FileError),
    /// Another process has the folder open.
    #[error("{} is in use by another process: stop that one, or choose another data folder", .folder.display())]
    Locked {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder is of a format that this binary does not know.
    #[error("{} has format {found}, this binary knows {known}: start the newer binary that wrote it", .path.display())]
    OtherFormat {
        /// The identity file.
        path: PathBuf,
        /// The format it names.
        found: u32,
        /// The format of this binary.
        known: u32,
    },
    /// The journal holds an intact record of a kind that this binary does not know.
    #[error("{} holds at byte {offset} what only a newer binary understands: start that one", .segment.display())]
    NotUnderstood {
        /// The file.
        segment: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// The identity file cannot be read as one.
    #[error("{} is damaged: restore the data folder from a backup", .path.display())]
    DamagedIdentity {
        /// The identity file.
        path: PathBuf,
    },
    /// There is a journal without the identity of its store.
    #[error("{} is missing beside a journal with records: restore the data folder from a backup", .path.display())]
    IdentityMissing {
        /// The identity file.
        path: PathBuf,
    },
    /// The folder has no store, and this command makes none.
    #[error("there is no store in {}: name the folder of one, with --data for instance", .folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The target of a new store or a backup is not empty.
    #[error("{} is not empty, it holds {name}: choose a folder that is missing or empty", .folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        name: String,
    },
    /// There is an identity without a journal. To start empty would hide the loss.
    #[error(
        "the journal {} is missing: restore the data folder from a backup, or choose an empty one to start anew",
        .path.display()
    )]
    JournalMissing {
        /// The journal's folder.
        path: PathBuf,
    },
    /// The journal lacks what was once durable, or has something else in its place.
    #[error(
        "corrupt journal: {} at byte {offset}: {reason}; restore the data folder from a backup",
        .segment.display()
    )]
    Corrupt {
        /// The file.
        segment: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The journal ends before the last event that the projection has, which was acknowledged.
    #[error(
        "{} ends at byte {offset} with revision {revision}, but the projection knows revision {known}, so acknowledged \
         writes are missing: restore the folder journal as it was; or, to go on without them, remove the folder \
         projection",
        .segment.display()
    )]
    JournalCutShort {
        /// The last segment.
        segment: PathBuf,
        /// Where it ends, in bytes.
        offset: u64,
        /// The last revision of the journal.
        revision: u64,
        /// The last revision that was applied.
        known: u64,
    },
    /// The data folder of a replica holds an embedded store.
    #[error(
        "{} holds an embedded store: choose another folder for this replica",
        .folder.display()
    )]
    HoldsStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The data folder has the view of a replica, whose store is in a database.
    #[error(
        "{} holds the view of a server of a fleet: name its database with store.url, or choose another folder for a store \
         of its own",
        .folder.display()
    )]
    HoldsReplica {
        /// The folder.
        folder: PathBuf,
    },
    /// The database of a fleet does not answer.
    #[error("the database does not answer: {reason}")]
    Database {
        /// What the connection said.
        reason: String,
    },
    /// The log in the database could not be read.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The projection did not open in time. It has been set aside.
    #[error(
        "{} did not open within {} s, so it was set aside: start again, and a new one is built from the journal; if \
         that hangs too, check the disk",
        .folder.display(), .timeout.as_secs()
    )]
    ProjectionHangs {
        /// The projection's folder.
        folder: PathBuf,
        /// How long it had.
        timeout: Duration,
    },
    /// Not even a new projection could be built.
    #[error("the projection cannot be built: {reason}; check that the disk of the data folder has space and works")]
    Projection {
        /// What the database said.
        reason: String,
    },
}

/// What is wrong with a line of an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct LineError {
    field: String,
    reason: String,
}

impl LineError {
    /// `field`: the path to the wrong part, such as `changes[0].old`; empty for the line as a whole.
    pub(crate) fn new(field: &str, reason: &str) -> Self {
        Self { field: field.to_owned(), reason: reason.to_owned() }
    }
}
