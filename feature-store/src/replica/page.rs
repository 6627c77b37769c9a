//! Pages of a log that end where a batch ends, so that a view shows each batch at once.

use crate::engine::{Engine, Entry, is_last_page};
use crate::error::StoreError;
use crate::store::limits::BATCH_MAX_EVENTS;

/// Entries of a log.
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// Whether the log ends here.
    pub(crate) is_last: bool,
}

impl Page {
    /// Reads entries from this revision on, at most `limit` and the rest of the last batch.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::NotUnderstood`].
    pub(crate) fn read(engine: &dyn Engine, from: u64, limit: usize) -> Result<Self, StoreError> {
        let mut entries = engine.read(from, limit)?;
        let mut is_last = is_last_page(&entries, limit);
        while let Some(last) = entries.last()
            && last.event()?.continues
            && !is_last
            && entries.len() < limit + BATCH_MAX_EVENTS
        {
            let rest = engine.read(last.position.revision + 1, limit)?;
            if rest.first().is_none_or(|first| !last.position.is_followed_by(first)) {
                // The log was taken back or cut off between two reads, which the next page shows.
                break;
            }
            is_last = is_last_page(&rest, limit);
            entries.extend(rest);
        }
        while let Some(last) = entries.last()
            && last.event()?.continues
        {
            entries.pop();
        }
        Ok(Self { entries, is_last })
    }
}
