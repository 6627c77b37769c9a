//! `feature-server export`: writes the lines to a file or to standard output. A file gets its name only when it is
//! complete and on the disk.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use feature_store::{ExportError, History};
use tempfile::NamedTempFile;

use super::bar::Bar;
use super::{DataError, file_error};

/// Writes the whole data folder to a file, or to standard output if none is named.
///
/// # Errors
/// [`DataError`]; then no new file has the name.
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
        // The reader has closed the pipe, as `head` does, because it needs no more: success.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn to_file(history: &History, path: &Path) -> Result<(), DataError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = file_error("write", path);
    // Only this user can read the temporary file, like the data folder. It is removed unless it gets its name.
    let mut file = NamedTempFile::new_in(folder).map_err(&error)?;
    write(history, &mut BufWriter::new(&mut file), &Bar::new("export", history.revision(), "events"))?;
    file.as_file().sync_all().map_err(&error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)
}

fn write(history: &History, output: &mut dyn Write, bar: &Bar) -> Result<(), ExportError> {
    feature_store::export(history, output, &mut |events| bar.show(events))
}
