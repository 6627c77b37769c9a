//! The errors of a store. Each text is one line for an operator: what is wrong, and what to do where something can be
//! done. The server decides which status a caller gets.

mod opening;

use std::path::PathBuf;

use feature_core::{FeatureKey, Scope};

use crate::files::FileError;
use crate::format::scope_key;
use crate::store::limits::{COMMENT_MAX_BYTES, VALUE_MAX_BYTES, VALUE_MAX_DEPTH};

pub use opening::OpenError;

const MEBIBYTE: u64 = 1024 * 1024;

/// Why a store could not read or write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] FileError),
    /// The projection could not be read or written.
    #[error("the projection failed: {reason}; the next start builds a new one")]
    Projection {
        /// What the database said.
        reason: String,
    },
    /// The record of a scope fails its check. Other scopes are not affected.
    #[error("the stored record of {} fails its check; the next start builds a new one", scope_key::describe(.scope))]
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
    /// The comment on a write is too large. Nothing was written.
    #[error("the comment takes {bytes} bytes, at most {COMMENT_MAX_BYTES} are allowed")]
    CommentTooLarge {
        /// Its size in bytes.
        bytes: usize,
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
    /// An event of the history cannot be read. Records are not affected.
    #[error("the event with revision {revision} fails its check: compare the journal with a backup")]
    DamagedEvent {
        /// The event's revision.
        revision: u64,
    },
    /// The history has no events of that time any more.
    #[error("the history is kept from revision {oldest} to {newest}")]
    Compacted {
        /// The revision of the oldest event.
        oldest: u64,
        /// The revision of the newest event.
        newest: u64,
    },
    /// More has changed since than a read of the past takes back.
    #[error("more than {max} changes have happened since")]
    TooLongAgo {
        /// The most changes.
        max: usize,
    },
    /// What was set at a revision is not known any more.
    #[error("what was set at revision {revision} was erased")]
    Erased {
        /// The revision.
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
            | Self::CommentTooLarge { .. }
            | Self::DiskFull { .. }
            | Self::Overtaken
            | Self::Unreachable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::CannotFollow { .. }
            | Self::LogBroken { .. }
            | Self::BaseDamaged { .. }
            | Self::DamagedEvent { .. }
            | Self::Compacted { .. }
            | Self::TooLongAgo { .. }
            | Self::Erased { .. }
            | Self::NotUnderstood { .. } => false,
        }
    }
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
