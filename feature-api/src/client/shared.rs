//! What the task that watches shares with those who read.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, watch};
use tokio::time::sleep_until;

use crate::client::retry::StreamEnd;
use crate::client::state::{Freshness, Limits, State};
use crate::client::values::{Applied, Assembly, Change, Values};

/// A receiver of changes that is further behind misses the oldest ones.
const CHANGES_KEPT: usize = 64;

/// The values, and how fresh they are.
pub(super) struct Shared {
    values: ArcSwap<Values>,
    /// Held for moments only.
    known: Mutex<Known>,
    states: watch::Sender<State>,
    changes: broadcast::Sender<Arc<Change>>,
}

struct Known {
    freshness: Freshness,
    revision: u64,
    last_end: Option<StreamEnd>,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        let known = Known { freshness: Freshness::new(limits, Instant::now()), revision: 0, last_end: None };
        Self {
            values: ArcSwap::default(),
            known: Mutex::new(known),
            states: watch::Sender::new(State::NotReady),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Shows what a message has brought: the values first, so that an application finds them when it hears of a change;
    /// and the state last, so that it does not hear of the first values once it has waited for them.
    pub(super) fn show(&self, assembly: &Assembly, applied: Applied) {
        self.values.store(Arc::clone(assembly.values()));
        let mut known = self.known();
        known.revision = assembly.revision();
        known.freshness.message(applied.sign, Instant::now());
        drop(known);
        if let Some(change) = applied.change {
            // Without a receiver there is nothing to do.
            let _ = self.changes.send(Arc::new(change));
        }
        self.announce();
    }

    /// Notes the end of a stream.
    pub(super) fn ended(&self, end: StreamEnd) {
        self.known().last_end = Some(end);
    }

    /// The client stops.
    pub(super) fn stop(&self) {
        self.known().freshness.stop();
        self.announce();
    }

    /// Waits for a future. Meanwhile, announces each state that time brings.
    pub(super) async fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            // The state may have changed before this call, too.
            self.announce();
            let next_change = self.known().freshness.next_change(Instant::now());
            tokio::select! {
                result = &mut future => return result,
                () = until(next_change) => {}
            }
        }
    }

    fn announce(&self) {
        let state = self.state();
        self.states.send_if_modified(|announced| std::mem::replace(announced, state) != state);
    }

    pub(super) fn values(&self) -> &ArcSwap<Values> {
        &self.values
    }

    pub(super) fn state(&self) -> State {
        self.known().freshness.state(Instant::now())
    }

    pub(super) fn age(&self) -> Option<Duration> {
        self.known().freshness.age(Instant::now())
    }

    pub(super) fn revision(&self) -> u64 {
        self.known().revision
    }

    pub(super) fn last_end(&self) -> Option<StreamEnd> {
        self.known().last_end.clone()
    }

    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.states.subscribe()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
