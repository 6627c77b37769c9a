//! The keys of one issuer in memory, loaded again at intervals.
//!
//! One load runs at a time, with a pause between two, however many callers send unknown keys. If a load fails, the
//! last good keys stay in use for a bounded time.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;

use super::jwks::{self, JwksError};
use super::jwks_http::{FetchError, Fetcher};
use super::key_set::{KeySet, SkippedKey};
use super::signing_keys::{KeyFolder, KeysError};

/// Where keys come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The server's own keys.
    Folder(KeyFolder),
    /// A file with a JSON Web Key Set.
    File(PathBuf),
    /// A URL with a JSON Web Key Set.
    Url(Box<Fetcher>),
}

/// Why a load failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The server's own keys cannot be read.
    #[error(transparent)]
    Folder(#[from] KeysError),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// The URL cannot be fetched.
    #[error(transparent)]
    Url(#[from] FetchError),
    /// The answer or file is no usable key set.
    #[error("the answer or file {0}")]
    Jwks(#[from] JwksError),
    /// The runtime stops, and with it the task that reads files.
    #[error("the server is stopping")]
    Stopped,
}

impl Source {
    /// The shortest time between the starts of two loads.
    fn pause(&self) -> Duration {
        match self {
            Source::Folder(_) => Duration::from_secs(2),
            Source::File(_) => Duration::from_secs(1),
            Source::Url(_) => Duration::from_secs(10),
        }
    }

    /// The age from which the next use of the keys loads them again. The refresh task uses them every second, so a
    /// removed key is not accepted for much longer than this.
    fn max_age(&self) -> Duration {
        match self {
            Source::Folder(_) | Source::File(_) => Duration::from_secs(5),
            Source::Url(_) => Duration::from_secs(600),
        }
    }

    /// Reads a folder or file, which blocks. `None` for a URL.
    fn read(&self) -> Option<Result<KeySet, LoadError>> {
        match self {
            Source::Folder(folder) => Some(folder.verifying().map_err(LoadError::from)),
            Source::File(path) => {
                let read = std::fs::read(path).map_err(|source| LoadError::File { path: path.clone(), source });
                Some(read.and_then(|json| Ok(jwks::parse(&json)?)))
            }
            Source::Url(_) => None,
        }
    }
}

/// The keys of one load.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The keys.
    pub keys: KeySet,
    /// A number that changes whenever the keys do.
    pub version: u64,
    loaded: Instant,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct JwksCache {
    issuer: String,
    source: Source,
    max_stale: Duration,
    /// `None` until the first load has succeeded.
    current: ArcSwapOption<Snapshot>,
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    started: Option<Instant>,
    /// The load drops its sender when it ends, also by a panic.
    running: Option<watch::Receiver<()>>,
    /// Why the last load failed. It is logged once.
    problem: Option<String>,
}

/// The current keys, borrowed without a lock for the time of one check.
pub(crate) struct Keys(Guard<Option<Arc<Snapshot>>>);

impl Deref for Keys {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.0.as_deref().expect("only loaded keys are borrowed")
    }
}

/// Why an issuer has no keys at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKeys {
    /// No load has succeeded yet.
    NeverLoaded,
    /// The last good keys are too old to be accepted.
    TooOld,
}

/// A running load.
#[derive(Debug)]
pub(crate) struct RunningLoad(watch::Receiver<()>);

impl RunningLoad {
    /// Waits for its end.
    pub(crate) async fn finished(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl JwksCache {
    /// Opens the server's own keys.
    ///
    /// # Errors
    /// [`KeysError`] if they cannot be read.
    pub(crate) fn of_folder(
        issuer: &str,
        keys: KeyFolder,
        max_stale: Duration,
        now: Instant,
    ) -> Result<Arc<Self>, KeysError> {
        let set = keys.verifying()?;
        Ok(Self::new(issuer, Source::Folder(keys), Some(set), max_stale, now))
    }

    /// Opens the keys of an issuer. Reads a file at once; loads a URL later, because its server may be down.
    ///
    /// * `issuer`: its name in the log.
    /// * `max_stale`: how long the last good keys are accepted while newer ones cannot be loaded.
    ///
    /// # Errors
    /// [`LoadError`] if the file cannot be used.
    pub(crate) fn open(
        issuer: &str,
        source: Source,
        max_stale: Duration,
        now: Instant,
    ) -> Result<Arc<Self>, LoadError> {
        let keys = source.read().transpose()?;
        Ok(Self::new(issuer, source, keys, max_stale, now))
    }

    fn new(issuer: &str, source: Source, keys: Option<KeySet>, max_stale: Duration, now: Instant) -> Arc<Self> {
        if let Some(keys) = &keys {
            log_skipped(issuer, keys, &[]);
        }
        let current = ArcSwapOption::from_pointee(keys.map(|keys| Snapshot { keys, version: 0, loaded: now }));
        Arc::new(Self { issuer: issuer.to_owned(), source, max_stale, current, loads: Mutex::default() })
    }

    /// The current keys. Loads old keys again in the background. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`NoKeys`] if no keys may be used.
    pub(crate) fn current(self: &Arc<Self>, now: Instant) -> Result<Keys, NoKeys> {
        let snapshot = self.current.load();
        let age = now.saturating_duration_since(snapshot.as_ref().ok_or(NoKeys::NeverLoaded)?.loaded);
        if age >= self.source.max_age() {
            self.refresh(now);
        }
        if age > self.max_stale { Err(NoKeys::TooOld) } else { Ok(Keys(snapshot)) }
    }

    /// Starts a load, or joins a running one. Must be called on a tokio runtime.
    ///
    /// `None` if the last load is too recent: then the current keys are final.
    pub(crate) fn refresh(self: &Arc<Self>, now: Instant) -> Option<RunningLoad> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &loads.running
            && running.has_changed().is_ok()
        {
            return Some(RunningLoad(running.clone()));
        }
        if loads.started.is_some_and(|started| now.saturating_duration_since(started) < self.source.pause()) {
            return None;
        }
        loads.started = Some(now);
        let (end, running) = watch::channel(());
        loads.running = Some(running.clone());
        let this = Arc::clone(self);
        // A task of its own: other callers wait for the load even if this one goes away.
        tokio::spawn(async move {
            this.load(now).await;
            drop(end);
        });
        Some(RunningLoad(running))
    }

    async fn load(self: &Arc<Self>, now: Instant) {
        let loaded = match &self.source {
            Source::Url(fetcher) => {
                fetcher.fetch().await.map_err(LoadError::from).and_then(|json| Ok(jwks::parse(&json)?))
            }
            Source::Folder(_) | Source::File(_) => {
                let this = Arc::clone(self);
                let read = tokio::task::spawn_blocking(move || this.source.read()).await;
                read.ok().flatten().unwrap_or(Err(LoadError::Stopped))
            }
        };
        self.keep(loaded, now);
    }

    /// Puts loaded keys into use. Logs a failure once, and its end.
    fn keep(&self, loaded: Result<KeySet, LoadError>, now: Instant) {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let (issuer, last) = (&self.issuer, self.current.load());
        match loaded {
            Ok(keys) => {
                let same = last.as_ref().is_some_and(|last| last.keys == keys);
                if !same || loads.problem.is_some() {
                    tracing::info!(%issuer, keys = keys.ids().count(), changed = !same, "the issuer's keys are loaded");
                }
                log_skipped(issuer, &keys, last.as_ref().map_or(&[], |last| last.keys.skipped()));
                loads.problem = None;
                let version = last.as_ref().map_or(0, |last| last.version + u64::from(!same));
                self.current.store(Some(Arc::new(Snapshot { keys, version, loaded: now })));
            }
            Err(error) => {
                let stale =
                    last.as_ref().is_none_or(|last| now.saturating_duration_since(last.loaded) > self.max_stale);
                let outcome = if stale { "its tokens are refused" } else { "the last good ones stay" };
                let problem = format!("{error}; {outcome}");
                if loads.problem.as_ref() != Some(&problem) {
                    tracing::warn!(%issuer, %error, outcome, "the issuer's keys cannot be loaded");
                }
                loads.problem = Some(problem);
            }
        }
    }
}

/// Logs the unusable keys of an issuer, except those in `logged`.
fn log_skipped(issuer: &str, keys: &KeySet, logged: &[SkippedKey]) {
    for SkippedKey { kid, reason } in keys.skipped().iter().filter(|key| !logged.contains(key)) {
        tracing::info!(issuer, kid, reason, "a key of the issuer is left out");
    }
}

#[cfg(test)]
mod tests;
