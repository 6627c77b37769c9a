//! The check of a whole journal on the disk. It changes no file.

use std::path::{Path, PathBuf};

use feature_core::{Erasure, Timestamp};
use uuid::Uuid;

use super::base::{self, BaseReader, bases_in};
use super::events::event_at;
use super::frame::{self, SEGMENT_HEADER};
use super::mark::{Mark, Position};
use super::scan::{Scan, Tail, scan};
use super::segment::segment_path;
use super::{corrupt, not_understood, read_segment, segments_in, start_of};
use crate::error::OpenError;
use crate::files;
use crate::format::identity::Identity;

/// The path of a base, and where it is damaged.
pub(super) type DamagedBase = (PathBuf, u64);

/// How much of a journal is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Every frame after the newest base. So a start does not take longer with each event that was ever written.
    AfterBase,
    /// Every frame, and every base.
    Whole,
}

/// A journal that has everything that was once durable, and perhaps a torn end.
#[derive(Debug)]
pub(super) struct CheckedJournal {
    /// The revisions that name the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// The revisions of the bases that are intact, as far as they were checked, ascending.
    pub(super) bases: Vec<u64>,
    /// A base that is damaged.
    pub(super) damaged_base: Option<DamagedBase>,
    /// The last segment.
    pub(super) last: u64,
    /// The bytes of the last one; for a half-made one, the bytes of its header as they must be.
    pub(super) bytes: Vec<u8>,
    /// The content of the last one.
    pub(super) scan: Scan,
    /// Whether a crash interrupted the creation of the last segment, before any frame.
    pub(super) half_made: bool,
    /// The bytes of all segments up to the end of the last good frame.
    pub(super) total_bytes: u64,
    /// The erasures in the segments that were checked.
    pub(super) erasures: Vec<Erasure>,
    /// The time of the last event, if this version understands it or a base has it.
    pub(super) newest_event: Option<Timestamp>,
}

impl CheckedJournal {
    /// The erasures that no base has, so that they may not be carried out yet.
    pub(super) fn pending_erasures(&self) -> Vec<Erasure> {
        let newest = self.bases.last().copied().unwrap_or_default();
        self.erasures.iter().filter(|erasure| erasure.revision > newest).cloned().collect()
    }
}

/// Checks the frames of the journal in `folder`.
/// Segments before its oldest event are what a crash has left of dropped ones, and are passed over.
///
/// # Errors
/// [`OpenError`] when the journal is not what was once durable.
pub(super) fn check_journal(folder: &Path, identity: Identity, depth: Depth) -> Result<CheckedJournal, OpenError> {
    let Identity { store, oldest } = identity;
    let segments: Vec<_> = segments_in(folder)?.into_iter().filter(|first| *first >= oldest).collect();
    let Some(&last) = segments.last() else { return Err(OpenError::JournalMissing { path: folder.to_owned() }) };
    let proven = Mark::read(folder, frame::seed(store))?;
    if segments[0] > oldest {
        let reason = format!("the journal begins here, but the events from revision {oldest} on are missing");
        return Err(corrupt(folder, segments[0], 0, &reason));
    }
    let (bases, damaged_base) = bases_of(folder, identity, depth)?;
    let begin = beginning(folder, &segments, &bases, depth)?;
    let (mut revision, mut total_bytes, mut erasures) = (begin, 0, Vec::new());
    let mut newest_event = match begin {
        0 => None,
        base => base::ends_of(folder, store, base)?.map(|end| end.newest_event),
    };
    for &first in &segments[..segments.len() - 1] {
        if first <= begin {
            total_bytes += files::length(&segment_path(folder, first))?;
            continue;
        }
        let bytes = read_segment(folder, first)?;
        let scan = check_segment(folder, store, first, &bytes, revision)?;
        // A segment frees its space before the next one begins.
        if scan.end < bytes.len() {
            return Err(corrupt(folder, first, scan.end, "the bytes here fail their check, but a segment follows"));
        }
        revision = scan.revision;
        total_bytes += scan.end as u64;
        newest_event = time_of_last_event(&bytes, &scan, store).or(newest_event);
        erasures.extend(erasures_of(folder, store, first, &bytes, &scan)?);
    }

    let mut bytes = read_segment(folder, last)?;
    let half_made = last == revision + 1 && last != 1 && bytes.len() <= SEGMENT_HEADER && proven < Some(start_of(last));
    if half_made {
        bytes = frame::segment_header(store, last).to_vec();
    }
    let scan = check_segment(folder, store, last, &bytes, revision)?;
    total_bytes += scan.end as u64;
    newest_event = time_of_last_event(&bytes, &scan, store).or(newest_event);
    erasures.extend(erasures_of(folder, store, last, &bytes, &scan)?);
    let end = Position { segment: last, offset: scan.end as u64 };
    if let Some(proven) = proven
        && proven > end
    {
        let Position { segment, offset } = proven;
        let reason = format!("the journal ends here, but it was durable up to byte {offset} of segment {segment}");
        return Err(corrupt(folder, last, scan.end, &reason));
    }
    Ok(CheckedJournal {
        segments,
        bases,
        damaged_base,
        last,
        bytes,
        scan,
        half_made,
        total_bytes,
        erasures,
        newest_event,
    })
}

/// The intact bases, and a damaged one.
fn bases_of(folder: &Path, identity: Identity, depth: Depth) -> Result<(Vec<u64>, Option<DamagedBase>), OpenError> {
    let (mut intact, mut damaged) = (Vec::new(), None);
    let Identity { store, oldest } = identity;
    for revision in bases_in(folder)?.into_iter().filter(|revision| revision + 1 >= oldest) {
        let found = match depth {
            Depth::Whole => BaseReader::open(folder, store, revision).and_then(BaseReader::check).map(Some),
            Depth::AfterBase => base::ends_of(folder, store, revision).map_err(OpenError::from),
        };
        match found {
            Ok(Some(_)) => intact.push(revision),
            Ok(None) => damaged = Some((base::base_path(folder, revision), 0)),
            Err(OpenError::BaseDamaged { path, offset }) => damaged = Some((path, offset)),
            Err(error) => return Err(error),
        }
    }
    if let Some((path, _)) = &damaged {
        tracing::warn!(path = %path.display(), "a base is damaged, and is passed over");
    }
    Ok((intact, damaged))
}

/// The revision after which segments are checked. It is that of a base, or 0.
fn beginning(folder: &Path, segments: &[u64], bases: &[u64], depth: Depth) -> Result<u64, OpenError> {
    let (first, last) = (segments[0], segments[segments.len() - 1]);
    let newest = bases.last().copied().unwrap_or_default();
    if newest >= last {
        let reason = format!("this is the last segment, but a base has the events up to revision {newest}");
        return Err(corrupt(folder, last, 0, &reason));
    }
    let is_followed = |base: &&u64| segments.binary_search(&(**base + 1)).is_ok();
    let base = match depth {
        Depth::AfterBase => bases.iter().rev().find(is_followed),
        Depth::Whole => bases.iter().find(|base| **base + 1 == first),
    };
    match base {
        Some(base) => Ok(*base),
        None if first == 1 => Ok(0),
        None => Err(OpenError::BaseDamaged { path: base::base_path(folder, first - 1), offset: 0 }),
    }
}

fn time_of_last_event(bytes: &[u8], scan: &Scan, store: Uuid) -> Option<Timestamp> {
    event_at(bytes, scan.last_event?, frame::seed(store)).map(|event| event.time)
}

fn erasures_of(folder: &Path, store: Uuid, first: u64, bytes: &[u8], scan: &Scan) -> Result<Vec<Erasure>, OpenError> {
    let erasure = |offset: &usize| {
        let event = event_at(bytes, *offset, frame::seed(store));
        event.and_then(|event| Erasure::of(&event)).ok_or_else(|| not_understood(folder, first, *offset))
    };
    scan.erasures.iter().map(erasure).collect()
}

fn check_segment(folder: &Path, store: Uuid, first: u64, bytes: &[u8], revision: u64) -> Result<Scan, OpenError> {
    if first != revision + 1 {
        let reason = format!("the journal goes on here, but the events from revision {} on are missing", revision + 1);
        return Err(corrupt(folder, first, 0, &reason));
    }
    if !bytes.starts_with(&frame::segment_header(store, first)) {
        return Err(corrupt(folder, first, 0, "the header is damaged or the one of another store"));
    }
    let scan = scan(bytes, frame::seed(store), revision);
    match scan.tail {
        Tail::Corrupt(reason) => Err(corrupt(folder, first, scan.end, reason)),
        Tail::NotUnderstood => Err(not_understood(folder, first, scan.end)),
        Tail::Nothing | Tail::Torn => Ok(scan),
    }
}

/// Checks every frame of a store's journal, as a verification does.
#[cfg(test)]
pub(crate) fn check_whole(data: &Path) -> Result<(), OpenError> {
    let identity = crate::format::identity::read(data)?.expect("the store was made");
    check_journal(&data.join("journal"), identity, Depth::Whole).map(drop)
}
