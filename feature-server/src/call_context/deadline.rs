//! The deadline of a call.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::Limits;
use crate::error::Failure;

/// The deadline of a call, in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When the answer must have begun.
    pub(crate) answer: Instant,
    /// When a stream of answers ends; `None` without a timeout of the client.
    pub(crate) stream: Option<Instant>,
}

impl Deadline {
    /// The deadline of a call that begins now. `asked`: how long the client waits, if it says so.
    pub(crate) fn new(asked: Option<Duration>, limits: &Limits) -> Result<Self, Failure> {
        if asked == Some(Duration::ZERO) {
            return Err(Failure::DeadlineExceeded);
        }
        let (default, max) = (limits.default_deadline_ms, limits.max_deadline_ms);
        let now = Instant::now();
        Ok(Self {
            answer: now + asked.unwrap_or(Duration::from_millis(default)).min(Duration::from_millis(max)),
            // A deadline in thousands of years may not fit into an instant; it then counts as no deadline.
            stream: asked.and_then(|asked| now.checked_add(asked)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_bounds_the_answer_and_the_client_the_stream() {
        let limits = Limits { default_deadline_ms: 10_000, max_deadline_ms: 60_000, ..Limits::default() };
        let now = Instant::now();
        let table = [
            // asked, answer after, stream ends after
            (None, 10, None),
            (Some(1), 1, Some(1)),
            (Some(600), 60, Some(600)),
        ];
        for (asked, answer, stream) in table {
            let deadline = Deadline::new(asked.map(Duration::from_secs), &limits).unwrap();
            assert_eq!(deadline.answer, now + Duration::from_secs(answer), "{asked:?}");
            assert_eq!(deadline.stream, stream.map(|s| now + Duration::from_secs(s)), "{asked:?}");
        }
        assert!(matches!(Deadline::new(Some(Duration::ZERO), &limits), Err(Failure::DeadlineExceeded)));
        assert!(Deadline::new(Some(Duration::MAX), &limits).unwrap().stream.is_none());
    }
}
