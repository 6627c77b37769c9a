//! Tells those who watch a store what may have changed.

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Scopes that have a counter in common, see [`Version`](crate::Version).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stripe(pub(crate) u32);

/// What has changed since the last look.
#[derive(Debug)]
pub(crate) struct Touched {
    /// Whether stripes are collected.
    collects: AtomicBool,
    stripes: Mutex<BTreeSet<Stripe>>,
    revision: watch::Sender<u64>,
}

impl Touched {
    pub(crate) fn new(revision: u64) -> Self {
        Self { collects: AtomicBool::new(false), stripes: Mutex::default(), revision: watch::Sender::new(revision) }
    }

    /// Notes a write that is visible.
    pub(crate) fn add(&self, stripes: impl Iterator<Item = Stripe>, revision: u64) {
        if self.collects.load(Ordering::Relaxed) {
            self.stripes().extend(stripes);
        }
        // Without a receiver this is a moment's work.
        self.revision.send_replace(revision);
    }

    /// The newest visible revision, and its changes.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The stripes that writes have touched since the last call. The first call begins to collect them.
    pub(crate) fn take(&self) -> BTreeSet<Stripe> {
        self.collects.store(true, Ordering::Relaxed);
        mem::take(&mut *self.stripes())
    }

    fn stripes(&self) -> MutexGuard<'_, BTreeSet<Stripe>> {
        // A set is whole at any time.
        self.stripes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
