//! The deadline of a call: from the client's `grpc-timeout` and the server's limits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::error::Failure;
use crate::net::shutdown::{Drain, Phase};

/// The deadline of a call, in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the answer must have begun.
    pub answer: Instant,
    /// When a stream of answers ends; `None` without a timeout of the client.
    pub stream: Option<Instant>,
}

impl Deadline {
    /// The deadline of a call that begins now.
    ///
    /// `asked`: how long the client waits; `default` if it does not say. No answer takes longer than `max`.
    pub(crate) fn new(asked: Option<Duration>, default: Duration, max: Duration) -> Self {
        let now = Instant::now();
        Self {
            answer: now + asked.unwrap_or(default).min(max),
            // A deadline in thousands of years may not fit into an instant; it then counts as no deadline.
            stream: asked.and_then(|asked| now.checked_add(asked)),
        }
    }
}

/// What ends a call from outside: its deadline, or the end of the drain period.
///
/// The timer is created at the first poll. A call that never waits is not polled here, so it costs nothing.
#[derive(Default)]
pub(crate) struct Ending(Option<Pin<Box<dyn Future<Output = Failure> + Send>>>);

impl Ending {
    /// Ready when the deadline has passed or the drain period has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>, drain: &Drain) -> Poll<Failure> {
        let wait = self.0.get_or_insert_with(|| {
            let ended = drain.clone().reached(Phase::Ended);
            // Runs outside of the task's budget: a call that has used up the budget would starve the timer.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_bounds_the_answer_and_the_client_the_stream() {
        let (default, max) = (Duration::from_secs(10), Duration::from_secs(60));
        let now = Instant::now();
        let table = [
            // asked, answer after, stream ends after
            (None, 10, None),
            (Some(1), 1, Some(1)),
            (Some(600), 60, Some(600)),
        ];
        for (asked, answer, stream) in table {
            let deadline = Deadline::new(asked.map(Duration::from_secs), default, max);
            assert_eq!(deadline.answer, now + Duration::from_secs(answer), "{asked:?}");
            assert_eq!(deadline.stream, stream.map(|s| now + Duration::from_secs(s)), "{asked:?}");
        }
        assert!(Deadline::new(Some(Duration::MAX), default, max).stream.is_none());
    }
}
