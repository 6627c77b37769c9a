//! The lines of the input: one at a time, counted, bounded in length, and with the checksum that the last line must
//! have.

use std::io::{BufRead, Read};

use super::ImportError;
use crate::error::LineError;
use crate::format::export_format::{End, LINE_MAX_BYTES};

/// An export as it is read.
pub(super) struct Input<'a> {
    source: &'a mut dyn BufRead,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    /// The checksum of all lines before the newest one.
    checksum: u32,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: &'a mut dyn BufRead) -> Self {
        Self { source, line: Vec::new(), number: 0, bytes: 0, checksum: 0 }
    }

    /// The number of bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line, without its end. A missing line is an error.
    pub(super) fn line(&mut self) -> Result<&[u8], ImportError> {
        self.next()?;
        match self.line.split_last() {
            Some((b'\n', line)) => Ok(line),
            None => Err(self.wrong(LineError::new("", "is missing: the input was cut off"))),
            Some(_) if self.line.len() > LINE_MAX_BYTES => {
                Err(self.wrong(LineError::new("", &format!("is longer than {LINE_MAX_BYTES} bytes"))))
            }
            Some(_) => Err(self.wrong(LineError::new("", "ends early: the input was cut off"))),
        }
    }

    /// Checks the last line, and that nothing follows. `events`: the number of events before it.
    pub(super) fn end(&mut self, events: u64) -> Result<(), ImportError> {
        let end = End::read(self.line()?).map_err(|error| self.wrong(error))?;
        if end.events != events {
            return Err(self.wrong(LineError::new("events", &format!("is {}, but there are {events}", end.events))));
        }
        if end != End::new(events, self.checksum) {
            return Err(self.wrong(LineError::new("crc32c", "does not fit the lines before: one of them was changed")));
        }
        self.next()?;
        if self.line.is_empty() { Ok(()) } else { Err(self.wrong(LineError::new("", "follows the end"))) }
    }

    /// The error that the newest line is wrong.
    pub(super) fn wrong(&self, error: LineError) -> ImportError {
        ImportError::Line { number: self.number, error }
    }

    fn next(&mut self) -> Result<(), ImportError> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.line);
        self.line.clear();
        self.number += 1;
        let mut bounded = (&mut *self.source).take(LINE_MAX_BYTES as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.line);
        self.bytes += read.map_err(|reason| ImportError::Read { number: self.number, reason })? as u64;
        Ok(())
    }
}
