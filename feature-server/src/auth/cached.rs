//! The keys of one issuer, kept in memory and loaded again now and then. What a token says is not known here.
//!
//! Loading is bounded whatever callers send: one load at a time, and a pause between two. When a load fails, the
//! last good keys stay.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::fetch::{FetchError, Fetcher};
use super::jwks::{self, JwksError};
use super::key_set::KeySet;
use super::keys::{KeyFolder, KeysError};

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

    /// The age from which the next use of the keys also loads them again, so that a key which is taken away is not
    /// trusted for longer than this (and one use).
    fn max_age(&self) -> Duration {
        match self {
            Source::Folder(_) => Duration::from_secs(60),
            Source::File(_) => Duration::from_secs(5),
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
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The keys; none when no load has succeeded yet.
    pub keys: KeySet,
    loaded: Option<Instant>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct CachedKeys {
    issuer: String,
    source: Source,
    current: ArcSwap<Snapshot>,
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    begun: Option<Instant>,
    /// Its sender is dropped when the load is over, however it ends.
    running: Option<watch::Receiver<()>>,
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
    /// `issuer`: its name in logs.
    ///
    /// # Errors
    /// [`LoadError`] when files cannot be used.
    pub fn open(issuer: &str, source: Source, now: Instant) -> Result<Arc<Self>, LoadError> {
        let snapshot = match source.read() {
            Some(keys) => Snapshot { keys: keys?, loaded: Some(now) },
            None => Snapshot::default(),
        };
        let current = ArcSwap::from_pointee(snapshot);
        Ok(Arc::new(Self { issuer: issuer.to_owned(), source, current, loads: Mutex::default() }))
    }

    /// The keys at hand. Old ones are loaded again in the background. Must be called on a tokio runtime.
    pub fn current(self: &Arc<Self>, now: Instant) -> Guard<Arc<Snapshot>> {
        let snapshot = self.current.load();
        let age = snapshot.loaded.map(|loaded| now.saturating_duration_since(loaded));
        if age.is_some_and(|age| age >= self.source.max_age()) {
            self.refresh(now);
        }
        snapshot
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
        match loaded {
            Ok(keys) => {
                if !keys.ids().eq(self.current.load().keys.ids()) {
                    tracing::info!(issuer = %self.issuer, keys = keys.ids().count(), "the issuer's keys have changed");
                }
                self.current.store(Arc::new(Snapshot { keys, loaded: Some(now) }));
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the issuer's keys cannot be loaded, the last good ones stay");
            }
        }
    }
}

#[cfg(test)]
mod tests;
