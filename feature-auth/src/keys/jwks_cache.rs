//! The keys of one issuer, kept in memory and loaded again now and then. What a token says is not known here.
//!
//! Loading is bounded whatever callers send: one load at a time, and a pause between two. When a load fails, the
//! last good keys stay, but not for ever.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;

use super::jwks::{self, JwksError};
use super::key_set::{KeySet, LeftOut};
use crate::auth::keys::jwks_http::{FetchError, Fetcher};
use crate::auth::keys::signing_keys::{KeyFolder, KeysError};

/// Where keys come from.
#[derive(Debug)]
pub enum Source {
    /// The server's own keys.
    Folder(KeyFolder),
    /// A file with a JSON Web Key Set.
    File(PathBuf),
    /// A URL with a JSON Web Key Set.
    Url(Box<Fetcher>),
}

/// Why keys could not be loaded this time.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server's own.
    #[error(transparent)]
    Folder(#[from] KeysError),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The URL cannot be fetched.
    #[error(transparent)]
    Url(#[from] FetchError),
    /// What was read is no key set.
    #[error("the answer or file {0}")]
    Jwks(#[from] JwksError),
    /// The task that reads files was stopped.
    #[error("the server is stopping")]
    Stopped,
}

impl Source {
    /// The shortest time between two loads, whoever asks for them.
    fn pause(&self) -> Duration {
        match self {
            Source::Folder(_) => Duration::from_secs(2),
            Source::File(_) => Duration::from_secs(1),
            Source::Url(_) => Duration::from_secs(10),
        }
    }

    /// The age from which the next use of the keys also loads them again. They are used every second, if only by who
    /// looks after them, so a key which is taken away is not trusted for much longer than this.
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

/// The keys as they were last loaded.
#[derive(Debug)]
pub struct Snapshot {
    /// The keys.
    pub keys: KeySet,
    /// A number that no other keys of this issuer have had.
    pub version: u64,
    loaded: Instant,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct CachedKeys {
    issuer: String,
    source: Source,
    max_stale: Duration,
    /// `None` when no load has succeeded yet.
    current: ArcSwapOption<Snapshot>,
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    begun: Option<Instant>,
    /// Its sender is dropped when the load is over, however it ends.
    running: Option<watch::Receiver<()>>,
    /// Why the last load failed, which is logged once.
    problem: Option<String>,
}

/// The keys at hand, cheaply borrowed: for the length of one check.
pub struct Keys(Guard<Option<Arc<Snapshot>>>);

impl Deref for Keys {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.0.as_deref().expect("only keys that are there are borrowed")
    }
}

/// Why an issuer has no keys at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKeys {
    /// No load has succeeded yet.
    NeverLoaded,
    /// The last good ones are too old to be believed.
    TooOld,
}

/// A load that is under way.
#[derive(Debug)]
pub struct Running(watch::Receiver<()>);

impl Running {
    /// Waits until it is over.
    pub async fn finished(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl CachedKeys {
    /// Keys that are loaded from files at once, and from a URL later: its server may be down for now.
    ///
    /// * `issuer`: its name in logs.
    /// * `max_stale`: how long the last good keys are believed when no newer ones can be had.
    ///
    /// # Errors
    /// [`LoadError`] when files cannot be used.
    pub fn open(issuer: &str, source: Source, max_stale: Duration, now: Instant) -> Result<Arc<Self>, LoadError> {
        let keys = source.read().transpose()?;
        if let Some(keys) = &keys {
            log_left_out(issuer, keys, &[]);
        }
        let current = ArcSwapOption::from_pointee(keys.map(|keys| Snapshot { keys, version: 0, loaded: now }));
        Ok(Arc::new(Self { issuer: issuer.to_owned(), source, max_stale, current, loads: Mutex::default() }))
    }

    /// The keys at hand, or why there are none to believe. Old ones are loaded again in the background. Must be called
    /// on a tokio runtime.
    ///
    /// # Errors
    /// [`NoKeys`].
    pub fn current(self: &Arc<Self>, now: Instant) -> Result<Keys, NoKeys> {
        let snapshot = self.current.load();
        let age = now.saturating_duration_since(snapshot.as_ref().ok_or(NoKeys::NeverLoaded)?.loaded);
        if age >= self.source.max_age() {
            self.refresh(now);
        }
        if age > self.max_stale { Err(NoKeys::TooOld) } else { Ok(Keys(snapshot)) }
    }

    /// Begins to load the keys again, or joins who does already. Must be called on a tokio runtime.
    ///
    /// `None` when the last load is too recent: then the keys at hand are the answer.
    pub fn refresh(self: &Arc<Self>, now: Instant) -> Option<Running> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &loads.running
            && running.has_changed().is_ok()
        {
            return Some(Running(running.clone()));
        }
        if loads.begun.is_some_and(|begun| now.saturating_duration_since(begun) < self.source.pause()) {
            return None;
        }
        loads.begun = Some(now);
        let (end, running) = watch::channel(());
        loads.running = Some(running.clone());
        let this = Arc::clone(self);
        // A task of its own: a caller who goes away must not take the load along that others wait for.
        tokio::spawn(async move {
            this.load(now).await;
            drop(end);
        });
        Some(Running(running))
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

    /// Puts what was loaded in force. What is wrong is said once, and so is that it is well again.
    fn keep(&self, loaded: Result<KeySet, LoadError>, now: Instant) {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let (issuer, last) = (&self.issuer, self.current.load());
        match loaded {
            Ok(keys) => {
                let same = last.as_ref().is_some_and(|last| last.keys == keys);
                if !same || loads.problem.is_some() {
                    tracing::info!(%issuer, keys = keys.ids().count(), changed = !same, "the issuer's keys are loaded");
                }
                log_left_out(issuer, &keys, last.as_ref().map_or(&[], |last| last.keys.left_out()));
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

/// Logs the keys of an issuer that cannot be used, but for those that are logged already.
fn log_left_out(issuer: &str, keys: &KeySet, logged: &[LeftOut]) {
    for LeftOut { kid, reason } in keys.left_out().iter().filter(|key| !logged.contains(key)) {
        tracing::info!(issuer, kid, reason, "a key of the issuer is left out");
    }
}

#[cfg(test)]
mod tests;
