//! Why a store could not be opened.

use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::StoreError;
use crate::files::FileError;

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
    /// A base, from which a start or a new projection begins, is missing or damaged.
    #[error(
        "{} is missing or damaged at byte {offset}: remove it if the journal has an older file of this kind or the segment of \
         revision 1, else restore the data folder from a backup",
        .path.display()
    )]
    BaseDamaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// A base has other records than the events before it give.
    #[error(
        "{} is not the sum of the events before it ({reason}): remove it and the folder projection, and start again",
        .path.display()
    )]
    BaseDiffers {
        /// The file.
        path: PathBuf,
        /// The difference.
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
    /// The operating system does not start another thread.
    #[error("cannot start a thread ({reason}): check the limits of this user and of the machine")]
    Thread {
        /// What the system says.
        reason: String,
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
    /// The data folder has the view of another store than the database holds.
    #[error(
        "the database holds the store {store}, and {} is of {known}: check store.url, restore the database, or choose \
         another data folder to go on with what the database holds",
        .path.display()
    )]
    OtherStore {
        /// The file with the id.
        path: PathBuf,
        /// The id in the folder.
        known: Uuid,
        /// The id in the database.
        store: Uuid,
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
        "{} did not open within {} s, so it was set aside: start again, and a new one is built; if \
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
