//! Export: the whole history of a store as lines of JSON, in the [form of an export](crate::format::export_format).

use std::io::{self, Write};

use crate::error::OpenError;
use crate::format::export_format::{End, Header, write_event, write_line};
use crate::journal::History;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history could not be read.
    #[error(transparent)]
    History(#[from] OpenError),
    /// The lines could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes all lines to `output`: the same bytes for the same history, whenever and wherever it is exported.
///
/// `progress` gets the number of events written.
///
/// # Errors
/// [`ExportError`]; then the last line is missing, and an import refuses the lines.
pub fn export(history: &History, output: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), ExportError> {
    let mut buffer = Vec::new();
    let mut checksum = 0;
    write_line(&Header::new(history.store(), history.revision()), &mut buffer);
    history.for_each(|event, _| {
        write_event(event, &mut buffer);
        checksum = crc32c::crc32c_append(checksum, &buffer);
        output.write_all(&buffer)?;
        buffer.clear();
        progress(event.revision);
        Ok::<_, ExportError>(())
    })?;
    // Without events the header is still in the buffer.
    checksum = crc32c::crc32c_append(checksum, &buffer);
    write_line(&End::new(history.revision(), checksum), &mut buffer);
    output.write_all(&buffer)?;
    Ok(output.flush()?)
}
