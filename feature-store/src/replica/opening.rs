//! Opens a replica: its view is a projection in a folder, which continues where it was, or is made anew from the log.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::Replica;
use crate::engine::{BaseRecord, Chain, Engine, EngineError, Head, Position};
use crate::error::OpenError;
use crate::files::{self, DataFile};
use crate::format::identity;
use crate::projection::Projection;
use crate::projection::source::{EventSource, Take};
use crate::store::versioned::Versioned;
use crate::store::write_behind::WriteBehind;

/// The folder of the projection in the data folder. An embedded store has another one, so the two never mix.
const FOLDER: &str = "replica";

/// The most records of a base that are read at once.
const PAGE: usize = 10_000;

/// A replica, and its view for readers.
pub struct OpenReplica {
    /// Takes the writes.
    pub replica: Arc<Replica>,
    /// Shows the records, with versions.
    pub view: Arc<Versioned>,
    /// Dropped last: it keeps other processes out of the folder.
    _lock: DataFile,
}

impl OpenReplica {
    /// Opens the view in `folder`, which is made when it is missing, and brings it to the end of the log. About
    /// `cache_bytes` of records are kept in memory.
    ///
    /// A view of another history, or one in doubt, is set aside and made anew.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(folder: &Path, engine: Arc<dyn Engine>, cache_bytes: u64) -> Result<Self, OpenError> {
        files::make_private(folder);
        files::create_folder(folder)?;
        let lock = DataFile::open(&folder.join("lock"))?;
        if !lock.try_lock()? {
            return Err(OpenError::Locked { folder: folder.to_owned() });
        }
        if identity::read(folder)?.is_some() {
            return Err(OpenError::HoldsStore { folder: folder.to_owned() });
        }
        let log = Log { head: engine.head()?, engine: Arc::clone(&engine) };
        let projection = Projection::open(&folder.join(FOLDER), &log, cache_bytes)?;
        let position = projection.position().unwrap_or_else(|| Position::start(log.head.store));
        let write_behind = WriteBehind::start(Box::new(projection));
        let write_behind = write_behind.map_err(|error| OpenError::Projection { reason: error.to_string() })?;
        let view = Versioned::new(Arc::new(write_behind));
        let replica = Arc::new(Replica::new(engine, Arc::clone(&view) as _, position));
        let (revision, store) = (position.revision, log.head.store);
        tracing::info!(folder = %folder.display(), %store, revision, cache_bytes, "the replica is open");
        Ok(Self { replica, view, _lock: lock })
    }
}

/// The log up to the end that it had at the start.
struct Log {
    engine: Arc<dyn Engine>,
    head: Head,
}

impl EventSource for Log {
    fn store(&self) -> Uuid {
        self.head.store
    }

    fn revision(&self) -> u64 {
        self.head.end.revision
    }

    fn check_continues(&self, revision: u64, chain: Option<Chain>) -> Result<(), OpenError> {
        let applied = match chain {
            Some(chain) => Position { revision, chain },
            None if revision == 0 => return Ok(()),
            None => return Err(doubt("it has no chain")),
        };
        if applied == self.head.end {
            return Ok(());
        }
        let next = self.engine.read(revision, 2)?;
        let continues = match next.first() {
            Some(first) if first.position.revision == revision => first.position == applied,
            Some(first) => applied.is_followed_by(first),
            None => false,
        };
        if continues { Ok(()) } else { Err(doubt("it shows another history than the database has now")) }
    }

    fn base(&self, take: &mut dyn FnMut(BaseRecord) -> Result<(), OpenError>) -> Result<u64, OpenError> {
        let mut after = Vec::new();
        loop {
            let page = self.engine.base(&after, PAGE)?;
            let Some(last) = page.last() else { return Ok(self.head.folded) };
            after.clone_from(&last.key);
            page.into_iter().try_for_each(&mut *take)?;
        }
    }

    fn replay(&self, after: u64, part: usize, take: Take<'_>) -> Result<(), OpenError> {
        let mut end = (after == 0).then(|| Position::start(self.head.store));
        let mut next = after.max(1);
        while next <= self.head.end.revision {
            let entries = self.engine.read(next, part)?;
            let mut events = Vec::with_capacity(entries.len());
            for entry in &entries {
                let revision = entry.position.revision;
                // The entry at `after` may have been dropped. The one after it is checked by those that follow.
                if revision != next && (end.is_some() || revision != after + 1) {
                    return Err(doubt("events were dropped while it was made"));
                }
                if end.is_some_and(|end| !end.is_followed_by(entry)) {
                    return Err(OpenError::LogBroken { revision });
                }
                next = revision + 1;
                end = Some(entry.position);
                if revision > after {
                    events.push(entry.event()?);
                }
            }
            if entries.is_empty() {
                if after < self.head.end.revision {
                    return Err(doubt("events were dropped while it was made"));
                }
                // The base has everything, and no entry is kept.
                next += 1;
            }
            take(events, Some(end.unwrap_or(self.head.end).chain))?;
        }
        Ok(())
    }
}

fn doubt(reason: &str) -> OpenError {
    OpenError::Projection { reason: reason.to_owned() }
}

impl From<EngineError> for OpenError {
    fn from(error: EngineError) -> Self {
        Self::Database { reason: error.reason }
    }
}
