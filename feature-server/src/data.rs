//! The commands on data folders: export, import, verify and backup. Each reads and writes files and says how it went;
//! what a store is, and how it is checked, is known to feature-store alone.

mod bar;
mod export;

pub use export::export;

use std::io;
use std::path::{Path, PathBuf};

use feature_store::{ExportError, OpenError};

/// Why a command on a data folder has failed.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The export has ended early.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A file that the command line names cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn file_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataError {
    move |source| DataError::File { action, path: path.to_owned(), source }
}
