//! The projection: the newest record of every scope, in sled. The history, in a journal or in a shared log, is the
//! truth, so a projection in doubt is set aside and built anew.

mod builder;
mod check;
mod comparison;
mod guarded_open;
mod index;
mod select;
pub(crate) mod source;
mod stored;
#[cfg(test)]
mod tests;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use feature_core::{Event, Record, Scope};
use prost::Message;

use crate::engine::{Chain, Position};
use crate::error::{OpenError, StoreError};
use crate::files;
use crate::format::encoding::{decode_record, encode_record};
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use crate::store::selection::{Selected, Selection};
use check::check;
use guarded_open::{catching_panics, with_timeout};
use index::IndexChanges;
use source::EventSource;
#[cfg(test)]
use stored::{CONTENT, FORMAT, VALUE_HEADER};
use stored::{PROGRESS_KEY, Progress, RECORD, open_value, read_progress, record_key, seal_value};

pub(crate) use builder::{Builder, FOLD_BYTES};
pub(crate) use comparison::ProjectionCopy;

/// sled writes in the background this often. What a crash takes from it comes back from the journal.
const FLUSH_MILLISECONDS: u64 = 2_000;

/// The longest wait for the lock of sled's files.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The most events of one batch while catching up, so that memory stays bounded.
const CATCH_UP_EVENTS: usize = 4_096;

/// The projection: a store that is fast to read, but not durable.
#[derive(Debug)]
pub(crate) struct Projection {
    folder: PathBuf,
    tree: sled::Db,
    progress: Mutex<Progress>,
    /// Keeps a batch out of a read of several blocks of the index.
    indexing: RwLock<()>,
}

impl Projection {
    /// Opens the projection in `folder` and applies the rest of the history. A projection in doubt is set aside, in
    /// place of an earlier one, and built anew. sled keeps about `cache_bytes` of it in memory.
    ///
    /// # Errors
    /// [`OpenError`] when the history cannot be read, lacks events that the projection has, or when no new projection
    /// can be built; [`OpenError::ProjectionHangs`] when sled does not open it in time.
    pub(crate) fn open(folder: &Path, source: &dyn EventSource, cache_bytes: u64) -> Result<Self, OpenError> {
        Self::open_with_timeout(guarded_open::timeout_of(folder), folder, source, cache_bytes)
    }

    /// As [`Projection::open`]. `timeout`: the longest time that sled may take to open it.
    pub(crate) fn open_with_timeout(
        timeout: Duration,
        folder: &Path,
        source: &dyn EventSource,
        cache_bytes: u64,
    ) -> Result<Self, OpenError> {
        let open = || catching_panics(|| Self::catch_up(timeout, folder, source, cache_bytes));
        let aside = folder.with_added_extension("set-aside");
        match open() {
            Err(OpenError::Projection { reason }) => {
                let aside_path = aside.display();
                tracing::warn!(reason, aside = %aside_path, "the projection is set aside and built anew");
                files::set_aside(folder, &aside)?;
                open()
            }
            // The hanging thread may continue at any time and write into a new folder of that name, since sled finds
            // some of its files by their paths. So only another process can build a new projection.
            Err(hangs @ OpenError::ProjectionHangs { .. }) => {
                files::set_aside(folder, &aside)?;
                Err(hangs)
            }
            outcome => outcome,
        }
    }

    fn catch_up(
        timeout: Duration,
        folder: &Path,
        source: &dyn EventSource,
        cache_bytes: u64,
    ) -> Result<Self, OpenError> {
        let (store, to, path) = (source.store(), source.revision(), folder.to_owned());
        let (tree, progress) = with_timeout(timeout, folder, move || {
            let tree = open_tree(&path, cache_bytes)?;
            let progress = read_progress(&tree, store)?;
            let has_records = || tree.scan_prefix([RECORD]).next().is_some();
            if progress.revision == 0 && has_records() {
                tracing::info!("a start was interrupted while it built the projection: the building begins again");
                tree.clear().map_err(doubt)?;
            } else if progress.revision <= to {
                check(&tree, &progress)?;
            }
            Ok((tree, progress))
        })?;
        let from = progress.revision;
        // Only durable events are ever applied.
        source.check_continues(from, Chain::from_bytes(&progress.chain))?;
        if from < to {
            tracing::info!(from, to, "the projection catches up with the history");
        }
        let projection =
            Self { folder: folder.to_owned(), tree, progress: Mutex::new(progress), indexing: RwLock::default() };
        if from == 0 {
            projection.build(source)?;
        } else {
            source.replay(from, CATCH_UP_EVENTS, &mut |events, chain| {
                let batch = Batch::fold(&projection, events).map_err(doubt)?;
                projection.append(&batch.with_chain(chain)).map_err(doubt)
            })?;
        }
        Ok(projection)
    }

    /// The last event applied, with its chain; `None` for a store without chains.
    pub(crate) fn position(&self) -> Option<Position> {
        let progress = self.progress();
        Some(Position { revision: progress.revision, chain: Chain::from_bytes(&progress.chain)? })
    }

    /// Fills an empty projection. A thread of its own adds events while this one reads and decodes the next.
    fn build(&self, source: &dyn EventSource) -> Result<(), OpenError> {
        let mut builder = Builder::new(self, FOLD_BYTES);
        let base = source.base_revision()?;
        builder.begin_at(base);
        source.base(&mut |record| builder.put(record).map_err(doubt))?;
        thread::scope(|scope| {
            let (decoded, parts) = sync_channel::<(Vec<Event>, Option<Chain>)>(0);
            let building = scope.spawn(move || {
                for (events, chain) in parts {
                    events.iter().try_for_each(|event| builder.add(event))?;
                    builder.set_chain(chain);
                }
                Ok::<_, StoreError>(builder)
            });
            // The other thread has ended early; its error follows from `join`.
            let given_up = |_| doubt("the builder has ended");
            let mut take = |events, chain| decoded.send((events, chain)).map_err(given_up);
            let replayed = source.replay(base, CATCH_UP_EVENTS, &mut take);
            drop(decoded);
            let builder = building.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(doubt)?;
            replayed?;
            builder.finish().map_err(doubt)
        })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // The value is always replaced as a whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Garbles the stored record of a scope, as a failing disk might.
    #[cfg(test)]
    pub(crate) fn damage(&self, scope: &Scope) {
        self.tree.insert(record_key(scope), &[FORMAT; VALUE_HEADER]).expect("sled works");
    }
}

impl FeatureStore for Projection {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        let key = record_key(scope);
        let Some(value) = self.tree.get(&key).map_err(failed)? else { return Ok(Record::default()) };
        open_record(scope, &key, &value)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        match index::name_of(selection) {
            Some(name) => self.select_named(selection, &name, after, limit),
            None => self.select_in_order(selection, after, limit),
        }
    }

    fn revision(&self) -> u64 {
        self.progress().revision
    }

    fn free_bytes(&self) -> Option<u64> {
        files::free_bytes(&self.folder).ok()
    }

    /// Replaces the records that the batch changes, all at once for every reader. The journal has the events.
    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut progress = self.progress().clone();
        batch.check_follows(progress.revision)?;
        let (mut changes, mut index) = (sled::Batch::default(), IndexChanges::default());
        for (scope, record) in batch.records() {
            let key = record_key(scope);
            let damaged = || StoreError::DamagedRecord { scope: scope.clone() };
            let stored = self.tree.get(&key).map_err(failed)?;
            let replaced = stored.as_ref().map(|value| open_value(&key, value).ok_or_else(damaged)).transpose()?;
            let record = encode_record(record);
            index.add(&key[1..], replaced.map(|(_, body)| body), &record).map_err(|_| damaged())?;
            let (checksum, value) = seal_value(&key, &record);
            let replaced = replaced.map_or(0, |(checksum, _)| checksum);
            progress.checksums = progress.checksums.wrapping_sub(replaced.into()).wrapping_add(checksum.into());
            changes.insert(key, value);
        }
        let added = index.write(&self.tree, &mut |key, value| {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
            Ok(())
        })?;
        progress.checksums = progress.checksums.wrapping_add(added);
        progress.revision = batch.revision();
        progress.chain = batch.chain().map_or_else(Vec::new, |chain| chain.as_bytes().to_vec());
        changes.insert(PROGRESS_KEY, seal_value(PROGRESS_KEY, &progress.encode_to_vec()).1);
        let indexing = self.indexing.write().unwrap_or_else(PoisonError::into_inner);
        self.tree.apply_batch(changes).map_err(failed)?;
        drop(indexing);
        *self.progress() = progress;
        Ok(())
    }

    /// The projection keeps no failure: the store in front of it does.
    fn write_failure(&self) -> Option<StoreError> {
        None
    }

    /// Makes sled write everything. It is slow.
    fn close(&self) -> Result<(), StoreError> {
        self.tree.flush().map(drop).map_err(failed)
    }
}

fn open_record(scope: &Scope, key: &[u8], value: &[u8]) -> Result<Record, StoreError> {
    let record = open_value(key, value).and_then(|(_, body)| decode_record(body).ok());
    record.ok_or_else(|| StoreError::DamagedRecord { scope: scope.clone() })
}

fn open_tree(folder: &Path, cache_bytes: u64) -> Result<sled::Db, OpenError> {
    make_ready(folder).map_err(doubt)?;
    let config = sled::Config::new().path(folder).cache_capacity(cache_bytes);
    config.flush_every_ms(Some(FLUSH_MILLISECONDS)).open().map_err(doubt)
}

/// Makes the folder ready for sled: waits for the lock of its files, which threads of sled may hold for a moment after
/// a drop (a longer hold makes the opening fail), and removes unfinished snapshots of sled's own, which a crash leaves:
/// sled would take one for its newest snapshot, and fail.
fn make_ready(folder: &Path) -> Result<(), files::FileError> {
    if !files::names(folder)?.iter().any(|name| name == "db") {
        return Ok(());
    }
    let db = files::DataFile::open(&folder.join("db"))?;
    let give_up = Instant::now() + LOCK_TIMEOUT;
    while !db.try_lock()? {
        if Instant::now() > give_up {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let mut names = files::names(folder)?;
    names.retain(|name| name.starts_with("snap.") && name.ends_with(".generating"));
    names.iter().try_for_each(|name| files::remove_file(&folder.join(name)))
}

fn doubt(reason: impl ToString) -> OpenError {
    OpenError::Projection { reason: reason.to_string() }
}

fn failed(error: sled::Error) -> StoreError {
    StoreError::Projection { reason: error.to_string() }
}
