//! Opens the store of a server: the one in its data folder, or a replica of the one that a fleet shares.

use std::fs;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use feature_auth::revocation::ENTRIES_MAX;
use feature_auth::{Authenticator, roots};
use feature_store::{
    Durability, EventLog, FeatureStore, JournalStore, Keep, OpenReplica, PostgresEngine, PostgresOptions, PostgresUrl,
    Replica, StoreError, Versioned, store_of_replica,
};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep, timeout};
use uuid::Uuid;

use super::ServerError;
use super::system::memory_for_records;
use crate::config::settings::{self, Settings, Store};
use crate::services::consistency::Consistency;
use crate::services::health::StoreHealth;

/// The time between two looks at how old a view is.
const LOOK: Duration = Duration::from_millis(250);

/// The time after which the revoked tokens are read again, even if none was added.
const REVOCATIONS_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after a reading that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// An open store.
pub(super) struct Storage {
    /// Takes writes.
    pub(super) writes: Arc<dyn FeatureStore>,
    /// Shows records. All writes reach it.
    pub(super) view: Arc<Versioned>,
    /// The history of the records.
    pub(super) log: Arc<dyn EventLog>,
    pub(super) fleet: Option<Fleet>,
}

/// A replica that follows the log of its fleet.
pub(super) struct Fleet {
    replica: OpenReplica,
    pub(super) consistency: Arc<Consistency>,
    /// Gets the error that ends the following.
    failed: oneshot::Receiver<StoreError>,
}

impl Storage {
    /// A store that this server alone uses, with its history.
    pub(super) fn alone(store: Arc<dyn FeatureStore>, log: Arc<dyn EventLog>) -> Self {
        let view = Versioned::new(store);
        Self { writes: view.clone(), view, log, fleet: None }
    }

    /// Opens the store that the settings name. It may take a minute, and blocks.
    ///
    /// # Errors
    /// [`ServerError`] names the cause and the remedy.
    pub(super) fn open(settings: &Settings) -> Result<Self, ServerError> {
        let (folder, cache_bytes) = (&settings.server.data, memory_for_records(settings.store.cache_bytes));
        let Some(url) = &settings.store.url else {
            let store = Arc::new(JournalStore::open(folder, cache_bytes, settings.history.keep())?);
            return Ok(Self::alone(Arc::clone(&store) as Arc<dyn FeatureStore>, store));
        };
        // A server that has belonged to a fleet makes no store where its own is missing.
        let new_store = if store_of_replica(folder)?.is_some() { None } else { Some(Uuid::new_v4()) };
        let engine = open_database(url, &settings.store, new_store)?;
        let mut replica = OpenReplica::open(folder, Arc::new(engine), cache_bytes)?;
        let (end, failed) = oneshot::channel();
        let keep = match settings.history.keep() {
            Keep::For(time) => Some(time),
            // A rule refuses a number of bytes with a database.
            Keep::Forever | Keep::Bytes(_) => None,
        };
        // The receiver is gone only when the server stops.
        replica.start(keep, |error| drop(end.send(error))).map_err(ServerError::Thread)?;
        let consistency = Arc::new(Consistency::new(Arc::clone(&replica.replica), &settings.store));
        let (writes, view, log) =
            (Arc::clone(&replica.replica), Arc::clone(&replica.view), Arc::clone(&replica.replica));
        Ok(Self { writes, view, log, fleet: Some(Fleet { replica, consistency, failed }) })
    }
}

impl Fleet {
    /// Ready when this replica cannot go on and its view has to be made anew: the history was taken back, or was
    /// dropped further than it has read, or the view has failed.
    pub(super) async fn must_start_over(&mut self) {
        match (&mut self.failed).await {
            Ok(error @ (StoreError::NotUnderstood { .. } | StoreError::LogBroken { .. })) => {
                tracing::error!(%error, "this server shows nothing newer, and is not ready any more");
                std::future::pending().await
            }
            Ok(error) => tracing::error!(%error, "the server starts over, and reads everything anew"),
            Err(_) => tracing::error!("the thread that follows the log has ended: the server starts over"),
        }
    }

    /// Reads the revoked tokens that the fleet has in common, and again after each change, on a task of its own.
    ///
    /// # Errors
    /// [`ServerError::Revocations`] when they cannot be read now.
    pub(super) async fn follow_revocations(&self, authenticator: Authenticator) -> Result<(), ServerError> {
        let replica = Arc::clone(&self.replica.replica);
        let mut newest = replica.newest_revocation();
        let mut read = read_revocations(replica, authenticator.clone()).await.map_err(ServerError::Revocations)?;
        let replica = Arc::downgrade(&self.replica.replica);
        tokio::spawn(async move {
            let mut is_known = true;
            loop {
                // Entries that were removed, or a list that was taken back, show only when everything is read again.
                let changed = newest.wait_for(|newest| *newest > read);
                if matches!(timeout(REVOCATIONS_INTERVAL, changed).await, Ok(Err(_))) {
                    return;
                }
                let Some(replica) = replica.upgrade() else { return };
                match read_revocations(replica, authenticator.clone()).await {
                    Ok(newest) => (read, is_known) = (newest, true),
                    Err(error) => {
                        // The last list stays.
                        if std::mem::replace(&mut is_known, false) {
                            tracing::warn!(%error, "the revoked tokens in the database cannot be read");
                        }
                        sleep(RETRY).await;
                    }
                }
            }
        });
        Ok(())
    }

    /// Ends the following of the log, and waits for that, but no longer than `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        let threads = self.replica.stop();
        // A thread that hangs with the disk or the database ends with the process.
        let _ = timeout(patience, spawn_blocking(move || drop(threads))).await;
    }
}

/// Hands the entries of revoked tokens over, and returns the number of the newest.
async fn read_revocations(replica: Arc<Replica>, authenticator: Authenticator) -> Result<i64, StoreError> {
    let read = spawn_blocking(move || {
        let (newest, entries) = replica.revocations(ENTRIES_MAX)?;
        authenticator.set_shared_revocations(&entries);
        Ok(newest)
    });
    read.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
}

/// Opens the database of a fleet. `id`: the id of a new store; without it there must be one.
///
/// # Errors
/// [`ServerError`] names the setting that does not work, or what is wrong with the database.
pub fn open_database(url: &str, store: &Store, id: Option<Uuid>) -> Result<PostgresEngine, ServerError> {
    let url: PostgresUrl = url.parse().expect("the URL was checked with the configuration");
    let is_encrypted = url.uses_tls(store.allow_cleartext).expect("the URL was checked with the configuration");
    let mut options = PostgresOptions::new(url);
    options.allow_cleartext = store.allow_cleartext;
    options.durability = match store.durability {
        settings::Durability::AsConfigured => Durability::AsConfigured,
        settings::Durability::Replicated => Durability::Replicated,
    };
    if is_encrypted {
        options.roots = Some(roots::load(store.ca_file.as_deref()).map_err(ServerError::StoreRoots)?);
    }
    options.password = match &store.password_file {
        Some(path) => {
            let unreadable = |reason| ServerError::StorePassword { path: path.clone(), reason };
            Some(fs::read_to_string(path).map_err(unreadable)?.trim_end_matches(['\n', '\r']).to_owned())
        }
        None => store.password.as_ref().map(|password| password.0.clone()),
    };
    PostgresEngine::open(&options, id).map_err(ServerError::Database)
}

/// What the store can do at the moment. Must be called on a tokio runtime, which looks at a replica's view from time to
/// time.
///
/// `accepts_writes`: whether the committer does.
pub(super) fn health(consistency: Option<&Arc<Consistency>>, accepts_writes: watch::Receiver<bool>) -> StoreHealth {
    let Some(consistency) = consistency else {
        return StoreHealth { reads: accepts_writes.clone(), writes: accepts_writes };
    };
    let (reads, writes) = (watch::Sender::new(false), watch::Sender::new(false));
    let health = StoreHealth { reads: reads.subscribe(), writes: writes.subscribe() };
    let consistency = Arc::downgrade(consistency);
    tokio::spawn(async move {
        let mut looks = interval(LOOK);
        // It ends with the server, and so do those who want to know.
        while let Some(consistency) = consistency.upgrade() {
            let takes_writes = *accepts_writes.borrow() && consistency.takes_writes();
            let set =
                |sender: &watch::Sender<bool>, now| sender.send_if_modified(|was| std::mem::replace(was, now) != now);
            if set(&reads, consistency.is_fresh()) {
                let staleness_ms = consistency.staleness().map(|age| age.as_millis() as u64);
                match *reads.borrow() {
                    true => tracing::info!(staleness_ms, "reads are as new as store.max_staleness_ms demands"),
                    false => tracing::warn!(staleness_ms, "reads are older than store.max_staleness_ms allows"),
                }
            }
            set(&writes, takes_writes);
            drop(consistency);
            looks.tick().await;
        }
    });
    health
}
