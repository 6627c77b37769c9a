//! The end of one segment, and the beginning of the next one.

use feature_core::Timestamp;

use super::Journal;
use super::segment::{start_of, start_segment};
use crate::files::FileError;

impl Journal {
    /// Whether the last segment takes no further group, the first event of which has this time.
    pub(super) fn is_full(&self, now: Option<Timestamp>) -> bool {
        let age = || Some(now?.unix_nanos().saturating_sub(self.segment_since?.unix_nanos()));
        self.end.offset >= self.segment_bytes || self.segment_age_nanos.is_some_and(|most| age() >= Some(most))
    }

    /// Completes the last segment, unless it has no event.
    ///
    /// # Errors
    /// [`FileError`], as for [`Journal::append`].
    pub(crate) fn complete_segment(&mut self) -> Result<(), FileError> {
        if self.revision >= self.end.segment && !self.continues {
            self.roll()?;
            self.mark.write(self.end)?;
        }
        Ok(())
    }

    pub(super) fn give_back_space(&mut self) -> Result<(), FileError> {
        self.file.truncate(self.end.offset)?;
        self.length = self.end.offset;
        self.file.sync_all()
    }

    fn roll(&mut self) -> Result<(), FileError> {
        self.give_back_space()?;
        let first = self.revision + 1;
        self.earlier_bytes += self.end.offset;
        self.file = start_segment(&self.folder, self.store, first)?;
        self.end = start_of(first);
        self.length = self.end.offset;
        self.segment_since = None;
        self.sealed = false;
        self.segments.push(first);
        Ok(())
    }
}
