//! Whether writes are accepted, told to whoever watches: no longer once the committer has failed or gone, and not
//! while one of its turns hangs. Nothing about writes themselves is known here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The committer's end. Dropping it, also in a panic, says that no writes are accepted any more.
#[derive(Debug)]
pub(super) struct WriteHealth(Arc<Shared>);

/// Watches over the turns of a committer, on a thread of its own.
#[derive(Debug)]
pub(super) struct Watchdog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    accepts: watch::Sender<bool>,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the turn that is under way began.
    busy_since: Option<Instant>,
    /// No writes will be accepted any more.
    stopped: bool,
}

impl WriteHealth {
    pub(super) fn new() -> Self {
        let accepts = watch::Sender::new(true);
        Self(Arc::new(Shared { accepts, state: Mutex::default(), stopped: Condvar::new() }))
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.0.accepts.subscribe()
    }

    pub(super) fn watchdog(&self) -> Watchdog {
        Watchdog(Arc::clone(&self.0))
    }

    /// A turn begins.
    pub(super) fn turn_started(&self) {
        self.0.state().busy_since = Some(Instant::now());
    }

    /// The turn has ended. Should the watchdog have given it up, writes are accepted again.
    pub(super) fn turn_ended(&self) {
        let mut state = self.0.state();
        state.busy_since = None;
        if self.0.publish(!state.stopped) {
            tracing::info!("the disk answers again, writes are accepted");
        }
    }

    /// No writes are accepted from now on.
    pub(super) fn stop(&self) {
        let mut state = self.0.state();
        state.stopped = true;
        self.0.publish(false);
        self.0.stopped.notify_all();
    }
}

impl Drop for WriteHealth {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watchdog {
    /// Says that no writes are accepted while a turn takes longer than `timeout`. Returns when none will be any more.
    ///
    /// It looks from time to time rather than being told of every turn, which would cost each write two wake-ups.
    pub(super) fn run(self, timeout: Duration) {
        let mut state = self.0.state();
        while !state.stopped {
            if state.busy_since.is_some_and(|since| since.elapsed() >= timeout) && self.0.publish(false) {
                tracing::error!(?timeout, "the disk does not answer a write, none are accepted until it does");
            }
            let waited = self.0.stopped.wait_timeout(state, timeout / 4);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    /// Whether this is news. Called with the state in hand, so that the last word is always the right one.
    fn publish(&self, accepts: bool) -> bool {
        self.accepts.send_if_modified(|current| std::mem::replace(current, accepts) != accepts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
