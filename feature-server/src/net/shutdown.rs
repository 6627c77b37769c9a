//! The phases of a server's life, and what ends a call from outside: its deadline, or the end of the drain period.
//!
//! Nothing here knows of HTTP or gRPC.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::error::Failure;

/// How far a server is on its way to stop. The order of the variants is the order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are accepted.
    Serving,
    /// No connection is accepted any more; the calls under way go on.
    Draining,
    /// The calls that are still under way are ended.
    Ended,
}

/// The phase of one server, shared by its connections and calls.
#[derive(Debug, Clone)]
pub(crate) struct Drain(Arc<watch::Sender<Phase>>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }

    /// Goes on to a later phase. It never goes back.
    pub(crate) fn advance(&self, to: Phase) {
        self.0.send_if_modified(|now| {
            let forward = to > *now;
            if forward {
                *now = to;
            }
            forward
        });
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits for a phase.
    pub(crate) async fn reached(self, phase: Phase) {
        // The sender is alive as long as `self` is, so this does not fail.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}

/// Waits for what ends a call from outside.
///
/// It is made at the first poll, which a call that never has to wait does not come to: so it costs such a call nothing.
#[derive(Default)]
pub(crate) struct Ending(Option<Pin<Box<dyn Future<Output = Failure> + Send>>>);

impl Ending {
    /// Ready as soon as the deadline has passed or the drain period has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>, drain: &Drain) -> Poll<Failure> {
        let wait = self.0.get_or_insert_with(|| {
            let ended = drain.clone().reached(Phase::Ended);
            // A call that has used up its task's budget would starve the timer, so the timer is outside the budget.
            Box::pin(unconstrained(async move {
                let Some(deadline) = deadline else {
                    ended.await;
                    return Failure::ShuttingDown;
                };
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => Failure::DeadlineExceeded,
                    () = ended => Failure::ShuttingDown,
                }
            }))
        });
        wait.as_mut().poll(cx)
    }
}
