//! The keys of one issuer in memory, loaded again at intervals.
//!
//! One load runs at a time, with a pause between two, however many callers send unknown keys. If a load fails, the
//! last good keys stay in use for a bounded time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::jwks::{self, KeySet};
use super::jwks_http::Fetcher;
use super::{KeyFolder, LoadError};

#[derive(Debug)]
pub(crate) enum Source {
    Folder(KeyFolder),
    File(PathBuf),
    Url(Box<Fetcher>),
}

impl Source {
    /// The shortest time between the starts of two loads, and the age from which the next use of the keys loads them
    /// again. The refresh task uses them every second, so a removed key is not accepted for much longer than that.
    fn pause_and_max_age(&self) -> [Duration; 2] {
        let seconds = match self {
            Source::Folder(_) => [2, 5],
            Source::File(_) => [1, 5],
            Source::Url(_) => [10, 600],
        };
        seconds.map(Duration::from_secs)
    }

    /// Reads a folder or file, which blocks. `None` for a URL.
    pub(crate) fn read(&self) -> Result<Option<KeySet>, LoadError> {
        match self {
            Source::Folder(folder) => Ok(Some(folder.verifying()?)),
            Source::File(path) => {
                let json = std::fs::read(path).map_err(|error| LoadError::File(path.clone(), error))?;
                jwks::parse(&json).map(Some)
            }
            Source::Url(_) => Ok(None),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    pub keys: KeySet,
    /// A number that changes whenever the keys do.
    pub version: u64,
    /// When the load began; `None` until the first one has succeeded.
    loaded: Option<Instant>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct JwksCache {
    issuer: String,
    source: Source,
    max_stale: Duration,
    current: ArcSwap<Snapshot>,
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    /// When the last load began, and its end.
    last: Option<(Instant, LoadEnd)>,
    /// Why the last load failed. It is logged once.
    problem: Option<String>,
}

/// The end of a load, which drops the sender, also by a panic. Nothing is sent.
pub(crate) type LoadEnd = watch::Receiver<()>;

impl JwksCache {
    /// A cache for the keys of an issuer.
    ///
    /// * `issuer`: its name in the log.
    /// * `keys`: what a first [`Source::read`] gave. A URL is loaded later, because its server may be down.
    /// * `max_stale_s`: how long the last good keys are accepted while newer ones cannot be loaded.
    pub(crate) fn new(issuer: &str, source: Source, keys: Option<KeySet>, max_stale_s: u64, now: Instant) -> Arc<Self> {
        let (loaded, keys) = (keys.as_ref().map(|_| now), keys.unwrap_or_default());
        log_skipped(issuer, &keys, &[]);
        let current = ArcSwap::from_pointee(Snapshot { keys, version: 0, loaded });
        let (issuer, max_stale) = (issuer.to_owned(), Duration::from_secs(max_stale_s));
        Arc::new(Self { issuer, source, max_stale, current, loads: Mutex::default() })
    }

    /// The time since the keys were last loaded; `None` before the first time.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.loaded().map(|loaded| now.saturating_duration_since(loaded))
    }

    /// When the keys were last loaded; `None` before the first time.
    pub(crate) fn loaded(&self) -> Option<Instant> {
        self.current.load().loaded
    }

    /// The current keys, or why none may be used, as a reason to refuse a token. Loads old keys again in the
    /// background. Must be called on a tokio runtime.
    pub(crate) fn current(self: &Arc<Self>, now: Instant) -> Result<Guard<Arc<Snapshot>>, &'static str> {
        let snapshot = self.current.load();
        let loaded = snapshot.loaded.ok_or("the keys of its issuer cannot be loaded at the moment")?;
        let age = now.saturating_duration_since(loaded);
        let [_, max_age] = self.source.pause_and_max_age();
        if age >= max_age {
            self.refresh(now);
        }
        if age > self.max_stale {
            return Err("the keys of its issuer are too old: no newer ones could be loaded for a long time");
        }
        Ok(snapshot)
    }

    /// Starts a load, or joins a running one. Must be called on a tokio runtime.
    ///
    /// `None` if the last load is too recent: then the keys that it has brought are final.
    pub(crate) fn refresh(self: &Arc<Self>, now: Instant) -> Option<LoadEnd> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((started, end)) = &loads.last {
            if end.has_changed().is_ok() {
                return Some(end.clone());
            }
            let [pause, _] = self.source.pause_and_max_age();
            if now.saturating_duration_since(*started) < pause {
                return None;
            }
        }
        let (running, end) = watch::channel(());
        loads.last = Some((now, end.clone()));
        // A task of its own: other callers wait for the load even if this one goes away.
        tokio::spawn(Arc::clone(self).load(now, running));
        Some(end)
    }

    /// Loads the keys and puts them into use. Logs a failure once, and its end. The load ends with `_running`.
    async fn load(self: Arc<Self>, now: Instant, _running: watch::Sender<()>) {
        let loaded = match &self.source {
            Source::Url(fetcher) => fetcher.fetch().await.and_then(|json| jwks::parse(&json)),
            Source::Folder(_) | Source::File(_) => {
                let this = Arc::clone(&self);
                // The task fails only while the runtime stops.
                let Ok(loaded) = tokio::task::spawn_blocking(move || this.source.read()).await else { return };
                loaded.map(Option::unwrap_or_default)
            }
        };
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let (issuer, last) = (&self.issuer, self.current.load());
        match loaded {
            Ok(keys) => {
                let changed = last.loaded.is_none() || last.keys != keys;
                if loads.problem.take().is_some() || changed {
                    tracing::info!(%issuer, keys = keys.keys.len(), changed, "the issuer's keys are loaded");
                }
                log_skipped(issuer, &keys, &last.keys.skipped);
                let version = last.version + u64::from(changed);
                self.current.store(Arc::new(Snapshot { keys, version, loaded: Some(now) }));
            }
            Err(error) => {
                let good = last.loaded.is_some_and(|loaded| now.saturating_duration_since(loaded) <= self.max_stale);
                let outcome = if good { "the last good ones stay" } else { "its tokens are refused" };
                let problem = Some(format!("{error}; {outcome}"));
                if loads.problem != problem {
                    tracing::warn!(%issuer, %error, outcome, "the issuer's keys cannot be loaded");
                }
                loads.problem = problem;
            }
        }
    }
}

/// Logs the unusable keys of an issuer, except those in `logged`.
fn log_skipped(issuer: &str, keys: &KeySet, logged: &[String]) {
    for key in keys.skipped.iter().filter(|key| !logged.contains(key)) {
        tracing::info!(issuer, %key, "a key of the issuer is left out");
    }
}

#[cfg(test)]
mod tests;
