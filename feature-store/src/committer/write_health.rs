//! Whether writes are accepted: not while a turn of the committer hangs, and never again once it has failed or ended.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The committer's side. Dropping it, also in a panic, ends the acceptance of writes.
#[derive(Debug)]
pub(super) struct WriteHealth(Arc<Health>);

/// Watches the turns of a committer, on a thread of its own.
#[derive(Debug)]
pub(super) struct Watchdog(Arc<Health>);

#[derive(Debug)]
struct Health {
    accepts: watch::Sender<bool>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the current turn began.
    busy_since: Option<Instant>,
    /// No writes will be accepted any more.
    stopped: bool,
}

impl WriteHealth {
    pub(super) fn new() -> Self {
        let accepts = watch::Sender::new(true);
        Self(Arc::new(Health { accepts, state: Mutex::default(), changed: Condvar::new() }))
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.0.accepts.subscribe()
    }

    pub(super) fn watchdog(&self) -> Watchdog {
        Watchdog(Arc::clone(&self.0))
    }

    pub(super) fn turn_started(&self) {
        self.0.state().busy_since = Some(Instant::now());
    }

    /// Writes are accepted again when the watchdog found that the turn hung.
    pub(super) fn turn_ended(&self) {
        let mut state = self.0.state();
        state.busy_since = None;
        if self.0.publish(!state.stopped) {
            tracing::info!("the write that hung is done, writes are accepted again");
        }
    }

    /// No writes are accepted from now on. Returns whether this is the first call.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.0.state();
        self.0.publish(false);
        self.0.changed.notify_all();
        !std::mem::replace(&mut state.stopped, true)
    }
}

impl Drop for WriteHealth {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watchdog {
    /// Publishes that no writes are accepted while a turn takes longer than `timeout`. Returns after
    /// [`WriteHealth::stop`].
    ///
    /// It polls the turns: a notification for each would cost every write two wake-ups.
    pub(super) fn run(self, timeout: Duration) {
        let mut state = self.0.state();
        while !state.stopped {
            if state.busy_since.is_some_and(|since| since.elapsed() >= timeout) && self.0.publish(false) {
                let patience = timeout;
                tracing::error!(
                    ?patience,
                    "a write hangs, since the disk or the database does not answer: none are accepted until it is done"
                );
            }
            let waited = self.0.changed.wait_timeout(state, timeout / 4);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Health {
    /// Returns whether the value has changed. The caller holds the state, so that the last value is the right one.
    fn publish(&self, accepts: bool) -> bool {
        self.accepts.send_if_modified(|current| std::mem::replace(current, accepts) != accepts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
