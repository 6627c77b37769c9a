//! Carries out erasures behind the writers. The base at the end of an erasure's segment shows that it is done, so a
//! crash before only means that it is done again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use feature_core::Erasure;

use super::{CheckpointError, Checkpoints};
use crate::error::{OpenError, StoreError};
use crate::event_log::Order;
use crate::event_log::erasures::concerned;
use crate::files;
use crate::journal::{bases_in, erase_in_base, erase_in_segment, segment_path};

/// Erasures complete a segment at most so often: each segment takes a base, whose size is that of all records.
const COLLECTING: Duration = Duration::from_secs(600);

impl Checkpoints {
    /// Completes the last segment if it has an erasure: only complete segments are rewritten. All erasures of that time
    /// are carried out at once.
    pub(super) fn complete_erasures(&self) -> Result<(), CheckpointError> {
        let mut journal = self.journal.writer();
        let last = journal.segments().last().copied().unwrap_or_default();
        let has_erasure = self.journal.events.erasures().all().iter().any(|erasure| erasure.revision >= last);
        if !has_erasure || self.completed.get().is_some_and(|completed| completed.elapsed() < COLLECTING) {
            return Ok(());
        }
        if files::free_bytes(&self.folder)? < self.sizes.reserve_bytes {
            return Err(CheckpointError::NoSpace { bytes: 0 });
        }
        if let Err(error) = journal.complete_segment() {
            // What is in the file is unknown.
            let _ = self.journal.failed.set(error.clone().into());
            return Err(OpenError::from(error).into());
        }
        self.journal.written(&journal);
        self.completed.set(Some(Instant::now()));
        Ok(())
    }

    /// Carries out the erasures before the segment `next`, before the base at its beginning is made. Returns `false`
    /// when it was stopped.
    ///
    /// The newest segments come first, and the bases last: until it is done, an event may be blank although an older
    /// event or base has what it took out, and never the other way round.
    pub(super) fn erase(
        &self,
        next: u64,
        reserve_bytes: u64,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, CheckpointError> {
        let all = self.journal.events.erasures().all();
        let erasures: Vec<_> = all.iter().filter(|erasure| erasure.revision < next).cloned().collect();
        if erasures.is_empty() {
            return Ok(true);
        }
        let Some(segments) = self.concerned(&erasures, go_on)? else { return Ok(false) };
        for first in segments.into_iter().rev() {
            let bytes = files::length(&segment_path(&self.folder, first))?;
            if files::free_bytes(&self.folder)? < reserve_bytes.saturating_add(bytes) {
                return Err(CheckpointError::NoSpace { bytes });
            }
            if !go_on() {
                return Ok(false);
            }
            if let Some((rewritten, saved)) = erase_in_segment(&self.folder, self.store, first, &erasures)? {
                self.journal.events.replace_segment(first, &rewritten)?;
                self.journal.forget(self.journal.events.oldest(), saved);
            }
        }
        for base in bases_in(&self.folder)?.into_iter().filter(|base| base + 1 >= self.journal.events.oldest()) {
            if !go_on() {
                return Ok(false);
            }
            erase_in_base(&self.folder, self.store, base, &erasures)?;
        }
        let (users, revision) = (erasures.len(), erasures.last().map(|last| last.revision));
        tracing::info!(users, revision, "what was known of users was erased");
        Ok(true)
    }

    /// The segments with events that an erasure concerns, ascending; `None` when it was stopped.
    fn concerned(&self, erasures: &[Erasure], go_on: &dyn Fn() -> bool) -> Result<Option<BTreeSet<u64>>, StoreError> {
        let (events, segments) = (&self.journal.events, self.journal.events.segments());
        let first_of = |revision: u64| segments[segments.partition_point(|first| *first <= revision).max(1) - 1];
        let newest = erasures.last().map_or(0, |last| last.revision);
        let find = |terms: &[_], at| events.find(terms, at, Order::NewestFirst, newest);
        let revisions = concerned(erasures, segments[0], first_of, find, go_on)?;
        Ok(revisions.map(|revisions| revisions.into_iter().map(first_of).collect()))
    }
}
