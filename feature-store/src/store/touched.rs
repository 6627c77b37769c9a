//! Tells those who watch a store what may have changed.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Scopes that have a counter in common, see [`Version`](crate::Version).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stripe(pub(crate) u32);

/// The stripes that writes have touched since the last look.
#[derive(Debug)]
pub struct Touched {
    stripes: Mutex<Stripes>,
    /// Notified when there are touched stripes.
    is_touched: Notify,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Stripes {
    /// A write to any other one wakes no task.
    watched: HashSet<Stripe>,
    touched: BTreeSet<Stripe>,
}

impl Touched {
    pub(crate) fn new(revision: u64) -> Self {
        Self { stripes: Mutex::default(), is_touched: Notify::new(), revision: watch::Sender::new(revision) }
    }

    /// Notes a write that is visible.
    pub(crate) fn add(&self, stripes: impl Iterator<Item = Stripe>, revision: u64) {
        let Stripes { watched, touched } = &mut *self.stripes();
        let before = touched.len();
        touched.extend(stripes.filter(|stripe| watched.contains(stripe)));
        if touched.len() > before {
            self.is_touched.notify_one();
        }
        // Without a receiver this is a moment's work.
        self.revision.send_replace(revision);
    }

    /// The newest visible revision, and its changes.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Collects writes to these stripes from now on. Then look once whether their records have changed already.
    pub fn watch(&self, stripes: impl Iterator<Item = Stripe>) {
        self.stripes().watched.extend(stripes);
    }

    /// Collects writes to this stripe no more.
    pub fn unwatch(&self, stripe: Stripe) {
        self.stripes().watched.remove(&stripe);
    }

    /// Waits until there are watched stripes that writes have touched since the last call, and returns them. It is
    /// cancel-safe.
    pub async fn next(&self) -> BTreeSet<Stripe> {
        self.is_touched.notified().await;
        mem::take(&mut self.stripes().touched)
    }

    fn stripes(&self) -> MutexGuard<'_, Stripes> {
        // Each set is whole at any time.
        self.stripes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_to_watched_stripes_are_collected() {
        let touched = Touched::new(0);
        let [a, b, c] = [1, 2, 3].map(Stripe);
        touched.add([a].into_iter(), 1);
        touched.watch([a, b].into_iter());
        assert!(touched.stripes().touched.is_empty(), "the write came before");
        touched.add([b, c].into_iter(), 2);
        touched.add([a, b].into_iter(), 3);
        assert_eq!(touched.next().await, BTreeSet::from([a, b]));
        touched.unwatch(a);
        touched.add([a, c].into_iter(), 4);
        assert!(touched.stripes().touched.is_empty());
        assert_eq!(*touched.revisions().borrow(), 4);
    }
}
