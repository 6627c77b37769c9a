//! `feature-server export`: where the lines go. A file appears under its name only when it is whole and on the disk.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use feature_store::{ExportError, History};
use tempfile::NamedTempFile;

use super::bar::Bar;
use super::{DataError, file_error};

/// Writes everything in the data folder to a file, or to standard output when none is named.
///
/// # Errors
/// [`DataError`]. Then no file has that name that had not before.
pub fn export(data: &Path, output: Option<&Path>) -> Result<(), DataError> {
    let history = History::open(data)?;
    match output {
        Some(path) => to_file(&history, path),
        None => to_standard_output(&history),
    }
}

fn to_standard_output(history: &History) -> Result<(), DataError> {
    let stdout = io::stdout();
    let bar = if stdout.is_terminal() { Bar::hidden() } else { Bar::new("export", history.revision(), "events") };
    match write(history, &mut BufWriter::new(stdout.lock()), &bar) {
        // Whoever has closed it, as `head` does, wants to see no more; that is no failure.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn to_file(history: &History, path: &Path) -> Result<(), DataError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = file_error("write", path);
    // It is private to this user, as what it holds was; and it is removed unless it becomes whole.
    let mut file = NamedTempFile::new_in(folder).map_err(&error)?;
    write(history, &mut BufWriter::new(&mut file), &Bar::new("export", history.revision(), "events"))?;
    file.as_file().sync_all().map_err(&error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)
}

fn write(history: &History, output: &mut dyn Write, bar: &Bar) -> Result<(), ExportError> {
    feature_store::export(history, output, &mut |events| bar.show(events))
}
