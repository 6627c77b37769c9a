//! Opens a replica: its view is a projection in a folder, which continues where it was, or is made anew from the log.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Replica;
use super::feed::Feed;
use super::freshness::Heartbeat;
use super::housekeeping::Housekeeping;
use crate::engine::{BaseRecord, Beat, Chain, Engine, EngineError, Head, Position};
use crate::error::{OpenError, StoreError};
use crate::files::{self, DataFile};
use crate::format::identity;
use crate::projection::Projection;
use crate::projection::source::{EventSource, Take};
use crate::store::versioned::Versioned;
use crate::store::write_behind::WriteBehind;

/// The folder of the projection in the data folder. An embedded store has another one, so the two never mix.
const FOLDER: &str = "replica";

/// The file with the id of the store that the projection is of.
pub(crate) const STORE: &str = "replica-of";

/// The most records of a base that are read at once.
const PAGE: usize = 10_000;

/// A replica, and its view for readers. Its threads end when it is dropped.
pub struct OpenReplica {
    threads: Option<(Feed, Heartbeat, Housekeeping)>,
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
        let id = Uuid::new_v4();
        let log = Log::open(id, Arc::clone(&engine))?;
        let store = log.store;
        check_store(folder, store)?;
        let projection = Projection::open(&folder.join(FOLDER), &log, cache_bytes)?;
        let position = projection.position().unwrap_or_else(|| Position::start(store));
        let write_behind = WriteBehind::start(Box::new(projection));
        let write_behind = write_behind.map_err(|error| OpenError::Projection { reason: error.to_string() })?;
        let view = Versioned::new(Arc::new(write_behind));
        let newest = engine.read(position.revision, 1)?.into_iter().find(|entry| entry.position == position);
        let replica = Arc::new(Replica::new((id, store), engine, Arc::clone(&view) as _, position));
        replica.recent().newest_event = newest.map(|entry| entry.event()).transpose()?.map(|event| event.time);
        replica.learn_erasures()?;
        let revision = position.revision;
        tracing::info!(folder = %folder.display(), %store, revision, cache_bytes, "the replica is open");
        Ok(Self { threads: None, replica, view, _lock: lock })
    }

    /// Starts the threads that follow the log, prove how fresh the view is, and keep the log in order.
    ///
    /// * `keep`: events that are older, and in the base, are dropped; without it all stay.
    /// * `failed`: called once when the replica cannot go on; with [`StoreError::CannotFollow`] its view has to be made
    ///   anew.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(
        &mut self,
        keep: Option<Duration>,
        failed: impl FnOnce(StoreError) + Send + 'static,
    ) -> io::Result<()> {
        let replica = || Arc::clone(&self.replica);
        let threads =
            (Feed::start(replica(), failed)?, Heartbeat::start(replica())?, Housekeeping::start(replica(), keep)?);
        self.threads = Some(threads);
        Ok(())
    }

    /// Stops the threads, and returns what waits for their ends when it is dropped. The view stays as it is.
    pub fn stop(&mut self) -> impl Send + 'static {
        let threads = self.threads.take();
        if let Some((feed, heartbeat, housekeeping)) = &threads {
            feed.stop();
            heartbeat.stop();
            housekeeping.stop();
        }
        threads
    }
}

/// The id of the store whose view is in a data folder, if there is one.
///
/// # Errors
/// [`OpenError`] when it cannot be read.
pub fn store_of_replica(folder: &Path) -> Result<Option<Uuid>, OpenError> {
    let path = folder.join(STORE);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let id = str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    id.map(Some).ok_or(OpenError::DamagedIdentity { path })
}

/// Checks that a data folder has the view of this store, and notes it in a new one: the wrong database, or an empty one
/// in place of a lost one, would else be served as if all settings were gone.
fn check_store(folder: &Path, store: Uuid) -> Result<(), OpenError> {
    match store_of_replica(folder)? {
        Some(known) if known != store => Err(OpenError::OtherStore { path: folder.join(STORE), known, store }),
        Some(_) => Ok(()),
        None => {
            files::replace(&folder.join(STORE), format!("{store}\n").as_bytes())?;
            Ok(files::sync_folder(folder)?)
        }
    }
}

/// The log, for the opening of a projection.
pub(crate) struct Log {
    /// Tells the replicas of a log apart.
    id: Uuid,
    store: Uuid,
    engine: Arc<dyn Engine>,
    known: Mutex<Known>,
}

/// What is known of the log.
#[derive(Clone, Copy)]
struct Known {
    /// The log is read up to its end, at least.
    head: Head,
    /// The end of the log as of a write.
    proven: Position,
    /// The position of the projection, which the log has.
    checked: Position,
}

impl Log {
    pub(crate) fn open(id: Uuid, engine: Arc<dyn Engine>) -> Result<Self, EngineError> {
        let head = engine.head()?;
        let known = Known { head, proven: head.end, checked: Position::start(head.store) };
        Ok(Self { id, store: head.store, engine, known: Mutex::new(known) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Its fields are replaced as a whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSource for Log {
    fn store(&self) -> Uuid {
        self.store
    }

    fn revision(&self) -> u64 {
        self.known().head.end.revision
    }

    /// A write proves that this is the log: a database that was replaced by another one would make every replica that
    /// starts set its projection aside.
    fn check_continues(&self, revision: u64, chain: Option<Chain>) -> Result<(), OpenError> {
        let applied = match chain {
            Some(chain) => Position { revision, chain },
            None if revision == 0 => Position::start(self.store),
            None => return Err(doubt("it has no chain")),
        };
        let Beat { head, has_position, .. } = self.engine.beat(self.id, applied)?;
        if head.store != self.store {
            return Err(OpenError::Database { reason: "it was replaced by another one: start again".to_owned() });
        }
        if !has_position {
            return Err(doubt("it shows another history than the database has now, or one of too long ago"));
        }
        *self.known() = Known { head, proven: head.end, checked: applied };
        Ok(())
    }

    fn base_revision(&self) -> Result<u64, OpenError> {
        Ok(self.known().head.folded)
    }

    fn base(&self, take: &mut dyn FnMut(BaseRecord) -> Result<(), OpenError>) -> Result<(), OpenError> {
        let mut after = Vec::new();
        loop {
            let page = self.engine.base(&after, PAGE)?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            page.into_iter().try_for_each(&mut *take)?;
        }
        // Records may have events up to this moment.
        let head = self.engine.head()?;
        let mut known = self.known();
        if head.end.revision < known.proven.revision {
            return Err(doubt("reads lead to another database than writes"));
        }
        known.head = head;
        Ok(())
    }

    fn replay(&self, after: u64, part: usize, take: Take<'_>) -> Result<(), OpenError> {
        let Known { head, proven, checked } = *self.known();
        // Of a base that has everything, only the end is known; of another one, nothing.
        let mut before = [checked, head.end].into_iter().find(|position| position.revision == after);
        let mut next = after + 1;
        if next > head.end.revision {
            return take(Vec::new(), before.map(|position| position.chain));
        }
        while next <= head.end.revision {
            let entries = self.engine.read(next, part)?;
            if entries.first().is_none_or(|first| first.position.revision != next) {
                return Err(doubt("events were dropped while it was made"));
            }
            let mut events = Vec::with_capacity(entries.len());
            // What was added since may end within a batch here.
            for entry in entries.into_iter().take_while(|entry| entry.position.revision <= head.end.revision) {
                let revision = entry.position.revision;
                if before.is_some_and(|before| !before.is_followed_by(&entry)) {
                    return Err(StoreError::LogBroken { revision }.into());
                }
                if [proven, head.end].iter().any(|end| end.revision == revision && *end != entry.position) {
                    return Err(doubt("the history was taken back while it was made"));
                }
                events.push(entry.event()?);
                before = Some(entry.position);
                next = revision + 1;
            }
            take(events, before.map(|position| position.chain))?;
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
