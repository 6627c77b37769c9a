//! Reads the frames of a file one after another, with little of it in memory.

use std::path::{Path, PathBuf};

use super::frame::Frame;
use crate::files::{self, FileError};

/// So many bytes of a file are read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// The frames of a file from some offset on.
#[derive(Debug)]
pub(super) struct Frames {
    path: PathBuf,
    seed: u32,
    /// A piece of the file, and its offset.
    window: Vec<u8>,
    start: u64,
    /// Where in the window the next frame begins.
    at: usize,
}

impl Frames {
    /// * `seed`: of the store, see [`super::frame::seed`].
    /// * `offset`: where a frame begins.
    pub(super) fn new(path: PathBuf, seed: u32, offset: u64) -> Self {
        Self { path, seed, window: Vec::new(), start: offset, at: 0 }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The offset of the next frame.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The next frame, with its offset; `None` when no intact one begins there.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Frame<'_>)>, FileError> {
        self.fill()?;
        let offset = self.offset();
        let Some(frame) = Frame::read(&self.window, self.at, self.seed) else { return Ok(None) };
        self.at += frame.size();
        Ok(Some((offset, frame)))
    }

    /// Makes sure that the next frame is in the window, if the file has it.
    fn fill(&mut self) -> Result<(), FileError> {
        let size = Frame::size_at(&self.window, self.at);
        if size.is_some_and(|size| self.at + size <= self.window.len()) {
            return Ok(());
        }
        self.start += self.at as u64;
        self.at = 0;
        self.window = files::read_range(&self.path, self.start, WINDOW_BYTES)?;
        match Frame::size_at(&self.window, 0) {
            // A large frame. Its length was not checked, so no more is asked for than the file has.
            Some(size) if size > self.window.len() && self.window.len() == WINDOW_BYTES => {
                let left = files::length(&self.path)?.saturating_sub(self.start);
                self.window = files::read_range(&self.path, self.start, left.min(size as u64) as usize)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
