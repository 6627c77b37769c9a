//! `feature-server import`: reads the lines of an export.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::bar::Bar;
use super::{DataError, file_error};
use crate::config::text_file;

/// Creates a store from an export, in a data folder that is missing or empty, and returns a report.
///
/// # Errors
/// [`DataError`]; then the folder is unchanged.
pub fn import(data: &Path, path: &Path) -> Result<String, DataError> {
    let error = file_error("read", path);
    let file = File::open(path).map_err(&error)?;
    let bytes = file.metadata().map_err(&error)?.len();
    let bar = Bar::new("import", bytes, "bytes");
    let mut source = BufReader::new(file);
    text_file::skip_mark(&mut source).map_err(&error)?;
    let revision = feature_store::import(&mut source, data, &mut |done| bar.show(done))?;
    Ok(format!("imported into {}, up to revision {revision}\n", data.display()))
}
