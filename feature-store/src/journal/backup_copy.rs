//! Copying a journal while a server may append to it. Segments only grow, and the part that the mark calls durable
//! never changes again but for an erasure, so the copying needs no lock. When the server drops or rewrites a file
//! meanwhile, it begins again.

use std::io::ErrorKind;
use std::path::Path;

use feature_core::Erasure;

use super::base::{BaseReader, base_path, bases_in};
use super::erase::{erase_in_base, erase_in_segment};
use super::frame::{self, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::segment::{segment_path, segments_in};
use crate::error::OpenError;
use crate::files::{self, FileError, SharedLock};
use crate::format::identity::{self, Identity};
use crate::journal::recovery::{Depth, check_journal};

/// The most attempts to read a mark while the server is writing it.
const MARK_ATTEMPTS: usize = 1_000;

/// The most attempts to copy a journal from which a server drops files meanwhile.
const COPY_ATTEMPTS: usize = 100;

/// The durable part of a journal at one moment.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Segments, ascending, with the durable bytes of each.
    parts: Vec<(u64, u64)>,
    /// The bases that are followed by one of them, ascending, with their bytes.
    bases: Vec<(u64, u64)>,
    identity: Identity,
}

impl Extent {
    /// Finds the durable part of the journal in the data folder. Every write that was acknowledged before
    /// this call is in it.
    ///
    /// # Errors
    /// [`OpenError`] when the journal or its mark cannot be read.
    pub(crate) fn of(data: &Path) -> Result<Self, OpenError> {
        for _ in 0..COPY_ATTEMPTS {
            match Self::look(data) {
                // A file was dropped between two looks.
                Err(OpenError::Io(error)) if error.source.kind() == ErrorKind::NotFound => {}
                outcome => return outcome,
            }
        }
        Self::look(data)
    }

    fn look(data: &Path) -> Result<Self, OpenError> {
        let journal = data.join("journal");
        let identity = identity_of(data)?;
        let end = match files::share_lock(&data.join("lock"))? {
            // After a power cut the mark may be an old one, which proves too little, but the frames prove everything.
            // The lock is held for this look only: a server may start during the copying.
            SharedLock::Held { .. } | SharedLock::Absent => {
                let checked = check_journal(&journal, identity, Depth::AfterBase)?;
                Position { segment: checked.last, offset: checked.scan.end as u64 }
            }
            // A server writes its mark after the sync and before it answers.
            SharedLock::InUse => (0..MARK_ATTEMPTS)
                .find_map(|_| Mark::read(&journal, frame::seed(identity.store)).transpose())
                .ok_or_else(|| OpenError::Locked { folder: data.to_owned() })??,
        };
        Self::up_to(data, end)
    }

    fn up_to(data: &Path, end: Position) -> Result<Self, OpenError> {
        let journal = &data.join("journal");
        let mut bases = bases_in(journal)?;
        let mut parts = Vec::new();
        let segments = segments_in(journal)?;
        // Read last: what is older is being dropped, and what is missing was lost.
        let identity = identity_of(data)?;
        for segment in segments.into_iter().filter(|first| *first >= identity.oldest) {
            match segment {
                finished if finished < end.segment => {
                    parts.push((finished, files::length(&segment_path(journal, finished))?));
                }
                // A last segment without frames has no events, and may be half-made.
                last if last == end.segment
                    && (end.offset > SEGMENT_HEADER as u64 || last == 1 || bases.contains(&(last - 1))) =>
                {
                    parts.push((last, end.offset));
                }
                _ => {}
            }
        }
        bases.retain(|base| parts.iter().any(|(first, _)| *first == base + 1));
        let sized = |base: u64| Ok::<_, FileError>((base, files::length(&base_path(journal, base))?));
        let bases = bases.into_iter().map(sized).collect::<Result<_, _>>()?;
        Ok(Self { parts, bases, identity })
    }

    /// The store, and the oldest event that is in the copy.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Copies it from a data folder to a folder that does not exist yet, durably, with a mark of its own, and checks
    /// every frame of the copy. What is dropped meanwhile is left out. `progress` gets the number of bytes copied.
    /// Returns the last revision.
    ///
    /// # Errors
    /// [`OpenError`] when the copy cannot be written or is not what was once durable.
    pub(crate) fn copy(&mut self, data: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, OpenError> {
        for _ in 0..COPY_ATTEMPTS {
            match self.copy_once(&data.join("journal"), to, progress) {
                Err(error) => {
                    // The end is a later one now, and so has every write that it must have.
                    let now = Self::of(data)?;
                    if now.finished() == self.finished() && now.bases == self.bases {
                        return Err(error);
                    }
                    *self = now;
                }
                outcome => return outcome,
            }
        }
        Err(OpenError::Locked { folder: data.to_owned() })
    }

    fn copy_once(&self, from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, OpenError> {
        files::remove_folder(to)?;
        files::create_folder(to)?;
        let Identity { store, oldest } = self.identity;
        for &(base, bytes) in &self.bases {
            files::copy_start(&base_path(from, base), &base_path(to, base), bytes)?;
            match BaseReader::open(to, store, base).and_then(BaseReader::check) {
                // The events have all that it has.
                Err(OpenError::BaseDamaged { path, .. }) if base >= oldest => {
                    tracing::warn!(path = %path.display(), "a base is damaged, and the backup goes without it");
                    files::remove_file(&path)?;
                }
                outcome => drop(outcome?),
            }
        }
        let mut copied = 0;
        for &(segment, bytes) in &self.parts {
            files::copy_start(&segment_path(from, segment), &segment_path(to, segment), bytes)?;
            copied += bytes;
            progress(copied);
        }
        self.write_mark(to, self.parts.last().map(|(_, bytes)| *bytes))?;
        files::sync_folder(to)?;
        // The check against the mark refuses a copy that is too short, or ends in torn bytes.
        let checked = check_journal(to, self.identity, Depth::Whole)?;
        let pending = checked.pending_erasures();
        if pending.is_empty() {
            return Ok(checked.scan.revision);
        }
        self.erase(to, &pending)?;
        Ok(check_journal(to, self.identity, Depth::Whole)?.scan.revision)
    }

    /// What only changes when a server drops or rewrites something: the last segment, and the bytes of those before.
    fn finished(&self) -> (Option<u64>, &[(u64, u64)]) {
        let (last, earlier) = self.parts.split_last().unzip();
        (last.map(|(first, _)| *first), earlier.unwrap_or_default())
    }

    /// Takes out of the copy what the server has not taken out of its own files yet.
    fn erase(&self, to: &Path, erasures: &[Erasure]) -> Result<(), OpenError> {
        let Identity { store, .. } = self.identity;
        for &(first, _) in self.parts.iter().rev() {
            if let Some((rewritten, _)) = erase_in_segment(to, store, first, erasures)? {
                files::move_to(&rewritten, &segment_path(to, first))?;
            }
        }
        for base in bases_in(to)? {
            erase_in_base(to, store, base, erasures)?;
        }
        let last = self.parts.last().map(|(first, _)| files::length(&segment_path(to, *first))).transpose()?;
        Ok(self.write_mark(to, last)?)
    }

    /// `offset`: the end of the last segment.
    fn write_mark(&self, to: &Path, offset: Option<u64>) -> Result<(), FileError> {
        let (Some(&(segment, _)), Some(offset)) = (self.parts.last(), offset) else { return Ok(()) };
        let mark = Mark::open(to, frame::seed(self.identity.store))?;
        mark.write(Position { segment, offset })?;
        mark.sync()
    }
}

fn identity_of(data: &Path) -> Result<Identity, OpenError> {
    identity::read(data)?.ok_or_else(|| OpenError::NoStore { folder: data.to_owned() })
}
