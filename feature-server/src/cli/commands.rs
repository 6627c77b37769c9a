//! The commands on data folders: export, import, verify and backup. Each reads or writes files and reports its result;
//! feature-store does the work on stores.

mod backup;
mod bar;
mod export;
mod import;
mod verify;

pub use backup::backup;
pub use export::export;
pub use import::import;
pub use verify::{Verified, verify};

use std::io;
use std::path::{Path, PathBuf};

use feature_auth::keys::KeysError;
use feature_store::{ExportError, ImportError, OpenError};

/// The failure of a command on a data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The store cannot be read, or no store or backup can be created.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The export has ended early.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Nothing was imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The projection is damaged, and nothing else.
    #[error("the projection is in doubt ({0}): nothing is lost, the next start of the server builds it anew")]
    ProjectionInDoubt(
        /// The reason.
        String,
    ),
    /// A file that the command line names cannot be read or written.
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
}

impl DataError {
    /// Whether stored data is damaged, not only unavailable.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(error)
            | Self::Export(ExportError::History(error))
            | Self::Import(ImportError::Folder(error)) => matches!(
                error,
                OpenError::Corrupt { .. }
                    | OpenError::DamagedIdentity { .. }
                    | OpenError::IdentityMissing { .. }
                    | OpenError::JournalMissing { .. }
            ),
            Self::Import(ImportError::Line { .. })
            | Self::Keys(KeysError::Malformed(_))
            | Self::ProjectionInDoubt(_) => true,
            Self::Export(_) | Self::Import(_) | Self::Keys(_) | Self::File { .. } => false,
        }
    }
}

fn file_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataError {
    move |reason| DataError::File { action, path: path.to_owned(), reason }
}
