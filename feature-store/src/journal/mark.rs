//! The durable mark: a small file that says how far the journal is durable.
//!
//! A frame proves this only for the frames before it. The mark proves it for the last group too, so that a journal that
//! was cut short differs from one that ends in a crash. It is written after every sync of the journal, and synced
//! itself only at a clean end: an old mark proves less, but nothing wrong.

use std::path::{Path, PathBuf};

use super::frame::{u32_at, u64_at};
use crate::files::{self, DataFile, FileError};

/// An offset in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The revision that names the segment.
    pub(super) segment: u64,
    /// The offset in it, in bytes.
    pub(super) offset: u64,
}

#[derive(Debug)]
pub(super) struct Mark {
    file: DataFile,
    seed: u32,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("durable")
}

impl Mark {
    pub(super) fn open(folder: &Path, seed: u32) -> Result<Self, FileError> {
        Ok(Self { file: DataFile::open(&path(folder))?, seed })
    }

    /// The position in the mark; `None` when the mark is missing or its check fails, both of which a crash may cause.
    pub(super) fn read(folder: &Path, seed: u32) -> Result<Option<Position>, FileError> {
        let bytes = files::read(&path(folder))?.unwrap_or_default();
        let position = || {
            let intact = crc32c::crc32c_append(seed, bytes.get(4..20)?) == u32_at(&bytes, 0)?;
            intact.then_some(Position { segment: u64_at(&bytes, 4)?, offset: u64_at(&bytes, 12)? })
        };
        Ok(position())
    }

    pub(super) fn write(&self, position: Position) -> Result<(), FileError> {
        let mut bytes = [0; 20];
        bytes[4..12].copy_from_slice(&position.segment.to_le_bytes());
        bytes[12..].copy_from_slice(&position.offset.to_le_bytes());
        let checksum = crc32c::crc32c_append(self.seed, &bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_at(&bytes, 0)
    }

    pub(super) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all()
    }
}
