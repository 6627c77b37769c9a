//! The check of a whole projection: every value by itself, and the sum of all checksums, which shows missing records.
//!
//! Two threads begin at the two ends and stop where they meet, so they share the work however the keys are distributed.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use sled::IVec;

use super::doubt;
use super::index::INDEX;
use super::stored::{PROGRESS_KEY, Progress, RECORD, open_value};
use crate::error::OpenError;

/// The entries that an end claims at once: so few that even large records take little memory.
const CLAIM: usize = 64;

/// The last keys that the two ends have claimed.
type Reached = Mutex<[Option<IVec>; 2]>;

/// Checks every record, and that none is missing.
pub(super) fn check(tree: &sled::Db, progress: &Progress) -> Result<(), OpenError> {
    let reached = Reached::default();
    let checksums = thread::scope(|scope| {
        let back = scope.spawn(|| sum(tree.iter().rev(), &reached, 1, |key, other| key > other));
        let forth = sum(tree.iter(), &reached, 0, |key, other| key < other);
        let back = back.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok::<_, OpenError>(forth?.wrapping_add(back?))
    })?;
    if checksums == progress.checksums { Ok(()) } else { Err(doubt("a record is missing or not the newest")) }
}

/// The sum of the checksums of the entries that this end claims before the other.
///
/// * `end`: its index in `reached`.
/// * `is_before`: whether this end meets the first key before the second.
fn sum(
    mut entries: impl Iterator<Item = sled::Result<(IVec, IVec)>>,
    reached: &Reached,
    end: usize,
    is_before: fn(&IVec, &IVec) -> bool,
) -> Result<u64, OpenError> {
    let mut checksums = 0_u64;
    loop {
        let ahead = entries.by_ref().take(CLAIM).collect::<Result<Vec<_>, _>>().map_err(doubt)?;
        let claimed = {
            // An array is written as a whole.
            let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
            let other = reached[1 - end].as_ref();
            let claimed = ahead.partition_point(|(key, _)| other.is_none_or(|other| is_before(key, other)));
            if let Some((last, _)) = ahead[..claimed].last() {
                reached[end] = Some(last.clone());
            }
            claimed
        };
        for (key, value) in &ahead[..claimed] {
            checksums = checksums.wrapping_add(check_entry(key, value)?.into());
        }
        if claimed < CLAIM {
            return Ok(checksums);
        }
    }
}

/// The checksum that an entry adds to the sum.
fn check_entry(key: &IVec, value: &IVec) -> Result<u32, OpenError> {
    match key[..] {
        [RECORD | INDEX, ..] => {
            open_value(key, value).map(|(checksum, _)| checksum).ok_or_else(|| doubt("a record fails its check"))
        }
        _ if *key == *PROGRESS_KEY => Ok(0),
        _ => Err(doubt("it holds an unknown key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::open_tree;
    use crate::projection::stored::{FORMAT, seal_value};
    use crate::store::limits::SMALL_CACHE_BYTES;

    /// So many records, and the progress that belongs to them.
    fn records(tree: &sled::Db, count: usize) -> Progress {
        let mut progress = Progress::default();
        for index in 0..count {
            let (checksum, value) = seal_value(&key(index), b"body");
            tree.insert(key(index), value).unwrap();
            progress.checksums = progress.checksums.wrapping_add(checksum.into());
        }
        progress
    }

    fn key(index: usize) -> Vec<u8> {
        format!("r{index:06}").into_bytes()
    }

    #[test]
    fn every_record_counts_once_wherever_the_two_ends_meet() {
        for count in [0, 1, 2, CLAIM - 1, CLAIM, CLAIM + 1, 2 * CLAIM, 5 * CLAIM + 3] {
            let folder = tempfile::tempdir().unwrap();
            let tree = open_tree(folder.path(), SMALL_CACHE_BYTES).unwrap();
            let progress = records(&tree, count);
            tree.insert(PROGRESS_KEY, "").unwrap();
            for _ in 0..20 {
                check(&tree, &progress).unwrap();
            }
        }
    }

    #[test]
    fn whatever_is_wrong_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let tree = open_tree(folder.path(), SMALL_CACHE_BYTES).unwrap();
        let count = 3 * CLAIM;
        let progress = records(&tree, count);
        let reason = || check(&tree, &progress).unwrap_err().to_string();
        for place in [0, 1, CLAIM, count / 2, 2 * CLAIM - 1, count - 1] {
            let whole = tree.remove(key(place)).unwrap().unwrap();
            assert!(reason().contains("a record is missing"), "{place}");
            tree.insert(key(place), &[FORMAT; 6]).unwrap();
            assert!(reason().contains("a record fails its check"), "{place}");
            tree.insert(key(place), whole).unwrap();
            let unknown = [b"y", &*key(place)].concat();
            tree.insert(&*unknown, "").unwrap();
            assert!(reason().contains("an unknown key"), "{place}");
            tree.remove(unknown).unwrap();
        }
        check(&tree, &progress).unwrap();
    }
}
