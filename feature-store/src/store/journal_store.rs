//! The durable store: it writes the journal first and the projection second, holds the folder's lock, and keeps a
//! reserve of disk space.

mod checkpoints;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use feature_core::{Event, Record, Scope, Timestamp};
use uuid::Uuid;

use crate::background::Background;
use crate::error::{OpenError, StoreError};
use crate::event_log::erasures::PendingErasures;
use crate::event_log::term::Term;
use crate::event_log::{EventLog, Found, Order};
use crate::files::{self, DataFile};
use crate::format::identity::{self, Identity};
use crate::journal::{Journal, JournalEvents};
use crate::projection::Projection;
use crate::replica;
use crate::store::batch::Batch;
use crate::store::limits::{Keep, SIZES, Sizes};
use crate::store::selection::{Selected, Selection};
use crate::store::write_behind::WriteBehind;
use crate::store::{FeatureStore, StoreStatus};
use checkpoints::Checkpoints;

/// A store in a folder: a journal of events, which is the truth, and a projection of records for reads.
pub struct JournalStore {
    folder: PathBuf,
    store: Uuid,
    sizes: Sizes,
    /// The revision of the last visible event.
    revision: AtomicU64,
    /// The time of the last visible event in nanoseconds, see [`Timestamp`].
    newest_event: AtomicI64,
    /// Shows the records of the journal. It is a store, but not a durable one.
    projection: Box<dyn FeatureStore>,
    journal: Arc<SharedJournal>,
    /// Makes checkpoints of the journal, on a thread of its own.
    checkpoints: Option<Background>,
    /// Dropped last: it keeps other processes out.
    _lock: DataFile,
}

/// A journal for the writer, for readers of the history, and for the checkpoints.
struct SharedJournal {
    writer: Mutex<Journal>,
    /// Reads the journal. Only events that are visible are read.
    events: JournalEvents,
    /// See [`Journal::bytes`].
    bytes: AtomicU64,
    /// The first write of this store that failed. Failures of the projection are kept there.
    failed: OnceLock<StoreError>,
}

impl SharedJournal {
    fn new(journal: Journal, events: JournalEvents) -> Self {
        let bytes = AtomicU64::new(journal.bytes());
        Self { writer: Mutex::new(journal), events, bytes, failed: OnceLock::new() }
    }

    fn writer(&self) -> MutexGuard<'_, Journal> {
        self.writer.lock().expect("a panic in an append ends the committer, the only writer")
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes in what a writer has done, before it is visible. Returns whether there is a new segment.
    fn written(&self, journal: &Journal) -> bool {
        self.bytes.store(journal.bytes(), Ordering::Relaxed);
        self.events.set_segments(journal.segments())
    }

    /// Takes in that segments before this one are not kept any more, of so many bytes.
    fn forget(&self, first_kept: u64, bytes: u64) {
        let mut journal = self.writer();
        journal.forget(first_kept, bytes);
        self.written(&journal);
    }
}

impl JournalStore {
    /// Opens the store in `folder`, or creates one when the folder is missing or empty.
    ///
    /// Every frame of the journal after its newest base is checked, and every record of the projection. A torn end of
    /// the journal, which a crash leaves and no caller was told of, is cut off. Other users of the machine lose their
    /// rights on the folder.
    ///
    /// * `cache_bytes`: about so many bytes of records are kept in memory.
    /// * `keep`: how much of the history stays.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do. The journal is then as before.
    pub fn open(folder: &Path, cache_bytes: u64, keep: Keep) -> Result<Self, OpenError> {
        let mut store = Self::open_with(folder, Sizes { cache_bytes, keep, ..SIZES })?;
        let thread = store.checkpoints().start();
        store.checkpoints = Some(thread.map_err(|error| OpenError::Thread { reason: error.to_string() })?);
        Ok(store)
    }

    pub(crate) fn open_with(folder: &Path, sizes: Sizes) -> Result<Self, OpenError> {
        files::make_private(folder);
        Self::open_over(folder, sizes, Uuid::new_v4(), |journal| {
            let projection = Projection::open(&folder.join("projection"), journal, sizes.cache_bytes)?;
            let write_behind = WriteBehind::start(Box::new(projection));
            Ok(Box::new(write_behind.map_err(|error| OpenError::Projection { reason: error.to_string() })?))
        })
    }

    /// * `id`: the id of the store, when this call makes it.
    /// * `project`: opens a projection that shows the whole journal.
    pub(crate) fn open_over(
        folder: &Path,
        sizes: Sizes,
        id: Uuid,
        project: impl FnOnce(&Journal) -> Result<Box<dyn FeatureStore>, OpenError>,
    ) -> Result<Self, OpenError> {
        files::create_folder(folder)?;
        let lock = DataFile::open(&folder.join("lock"))?;
        if !lock.try_lock()? {
            return Err(OpenError::Locked { folder: folder.to_owned() });
        }
        let journal_folder = folder.join("journal");
        let identity = match identity::read(folder)? {
            Some(identity) => identity,
            None if folder.join(replica::STORE).is_file() => {
                return Err(OpenError::HoldsReplica { folder: folder.to_owned() });
            }
            None => create(folder, &journal_folder, Identity { store: id, oldest: 1 })?,
        };
        let store = identity.store;
        // The process that made the identity may have crashed before its name was durable.
        files::sync_folder(folder)?;
        let journal = Journal::open(&journal_folder, identity, sizes)?;
        let projection = project(&journal)?;
        let clean = journal.is_sealed();
        let erasures = PendingErasures::new(journal.erasures().to_vec());
        let segments = journal.segments().to_vec();
        let events = JournalEvents::new(journal_folder, folder.join("history"), store, segments, erasures);
        let (revision, cache_bytes) = (journal.revision(), sizes.cache_bytes);
        tracing::info!(folder = %folder.display(), revision, clean, cache_bytes, "the store is open");
        Ok(Self {
            folder: folder.to_owned(),
            store,
            sizes,
            revision: AtomicU64::new(journal.revision()),
            newest_event: AtomicI64::new(nanos(journal.newest_event())),
            projection,
            journal: Arc::new(SharedJournal::new(journal, events)),
            checkpoints: None,
            _lock: lock,
        })
    }

    fn check_reserve(&self) -> Result<(), StoreError> {
        let (free, reserve) = (files::free_bytes(&self.folder)?, self.sizes.reserve_bytes);
        if free < reserve {
            return Err(StoreError::DiskFull { path: self.folder.clone(), free, reserve });
        }
        Ok(())
    }

    /// Makes the events durable first, and then visible.
    fn write(&self, journal: &mut Journal, batch: &Batch) -> Result<(), StoreError> {
        journal.append(batch.events())?;
        let has_new_segment = self.journal.written(journal);
        let has_erasure = self.journal.events.erasures().add(batch.events());
        if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| has_new_segment || has_erasure) {
            checkpoints.wake();
        }
        self.projection.append(batch)?;
        self.newest_event.store(nanos(journal.newest_event()), Ordering::Relaxed);
        self.revision.store(batch.revision(), Ordering::Release);
        Ok(())
    }

    /// What there is to do on the journal behind the writers.
    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.folder, self.store, Arc::clone(&self.journal), self.sizes)
    }
}

/// Stands for no event.
const NEVER: Timestamp = Timestamp::from_unix_nanos(i64::MIN);

fn nanos(newest_event: Option<Timestamp>) -> i64 {
    newest_event.unwrap_or(NEVER).unix_nanos()
}

/// Makes a new store. The identity comes last, so a folder with an identity has had a journal.
fn create(folder: &Path, journal_folder: &Path, identity: Identity) -> Result<Identity, OpenError> {
    if Journal::holds_frames(journal_folder)? {
        return Err(OpenError::IdentityMissing { path: identity::path(folder) });
    }
    Journal::create(journal_folder, identity)?;
    identity::write(folder, identity)?;
    Ok(identity)
}

impl FeatureStore for JournalStore {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.projection.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.projection.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn status(&self) -> StoreStatus {
        let newest_event = Timestamp::from_unix_nanos(self.newest_event.load(Ordering::Relaxed));
        StoreStatus {
            revision: self.revision(),
            newest_event: Some(newest_event).filter(|time| *time != NEVER),
            journal_bytes: self.journal.bytes(),
            projection_lag: self.projection.status().projection_lag,
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        files::free_bytes(&self.folder).ok()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal.writer();
        if let Some(cause) = self.write_failure() {
            return Err(cause.refusing_writes());
        }
        batch.check_follows(self.revision())?;
        self.check_reserve().and_then(|()| self.write(&mut journal, batch)).inspect_err(|error| {
            if !error.is_refusal() {
                // The lock on the journal is held, so this is the first failure.
                let _ = self.journal.failed.set(error.clone());
            }
        })
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.journal.failed.get().cloned().or_else(|| self.projection.write_failure())
    }

    fn close(&self) -> Result<(), StoreError> {
        self.checkpoints.iter().for_each(Background::stop);
        let mut journal = self.journal.writer();
        if let Some(cause) = self.write_failure() {
            return Err(cause.refusing_writes());
        }
        journal.seal()?;
        self.projection.close()
    }
}

impl EventLog for JournalStore {
    fn store_id(&self) -> Uuid {
        self.store
    }

    fn oldest(&self) -> Result<u64, StoreError> {
        Ok(self.journal.events.oldest())
    }

    fn newest(&self) -> u64 {
        // Not the revision of the store, which follows a moment after the records.
        self.projection.revision()
    }

    fn events(&self, from: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.journal.events.events(from, limit, self.newest())
    }

    fn events_at(&self, revisions: &[u64]) -> Result<Vec<Event>, StoreError> {
        self.journal.events.events_at(revisions, self.newest())
    }

    fn find(&self, terms: &[Term], from: u64, order: Order) -> Result<Found, StoreError> {
        self.journal.events.find(terms, from, order, self.newest())
    }
}

impl fmt::Debug for JournalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}
