//! The phases of a server's life: it serves, it drains, it has ended.

use tokio::sync::watch;

/// How far the shutdown of a server has come. The order of the variants is the order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are accepted.
    Serving,
    /// No new connection is accepted; running calls continue.
    Draining,
    /// The calls that still run are ended.
    Ended,
}

/// The phase of one server, shared by its connections and calls.
#[derive(Debug, Clone)]
pub(crate) struct Drain(watch::Sender<Phase>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// Moves to a later phase.
    pub(crate) fn advance(&self, to: Phase) {
        self.0.send_replace(to);
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until the server has reached a phase.
    pub(crate) async fn reached(self, phase: Phase) {
        // The sender is alive as long as `self` is, so this does not fail.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}
