//! The commands on data folders: export, import, verify and backup. Each reads or writes files and reports its result;
//! feature-store does the work on stores.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use feature_auth::keys::{KeyFolder, KeysError};
use feature_auth::text_file::without_mark;
use feature_store::{CopyError, EngineError, ExportError, History, ImportError, OpenError, ProjectionState};
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use crate::server::ServerError;

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
    /// The database of a fleet cannot be opened.
    #[error(transparent)]
    Database(#[from] ServerError),
    /// The history was not copied into a database.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// What should be revoked cannot be read.
    #[error(
        "the entry cannot be read ({0}); it is 'jti ID [issuer ISSUER]' or 'subject ID [issuer ISSUER] [before UNIX_SECONDS]'"
    )]
    NoEntry(&'static str),
    /// A token was not revoked.
    #[error("the token may not be revoked: {0}")]
    Revoke(EngineError),
    /// A command needs another place than the one that the configuration names.
    #[error("{0}")]
    OtherPlace(&'static str),
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
            | Self::Import(ImportError::Folder(error))
            | Self::Copy(CopyError::History(error)) => matches!(
                error,
                OpenError::Corrupt { .. }
                    | OpenError::DamagedIdentity { .. }
                    | OpenError::IdentityMissing { .. }
                    | OpenError::JournalMissing { .. }
            ),
            Self::Import(ImportError::Line { .. })
            | Self::Keys(KeysError::Malformed(_))
            | Self::ProjectionInDoubt(_) => true,
            Self::Export(_)
            | Self::Import(_)
            | Self::Keys(_)
            | Self::Database(_)
            | Self::Copy(_)
            | Self::Revoke(_)
            | Self::OtherPlace(_)
            | Self::NoEntry(_)
            | Self::File { .. } => false,
        }
    }
}

/// Copies the data folder, also while a server runs on it, checks the copy, and returns a report. After an error there
/// is no backup.
pub fn backup(data: &Path, target: &Path, with_keys: bool) -> Result<String, DataError> {
    let also: &[&str] = if with_keys { &["keys"] } else { &[] };
    let bar = bar("backup", 0, "bytes");
    let revision = feature_store::backup(data, target, also, &mut |done, total| show(&bar, done, total))?;
    Ok(format!("backup of {} in {}, up to revision {revision}\n", data.display(), target.display()))
}

/// Creates a store from an export, in a data folder that is missing or empty, and returns a report. After an error the
/// folder is unchanged.
pub fn import(data: &Path, path: &Path) -> Result<String, DataError> {
    let error = file_error("read", path);
    let file = File::open(path).map_err(&error)?;
    let bar = bar("import", file.metadata().map_err(&error)?.len(), "bytes");
    let mut source = BufReader::new(file);
    let text = source.fill_buf().map_err(&error)?;
    let byte_order_mark = text.len() - without_mark(text).len();
    source.consume(byte_order_mark);
    let revision = feature_store::import(&mut source, data, &mut |done| bar.set_position(done))?;
    Ok(format!("imported into {}, up to revision {revision}\n", data.display()))
}

/// Writes the whole data folder to a file, or to standard output if none is named. A file gets its name only when it is
/// complete and on the disk: after an error no new file has it.
pub fn export(data: &Path, output: Option<&Path>) -> Result<(), DataError> {
    let history = History::open(data)?;
    write_export(output, history.events(), &|output, bar| {
        feature_store::export(&history, output, &mut |events| bar.set_position(events))
    })
}

/// Writes an export with so many events to a file, or to standard output.
pub(super) fn write_export(
    output: Option<&Path>,
    events: u64,
    write: &dyn Fn(&mut dyn Write, &ProgressBar) -> Result<(), ExportError>,
) -> Result<(), DataError> {
    let bar = || bar("export", events, "events");
    let Some(path) = output else {
        let stdout = io::stdout();
        // A terminal shows the output itself.
        let bar = if stdout.is_terminal() { ProgressBar::hidden() } else { bar() };
        return match write(&mut BufWriter::new(stdout.lock()), &bar) {
            // The reader has closed the pipe, as `head` does, because it needs no more: success.
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => Ok(outcome?),
        };
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = file_error("write", path);
    // Only this user can read the temporary file, like the data folder. It is removed unless it gets its name.
    let mut file = NamedTempFile::new_in(folder).map_err(&error)?;
    write(&mut BufWriter::new(&mut file), &bar())?;
    file.as_file().sync_all().map_err(&error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)
}

/// A folder whose journal is intact.
#[derive(Debug)]
pub struct Verified {
    /// The content, one line for each part.
    pub summary: String,
    /// An error if the projection is in doubt: no data is lost, but the disk may be failing.
    pub outcome: Result<(), DataError>,
}

/// Checks a data folder or a backup, and changes nothing. The error names what is damaged.
pub fn verify(data: &Path) -> Result<Verified, DataError> {
    let history = History::open(data)?;
    let temporary = std::env::temp_dir();
    let scratch = tempfile::tempdir().map_err(file_error("make a folder in", &temporary))?;
    let bar = bar("verify", history.events(), "events");
    let found = feature_store::verify(&history, scratch.path(), &mut |done, total| show(&bar, done, total))?;
    drop(bar);
    let keys = KeyFolder::count(data)?;
    let summary = format!(
        "store       {}\nsegments    {}, {} bytes, {}\nevents      {}, from revision {} to {}\n\
         torn tail   {}\nscopes      {}\nprojection  {}\nkeys        {keys}\n",
        history.store(),
        history.segments(),
        history.bytes(),
        if history.is_sealed() { "closed" } else { "not closed: a server was killed, or is running on the original" },
        history.events(),
        history.oldest(),
        history.revision(),
        torn(&history),
        found.scopes,
        projection(&found.projection),
    );
    let outcome = match found.projection {
        ProjectionState::InDoubt(reason) => Err(DataError::ProjectionInDoubt(reason)),
        ProjectionState::Absent | ProjectionState::Agrees | ProjectionState::Behind(_) => Ok(()),
    };
    Ok(Verified { summary, outcome })
}

fn torn(history: &History) -> String {
    let Some(torn) = history.torn() else { return "none".to_owned() };
    let (bytes, offset, segment) = (torn.bytes, torn.offset, torn.segment.display());
    format!("{bytes} bytes from byte {offset} on of {segment}, never acknowledged: the next start cuts them off")
}

fn projection(state: &ProjectionState) -> String {
    match state {
        ProjectionState::Absent => "absent: the next start builds it".to_owned(),
        ProjectionState::Agrees => "agrees with the journal, record by record".to_owned(),
        ProjectionState::Behind(0) => "empty: the next start builds it".to_owned(),
        ProjectionState::Behind(revision) => format!("agrees up to revision {revision}: the next start catches up"),
        ProjectionState::InDoubt(reason) => format!("in doubt: {reason}; the next start builds it anew"),
    }
}

/// A progress bar on standard error, if that is a terminal. It disappears when it is dropped, so that only the
/// command's output stays.
pub(super) fn bar(doing: &'static str, total: u64, unit: &'static str) -> ProgressBar {
    let style = format!("{doing} {{bar:40}} {{human_pos}}/{{human_len}} {unit}, {{eta}} left");
    let style = ProgressStyle::with_template(&style).expect("the names in the template are those of indicatif");
    ProgressBar::new(total).with_style(style)
}

pub(super) fn show(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

fn file_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataError {
    move |reason| DataError::File { action, path: path.to_owned(), reason }
}
